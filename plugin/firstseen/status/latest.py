"""The latest alerts: those for people, and apart from them, so that they do not push them out, all others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from firstseen.detect.label import is_for_people
from firstseen.record.instant import iso
from firstseen.status.report import Alert, Term

MOST = 50
MOST_OTHERS = 20

LONGEST_VALUE = 300
LONGEST_REASON = 1_000
MOST_TERMS = 8


class Latest:
    """Takes the labels of records as they are made. An alert that comes again, with the same id, is one alert."""

    def __init__(self, most: int = MOST, most_others: int = MOST_OTHERS) -> None:
        self._people = _Ring(most)
        self._others = _Ring(most_others)

    def add(self, labels: Sequence[Mapping[str, Any]], came_ms: int) -> None:
        """A record with these labels came."""
        for label in labels:
            (self._people if is_for_people(label) else self._others).add(label, came_ms)

    def for_people(self) -> tuple[Alert, ...]:
        """Those that are for people, newest first."""
        return tuple(self._people)

    def others(self) -> tuple[Alert, ...]:
        """All others, newest first."""
        return tuple(self._others)


class _Ring:
    def __init__(self, most: int) -> None:
        self._most = most
        self._by_id: dict[str, tuple[Mapping[str, Any], int]] = {}

    def add(self, label: Mapping[str, Any], came_ms: int) -> None:
        by_id = self._by_id
        by_id.pop(label["id"], None)
        by_id[label["id"]] = (label, came_ms)
        if len(by_id) > self._most:
            del by_id[next(iter(by_id))]

    def __iter__(self) -> Iterator[Alert]:
        return (_told(label, came_ms) for label, came_ms in reversed(self._by_id.values()))


def _told(label: Mapping[str, Any], came_ms: int) -> Alert:
    rule = label["rule"]
    return Alert(
        id=label["id"],
        status=label["status"],
        time=label["time"],
        came=iso(came_ms),
        rule_id=rule["id"],
        rule=rule["name"],
        severity=rule["severity"],
        reason=_cut(label["reason"], LONGEST_REASON),
        terms=tuple(_terms(label)),
    )


def _terms(label: Mapping[str, Any]) -> Iterator[Term]:
    """What rules that remember have remembered it under, whichever kind they are of."""
    held = label.get("new_terms") or label.get("threshold") or label.get("suppression") or {"fields": [], "values": []}
    for field, value in list(zip_longest(held["fields"], held["values"], fillvalue=""))[:MOST_TERMS]:
        yield Term(field=_cut(field, LONGEST_VALUE), value="" if value is None else _cut(str(value), LONGEST_VALUE))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
