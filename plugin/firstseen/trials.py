"""Runs the tests of a rule: its events through the engine, on a state of their own, and what came of them.

The clock is that of past logs: each event's own time. Nothing is kept.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from msgspec import Struct

from firstseen.detect.keys import digest_of
from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.eventfiles import decode_object, encode_object
from firstseen.metrics import Counts
from firstseen.record.digest import is_digest
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.instant import iso
from firstseen.record.source import Source
from firstseen.record.view import View, contents, unavailable, views
from firstseen.rules.loader import keyed
from firstseen.rules.requirements import hindrances
from firstseen.rules.ruleset import RuleSet
from firstseen.rules.testing import Record, RuleTest, Step, take
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


def run_test(rules: RuleSet, test: RuleTest, enrichment: Enrichment = UNENRICHED) -> Sequence[Mismatch]:
    """Run one test, with what ``enrichment`` knows of addresses; what came otherwise than it says."""
    with tempfile.TemporaryDirectory(prefix="firstseen-test-") as folder:
        store = LmdbStore.open(Path(folder), MAP_SIZE, durable=False)
        try:
            return list(_Trial(rules, store, enrichment).run(test))
        finally:
            store.close()


class _Trial:
    """One test on its way: the time of the last event, and the ids that the events of each record had when it came."""

    def __init__(self, rules: RuleSet, store: LmdbStore, enrichment: Enrichment) -> None:
        self._store = store
        self._enrichment = enrichment
        self._engine = Engine(rules, store, Counts(), lambda: EPOCH_MS, enrichment)
        self._now_ms: int | None = None
        self._ids: dict[str, Sequence[str]] = {}
        self._events = 0

    def run(self, test: RuleTest) -> Iterator[Mismatch]:
        for step in test.steps:
            labels = [label for record in self._timed(step) for label in self._labels(record)]
            mismatch = _compared(step, labels, self._hindrance(step) if len(labels) < step.expected.count else "")
            if mismatch is not None:
                yield mismatch

    def _hindrance(self, step: Step) -> str:
        """For lack of which fields the rule matches no event of the step, in words; empty where it is not for that."""
        if not all(view.kind == "cloudtrail" for record in step.records for view in views(record)):
            return ""

        def lacking(field: str) -> str | None:
            return unavailable(field, self._enrichment)

        fields = {each for rule in self._engine.rules.rules for each in hindrances(rule.node, keyed(rule), lacking)}
        return ", ".join(str(lacking(field)) for field in sorted(fields))

    def _timed(self, step: Step) -> Iterator[Record]:
        """The step's records as they come, each with its time and its id."""
        own_time = step.at_ms is None and step.after_ms is None and step.repeat == 1
        start_ms = step.at_ms
        if start_ms is None:
            before_ms = EPOCH_MS if self._now_ms is None else self._now_ms
            start_ms = before_ms + (step.after_ms or 0)
        written = [json.dumps(record, sort_keys=True) for record in step.records]
        for turn in range(step.repeat):
            for record, text in zip(step.records, written, strict=True):
                stamped = decode_object(encode_object(record))
                found = contents(stamped)
                own_ms = next((ms for view in reversed(found.views) if (ms := _time_of(view)) is not None), None)
                if own_time and own_ms is not None:
                    self._now_ms = own_ms
                else:
                    self._now_ms = start_ms + turn * step.every_ms
                    for view in found.views:
                        _stamp(view, self._now_ms)
                self._ids[text] = self._ids_of(found.views, self._ids.get(text), step)
                for view, event_id in zip(found.views, self._ids[text], strict=True):
                    _replace(view, "eventID" if view.kind == "cloudtrail" else "event.id", event_id)
                if found.key is not None:
                    stamped[found.key] = encode_object(found.said).decode()
                yield stamped

    def _ids_of(self, views: Sequence[View], before: Sequence[str] | None, step: Step) -> Sequence[str]:
        """The ids of the events of a record, which had the ids ``before`` when it came before."""
        if not step.same:
            return [self._new_id() for _ in views]
        return [view.event_id or self._new_id() for view in views] if before is None else before

    def _new_id(self) -> str:
        self._events += 1
        return f"00000000-0000-4000-8000-{self._events:012}"

    def _labels(self, record: Record) -> Sequence[Mapping[str, Any]]:
        raw = encode_object(record)
        moment = Moment(arrival=None, entry=EPOCH_MS if self._now_ms is None else self._now_ms)
        inspection = self._engine.inspect(record, moment, lambda: digest_of(raw))
        self._store.confirm(inspection.claims).result()
        return inspection.labels


def _time_of(view: View) -> int | None:
    return view.ingested_ms if view.timestamp_ms is None else view.timestamp_ms


def _stamp(view: View, time_ms: int) -> None:
    """Let the event happen at this time; what lies between that and its ingestion stays."""
    own_ms, ingested_ms = _time_of(view), view.ingested_ms
    if own_ms is not None and ingested_ms is not None:
        _replace(view, "event.ingested", iso(time_ms + ingested_ms - own_ms))
    name = "@timestamp"
    if view.kind == "cloudtrail":
        name = "digestEndTime" if is_digest(Source(view.record)) else "eventTime"
    _replace(view, name, iso(time_ms))


def _replace(view: View, name: str, value: str) -> None:
    """Change what ``view`` reads under ``name``, however that is spelt; ``view`` itself may not notice."""
    record = cast(Record, view.record)
    while take(record, name):
        pass
    record[name] = value


def _compared(step: Step, labels: Sequence[Mapping[str, Any]], hindrance: str) -> Mismatch | None:
    """What is wrong with the ``labels`` of a step, which are compared in their order; why there can be none."""
    expected = step.expected
    if len(labels) != expected.count:
        got = f"and no event of CloudTrail can match here: {hindrance}" if hindrance else f"got {len(labels) or 'none'}"
        what = f"expected {_alerts(expected.count)}, {got}"
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
