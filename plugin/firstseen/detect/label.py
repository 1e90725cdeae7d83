"""The label that a matching record gets: one map per alert, in the shape that `docs/rules.md` documents.

All kinds of rules share what is said of the alert and of its rule; those that look beyond the one event say under a key
of their own what they saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from firstseen.detect.overrides import told
from firstseen.detect.threshold import Tally
from firstseen.kql.scalars import text_of
from firstseen.model import Fields, TermValue
from firstseen.record.instant import iso
from firstseen.rules.rule import NewTerms, Rule, Threshold

Value = TypeVar("Value", bound=TermValue)


class Standing(StrEnum):
    """How an alert is meant, which its label says as ``status``."""

    OPEN = "open"
    """Somebody should look at it."""
    LEARNING = "learning"
    """Its rule still learns what is usual."""
    SHADOW = "shadow"
    """Its rule is being tried out."""
    DEGRADED = "degraded"
    """Its rule has raised more alerts than anybody would look at."""


_MOST_SHOWN = 5
"""Values of one field that a reason names; the rest is counted."""


def new_terms_label(
    rule: Rule,
    kind: NewTerms,
    terms: Sequence[TermValue],
    view: Fields,
    *,
    alert_id: str,
    time_ms: int,
    last_seen: int | None,
    status: Standing = Standing.OPEN,
) -> dict[str, Any]:
    """The label of an alert on ``terms``; ``time_ms`` is the event's time, ``last_seen`` the sighting before."""
    shown = _readable(terms)
    label = _label(
        rule, view, alert_id, time_ms, status, f"{_listed(shown)} not seen in the {_spoken(kind.window)} before"
    )
    label["new_terms"] = {
        "fields": list(kind.fields),
        "values": shown,
        "window": kind.window,
        "last_seen": None if last_seen is None else iso(last_seen),
    }
    return label


def threshold_label(
    rule: Rule,
    kind: Threshold,
    terms: Sequence[TermValue],
    view: Fields,
    *,
    alert_id: str,
    time_ms: int,
    tally: Tally,
    status: Standing = Standing.OPEN,
) -> dict[str, Any]:
    """The label of the event that made the count of ``terms`` full; ``tally`` is what counted with it."""
    shown = _readable(terms)
    counted = kind.cardinality
    what = f"{tally.count} {'match' if tally.count == 1 else 'matches'}"
    what += f" of {_listed(shown)}" if shown else ""
    what += f" with {tally.distinct} different {counted.field}" if counted else ""
    label = _label(rule, view, alert_id, time_ms, status, f"{what} since {iso(tally.since_ms)}")
    label["threshold"] = {
        "fields": list(kind.fields),
        "values": shown,
        "count": tally.count,
        "from": iso(tally.since_ms),
    }
    if counted is not None:
        label["threshold"]["cardinality"] = {"field": counted.field, "value": tally.distinct}
    return label


def match_label(
    rule: Rule,
    view: Fields,
    *,
    alert_id: str,
    time_ms: int,
    group: Sequence[TermValue] | None,
    status: Standing = Standing.OPEN,
) -> dict[str, Any]:
    """The label of a match that is an alert by itself; ``group`` is what others must share to be held back by it."""
    label = _label(rule, view, alert_id, time_ms, status, _deed(view))
    if rule.suppression is not None and group is not None:
        label["suppression"] = {"fields": list(rule.suppression.fields), "values": _readable(group)}
    return label


def is_for_people(label: Mapping[str, Any]) -> bool:
    """Whether somebody should be told: only of what is open, and not of what only other rules look at."""
    return label["status"] == Standing.OPEN and "building_block" not in label


def _label(rule: Rule, view: Fields, alert_id: str, time_ms: int, status: Standing, what: str) -> dict[str, Any]:
    name, severity, risk_score = told(rule, view)
    label: dict[str, Any] = {
        "id": alert_id,
        "status": status.value,
        "time": iso(time_ms),
        "reason": f"{_text(name)}: {what}",
        "rule": {
            "id": rule.id,
            "name": _text(name),
            "type": rule.type,
            "severity": severity,
            "risk_score": risk_score,
            "tags": list(rule.tags),
            "threat": list(rule.threat),
            "references": list(rule.references),
            "license": rule.license,
            "hash": rule.hash,
        },
    }
    if rule.building_block:
        label["building_block"] = True
    return label


def _deed(view: Fields) -> str:
    """What happened, as far as the event says: what was done, by whom, on which host, from where."""
    parts = [
        f"{word} {_listed(_readable(values))}".lstrip()
        for word, *fields in _DEED
        if (values := next(filter(None, map(view.values, fields)), ()))
    ]
    return " ".join(parts) or "an event matched"


_DEED = (
    ("", "event.action", "event.category"),
    ("by", "user.name", "aws.cloudtrail.user_identity.arn", "user.id"),
    ("on", "host.name", "host.id"),
    ("in", "cloud.account.id"),
    ("from", "source.ip", "source.address"),
)


def _readable(values: Sequence[Value]) -> list[Value | str]:
    """Texts that are no Unicode (odd bytes, half surrogate pairs) with replacement characters, for every peer to read.

    The id is made of the values themselves.
    """
    return [_text(value) if isinstance(value, str) else value for value in values]


def _text(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _listed(values: Sequence[TermValue]) -> str:
    listed = ", ".join("nothing" if value is None else text_of(value) for value in values[:_MOST_SHOWN])
    return listed if len(values) <= _MOST_SHOWN else f"{listed} and {len(values) - _MOST_SHOWN} more"


_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}


def _spoken(window: str) -> str:
    """``10d`` as ``10 days``."""
    number, unit = window[:-1], _UNITS[window[-1]]
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
