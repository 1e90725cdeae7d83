"""The label that a matching record gets: one map per rule and terms, in the shape that `docs/rules.md` documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firstseen.detect.threshold import Tally
from firstseen.model import Scalar, TermValue
from firstseen.record.instant import iso
from firstseen.rules.rule import NewTerms, Rule, Threshold


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
    shown = _shown(terms)
    reason = f"{rule.name}: {_listed(shown)} not seen in the {_spoken(kind.window)} before"
    return {
        **_head(rule, alert_id, time_ms, reason, status),
        "new_terms": {
            "fields": list(kind.fields),
            "values": shown,
            "window": kind.window,
            "last_seen": None if last_seen is None else iso(last_seen),
        },
    }


def threshold_label(
    rule: Rule,
    kind: Threshold,
    terms: Sequence[Scalar],
    *,
    alert_id: str,
    time_ms: int,
    tally: Tally,
    status: str = "open",
) -> dict[str, Any]:
    """The label of the event that made the count of ``terms`` full; ``tally`` is what counted with it."""
    shown = _shown(terms)
    matches = f"{tally.count} match{'' if tally.count == 1 else 'es'}"
    of_whom = f" of {_listed(shown)}" if shown else ""
    threshold: dict[str, Any] = {
        "fields": list(kind.fields),
        "values": shown,
        "count": tally.count,
        "from": iso(tally.since_ms),
    }
    with_values = ""
    if kind.cardinality is not None:
        threshold["cardinality"] = {"field": kind.cardinality.field, "value": tally.distinct}
        with_values = f" with {tally.distinct} different {kind.cardinality.field}"
    reason = f"{rule.name}: {matches}{of_whom}{with_values} since {iso(tally.since_ms)}"
    return {**_head(rule, alert_id, time_ms, reason, status), "threshold": threshold}


def match_label(
    rule: Rule, *, alert_id: str, time_ms: int, group: Sequence[TermValue] | None, status: str = "open"
) -> dict[str, Any]:
    """The label of a match that is an alert by itself; ``group`` is what others must share to be held back by it."""
    label = _head(rule, alert_id, time_ms, rule.name, status)
    if rule.suppression is not None and group is not None:
        label["suppression"] = {"fields": list(rule.suppression.fields), "values": _shown(group)}
    return label


def _head(rule: Rule, alert_id: str, time_ms: int, reason: str, status: str) -> dict[str, Any]:
    return {
        "id": alert_id,
        "status": status,
        "time": iso(time_ms),
        "reason": reason,
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
    }


def _shown(terms: Sequence[TermValue]) -> list[TermValue]:
    return [_readable(term) if isinstance(term, str) else term for term in terms]


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _listed(terms: Sequence[TermValue]) -> str:
    return ", ".join(str(term).lower() if isinstance(term, bool) else str(term) for term in terms)


_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "M": "month", "y": "year"}


def _spoken(window: str) -> str:
    """``10d`` as ``10 days``."""
    number, unit = window[:-1], _UNITS.get(window[-1:])
    if unit is None:
        return window
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
