"""Runs the tests of a rule: its events through the engine, on a state of their own, and what came of them.

The clock is that of past logs: each event's own time. Nothing is kept.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.eventfiles import encode_object
from firstseen.metrics import Counts
from firstseen.record.instant import iso
from firstseen.record.view import views
from firstseen.rules.ruleset import RuleSet
from firstseen.rules.testing import Record, RuleTest, Step, put
from firstseen.store.lmdb import LmdbStore

EPOCH_MS = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""When an event happens that has no time of its own, and comes after none that has."""

MAP_SIZE = 1 << 28


class Mismatch(Struct, frozen=True):
    """A step that came to something else: ``line`` is where it stands, ``what`` went wrong, and both sides of it."""

    line: int | None
    what: str
    expected: Sequence[Mapping[str, Any]]
    actual: Sequence[Mapping[str, Any]]


def run_test(rules: RuleSet, test: RuleTest) -> Sequence[Mismatch]:
    """Run one test; what came otherwise than it says."""
    with tempfile.TemporaryDirectory(prefix="firstseen-test-") as folder:
        store = LmdbStore.open(Path(folder), MAP_SIZE, durable=False)
        try:
            return list(_Trial(rules, store).run(test))
        finally:
            store.close()


class _Trial:
    """One test on its way; ``now_ms`` is the time of the last event."""

    def __init__(self, rules: RuleSet, store: LmdbStore) -> None:
        self._store = store
        self._engine = Engine(rules, store, Counts(), lambda: EPOCH_MS)
        self._now_ms: int | None = None
        self._events = 0

    def run(self, test: RuleTest) -> Iterator[Mismatch]:
        for step in test.steps:
            labels = [label for record in self._timed(step) for label in self._labels(record)]
            mismatch = _compared(step, labels)
            if mismatch is not None:
                yield mismatch

    def _timed(self, step: Step) -> Iterator[Record]:
        """The step's records as they come, each with its time and its id."""
        own_time = step.at_ms is None and step.after_ms is None and step.repeat == 1
        start_ms = step.at_ms
        if start_ms is None:
            before_ms = EPOCH_MS if self._now_ms is None else self._now_ms
            start_ms = before_ms + (step.after_ms or 0)
        for turn in range(step.repeat):
            for record in step.records:
                stamped = msgspec.json.decode(encode_object(record))
                own_ms = _time_of(stamped)
                if own_time and own_ms is not None:
                    self._now_ms = own_ms
                else:
                    self._now_ms = start_ms + turn * step.every_ms
                    _stamp(stamped, self._now_ms)
                if not step.same:
                    self._events += 1
                    _number(stamped, self._events)
                yield stamped

    def _labels(self, record: Record) -> Sequence[Mapping[str, Any]]:
        raw = encode_object(record)
        moment = Moment(arrival=None, entry=EPOCH_MS if self._now_ms is None else self._now_ms)
        inspection = self._engine.inspect(record, moment, lambda: "sha256:" + hashlib.sha256(raw).hexdigest())
        self._store.confirm(inspection.claims).result()
        return inspection.labels


def _time_of(record: Record) -> int | None:
    return next((view.timestamp_ms for view in views(record) if view.timestamp_ms is not None), None)


def _stamp(record: Record, time_ms: int) -> None:
    put(record, "eventTime" if _is_cloudtrail(record) else "@timestamp", iso(time_ms))


def _number(record: Record, number: int) -> None:
    put(record, "eventID" if _is_cloudtrail(record) else "event.id", f"00000000-0000-4000-8000-{number:012}")


def _is_cloudtrail(record: Record) -> bool:
    return any(view.kind == "cloudtrail" for view in views(record))


def _compared(step: Step, labels: Sequence[Mapping[str, Any]]) -> Mismatch | None:
    """What is wrong with the ``labels`` of a step, which are compared in their order."""
    expected = step.expected
    if len(labels) != expected.count:
        what = f"expected {_alerts(expected.count)}, got {len(labels) or 'none'}"
        return Mismatch(step.line, what, expected.said, [_told(label) for label in labels])
    actual = [_in_part(_told(label), said) for label, said in zip(labels, expected.said, strict=False)]
    if actual != list(expected.said):
        return Mismatch(step.line, "an alert says something else", expected.said, actual)
    return None


def _alerts(count: int) -> str:
    return "no alert" if not count else f"{count} alert{'s' if count > 1 else ''}"


def _told(label: Mapping[str, Any]) -> dict[str, Any]:
    """What tests speak of: the label's own words, what its rule says of it, and its values, side by side."""
    told: dict[str, Any] = {"values": []}
    for key, value in label.items():
        if key == "rule":
            told["rule"] = value["id"]
            told |= {name: value[name] for name in ("name", "severity", "risk_score")}
        elif isinstance(value, dict):
            told |= value
        else:
            told[key] = value
    return told


def _in_part(told: Mapping[str, Any], wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: told.get(key) for key in wanted}
