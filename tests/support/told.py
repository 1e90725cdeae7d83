"""Reports for tests of what shows them: one of an agent that is well and has nothing to do, and what may differ."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import msgspec

from firstseen.status.report import Alert, Client, Rule, Server, State, Status

NOW = "2026-05-24T09:12:33.000Z"


def rule(number: int = 1, **changes: Any) -> Rule:
    given: dict[str, Any] = {
        "id": f"rule-{number}",
        "name": f"Rule {number}",
        "type": "new_terms",
        "severity": "medium",
        "status": "open",
        **dict.fromkeys(["matches", "open", "shadow", "degraded", "learning", "suppressed"], 0),
        "since": "2026-05-20T00:00:00.000Z",
        "learning_until": None,
        "learning_seconds_left": 0.0,
        "learning_share": 1.0,
        "shadow_until": None,
        "breaker": {"max_signals": 100, "interval_seconds": 600.0, "tripped": False, "recovers": None},
    }
    return msgspec.convert(given | changes, Rule)


def learning(number: int, days_left: int) -> Rule:
    return rule(
        number,
        status="learning",
        learning_until=f"2026-05-{24 + days_left}T09:12:33.000Z",
        learning_seconds_left=days_left * 86_400.0,
        learning_share=0.25,
    )


def alert(number: int = 1, **changes: Any) -> Alert:
    given: dict[str, Any] = {
        "id": f"alert-{number}",
        "status": "open",
        "time": "2026-05-24T09:12:00.000Z",
        "came": NOW,
        "rule_id": "rule-1",
        "rule": "Rule 1",
        "severity": "high",
        "reason": "Rule 1: ada not seen in the 10 days before",
        "terms": [{"field": "user.name", "value": "ada"}],
    }
    return msgspec.convert(given | changes, Alert)


def client(**changes: Any) -> Client:
    given: dict[str, Any] = {
        "origin": "192.0.2.7",
        "tls": False,
        **dict.fromkeys(["connections", "chunks", "bytes", "in_flight", "refused"], 1),
        **dict.fromkeys(["lag_seconds", "last_chunk_seconds", "last_delivery_seconds"], 2.0),
    }
    return msgspec.convert(given | changes, Client)


def server(**changes: Any) -> Server:
    given: dict[str, Any] = {
        "address": "192.0.2.1:24224",
        "standby": False,
        "connections": 1,
        "in_flight": 0,
        "lag_seconds": None,
        "delivered": 5,
        "last_delivery_seconds": 3.0,
        "failures": 0,
        "trouble": "",
    }
    return msgspec.convert(given | changes, Server)


def state(**changes: Any) -> State:
    given: dict[str, Any] = {
        "keys": 33,
        "used_bytes": 32_768,
        "bound_bytes": 1 << 30,
        "used_ratio": 0.00003,
        "file_bytes": 65_536,
        "since": "2026-05-20T00:00:00.000Z",
        "forgotten": 7,
        "terms_dropped": 0,
        "alone": False,
        "uncopied": 0,
        "problems": [],
        "as_of": NOW,
    }
    return msgspec.convert(given | changes, State)


def status(**changes: Any) -> Status:
    """``rules__running=…`` is the key running of the part rules."""
    given: dict[str, Any] = {
        "version": "1.2.3",
        "revision": "",
        "now": NOW,
        "started": "2026-05-23T06:00:00.000Z",
        "uptime_seconds": 98_000.0,
        "ready": True,
        "reasons": [],
        "sums": {"records": True, "chunks": True, "matches": True},
        "records": dict.fromkeys(["received", "delivered", "rejected", "in_flight", "looked_at", "unseen", "late"], 0)
        | {"per_second": 0.0},
        "chunks": dict.fromkeys(
            ["received", "bytes", "delivered", "rejected", "quarantined", "repeated", "in_flight"], 0
        ),
        "matches": dict.fromkeys(["total", "open", "shadow", "degraded", "learning", "suppressed"], 0),
        "records_over_time": {"step_seconds": 10, "values": [0] * 360},
        "alerts_over_time": {"step_seconds": 1_800, "values": [0] * 48},
        "others_over_time": {"step_seconds": 1_800, "values": [0] * 48},
        "rules": {
            "running": [rule()],
            "not_running": [],
            "loaded": "2026-05-23T06:00:00.000Z",
            "learning_until": None,
            "problems": [],
            **dict.fromkeys(["not_runnable", "skipped", "flagged", "learning", "errors"], 0),
            **dict.fromkeys(["reloads", "failed_reloads", "problem_count"], 0),
        },
        "state": state(),
        "input": {
            "bound_bytes": 1 << 26,
            "paused": False,
            "lag_seconds": None,
            "clients": [],
            **dict.fromkeys(["connections", "in_flight_bytes", "pauses", "refused", "unreadable"], 0),
        },
        "output": {
            "servers": [server()],
            "lag_seconds": None,
            "unreachable_seconds": None,
            **dict.fromkeys(["waiting", "retries", "refused"], 0),
        },
        "log_lines_lost": 0,
        "latest_alerts": [],
        "latest_others": [],
    }
    for key, value in changes.items():
        part, _, inner = key.partition("__")
        if inner:
            given[part][inner] = value
        else:
            given[part] = value
    return msgspec.convert(msgspec.to_builtins(given), Status)


class Reading(HTMLParser):
    """What somebody reads who does not see: texts in order, elements, and nothing left open."""

    VOID = frozenset({"link", "meta"})

    def __init__(self, markup: object) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(str(markup))
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    @property
    def text(self) -> str:
        return " | ".join(self.texts)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of that name."""
        return [attributes for name, attributes in self.elements if name == tag]
