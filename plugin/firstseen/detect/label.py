"""The label that a matching record gets: one map per rule and terms, in the shape that `docs/rules.md` documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firstseen.model import Scalar
from firstseen.record.instant import iso
from firstseen.rules.rule import NewTerms, Rule


def new_terms_label(
    rule: Rule,
    kind: NewTerms,
    terms: Sequence[Scalar],
    *,
    alert_id: str,
    time_ms: int,
    last_seen: int | None,
    status: str = "open",
) -> dict[str, Any]:
    """The label of one alert. ``time_ms`` is the event's time, ``last_seen`` the sighting before this one or None.

    Terms that are no Unicode text (odd bytes, half surrogate pairs) are shown with replacement characters, so that
    every peer can read the label; the id is made of the terms themselves.
    """
    shown = [_readable(term) if isinstance(term, str) else term for term in terms]
    return {
        "id": alert_id,
        "status": status,
        "time": iso(time_ms),
        "reason": f"{rule.name}: {_listed(shown)} not seen in the {_spoken(kind.window)} before",
        "rule": {
            "id": rule.id,
            "name": rule.name,
            "type": rule.type,
            "severity": rule.severity,
            "risk_score": rule.risk_score,
            "tags": list(rule.tags),
            "threat": list(rule.threat),
            "references": list(rule.references),
            "license": rule.license,
            "hash": rule.hash,
        },
        "new_terms": {
            "fields": list(kind.fields),
            "values": shown,
            "window": kind.window,
            "last_seen": None if last_seen is None else iso(last_seen),
        },
    }


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _listed(terms: Sequence[Scalar]) -> str:
    return ", ".join(str(term).lower() if isinstance(term, bool) else str(term) for term in terms)


_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "M": "month", "y": "year"}


def _spoken(window: str) -> str:
    """``10d`` as ``10 days``."""
    number, unit = window[:-1], _UNITS.get(window[-1:])
    if unit is None:
        return window
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
