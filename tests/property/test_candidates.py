"""Whichever way the candidates of a chunk are found, what comes of it is what comes of showing every record to all."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstseen import candidates
from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.forward.shapes import Shaper
from firstseen.metrics import Counts
from firstseen.pipeline import Pipeline
from firstseen.record.view import Mode
from firstseen.rules.ruleset import RuleSet
from firstseen.seen import Earlier
from firstseen.store.lmdb import LmdbStore
from support.rulebook import ARN, call, rule_id, rule_set, rule_text
from support.wire import chunk_of

NOW_MS = 1_790_000_000_000
KEY = "aws.cloudtrail.user_identity.access_key_id"
Record = dict[str, Any]

_QUERIES = [
    "event.action: (GetUser or ListUsers) and event.outcome: success",
    "event.action: Describe*",
    "event.action: PutObject and aws.cloudtrail.flattened.request_parameters.key: (a.pem or b.pem)",
    "event.action: ConsoleLogin and not source.ip: 192.0.2.7",
    f"{KEY}: AKIA*",
    f"{KEY}: AKIA* and event.action: GetUser",
    "event.outcome: failure and event.provider: iam.amazonaws.com",
    *(f"event.action: Rare{number}" for number in range(8)),
]
RULES = rule_set(
    *(
        rule_text(query, [ARN] if number % 2 else [ARN, "source.ip"], rule_id=rule_id(number))
        for number, query in enumerate(_QUERIES)
    )
)

NAMES = st.sampled_from(
    [*["GetUser"] * 3, "ListUsers", "DescribeInstances", "PutObject", "ConsoleLogin", "Rare3", "Nothing", "Else", 7]
)


@st.composite
def events(draw: st.DrawFn) -> Record:
    """Records of CloudTrail, most of them usual, from few callers."""
    record = call(f"arn:aws:iam::111122223333:user/{draw(st.sampled_from(['ada', 'ada', 'bob']))}", "?", "?")
    record["eventName"] = draw(NAMES)
    record["eventID"] = draw(st.sampled_from(["e-1", "e-2", "e-3", "e-4", "e-5", "-"]))
    record["userIdentity"]["accessKeyId"] = draw(st.sampled_from(["AKIA1", "AKIA2", "ASIA1", "ASIA2"]))
    odd: list[Record] = [
        {},
        {"errorCode": "AccessDenied"},
        {"requestParameters": {"key": "a.pem"}},
        {"requestParameters": {"key": "c"}},
        {"sourceIPAddress": "192.0.2.7"},
        {"note": "\\u0041"},
        {"userIdentity": {"arn": ["AKIA3"]}},
        {"Records": [dict(record)]},
        {"note": "AKIA9"},
    ]
    return record | draw(st.sampled_from([*[{}] * 6, *odd]))


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Events as such or as text, and what is none."""
    event = draw(events())
    return draw(st.sampled_from([*[event] * 12, {"log": json.dumps(event)}, {"detail": event}, {"n": 1}]))


def digest_of(record: Record) -> str:
    """By what an event without an id is known: the bytes of its entry."""
    return f"sha256:{hashlib.sha256(msgpack.packb([1, record])).hexdigest()}"


class Glancing(candidates.Candidates):
    """By glances wherever that may be."""

    _are_many = property(lambda _: True, lambda _, value: None)  # type: ignore[assignment]


class Searching(candidates.Candidates):
    """Never so."""

    _are_many = property(lambda _: False, lambda _, value: None)  # type: ignore[assignment]


class Way:
    """A pipeline that finds candidates in one way."""

    def __init__(self, rules: RuleSet, path: Path, mode: Mode, way: candidates.Candidates) -> None:
        self.store = LmdbStore.open(path, 1 << 24, durable=False)
        self.counts = Counts()
        self.engine = Engine(rules, self.store, self.counts, lambda: NOW_MS)
        self._mode: Mode = mode
        self._pipeline = Pipeline(
            self.engine,
            Shaper(1 << 22, "", True, bytes),
            self.counts,
            key="alerts",
            max_decompressed=1 << 22,
            mode_of=lambda _: mode,
        )
        self._pipeline._candidates = way

    def take(self, chunk: Sequence[Record], now_ms: int) -> list[Any]:
        frame = msgpack.packb(["t", [[1, record] for record in chunk], {"chunk": "c"}])
        outcome = self._pipeline.process(chunk_of(frame), now_ms)
        self.store.confirm(outcome.claims).result()
        return [
            record.get("alerts")
            for frame in outcome.frames
            for _, record in msgpack.unpackb(b"".join(map(bytes, frame.pieces)))[1]
        ]

    def take_all(self, chunk: Sequence[Record], now_ms: int) -> list[Any]:
        """Without a search, without a glance."""
        labels, claims = [], []
        earlier: Earlier = {}
        for record in chunk:
            digest = functools.partial(digest_of, record)
            seen = self.engine.inspect(record, Moment(now_ms, 1_000), digest, self._mode, earlier=earlier)
            labels.append(list(seen.labels) or None)
            claims += seen.claims
        self.store.confirm(claims).result()
        return labels

    def state(self) -> list[Any]:
        counts = self.counts
        return [*self.store.entries(), counts.matches, counts.alerts, counts.suppressed, counts.records_late]


@pytest.mark.parametrize("mode", ["auto", "cloudtrail", "ecs"])
@settings(deadline=None, max_examples=60)
@given(chunks=st.lists(st.lists(records(), min_size=1, max_size=12), min_size=1, max_size=4), stretch=st.integers(1, 6))
def test_all_ways_lead_to_the_same(mode: Mode, chunks: list[list[Record]], stretch: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "MOST_ENTRIES", stretch)
        patch.setattr(candidates, "STRETCH", stretch << 9)
        glancing, searching, plain = (
            Way(RuleSet(RULES.rules), Path(folder, f"{number}"), mode, way())
            for number, way in enumerate((Glancing, Searching, Searching))
        )
        try:
            for number, chunk in enumerate(chunks):
                now_ms = NOW_MS + number * 3_600_000
                by_glances = glancing.take(chunk, now_ms)
                assert by_glances == searching.take(chunk, now_ms)
                assert by_glances == plain.take_all(chunk, now_ms)
            assert glancing.state() == searching.state()
            assert glancing.counts == searching.counts
            assert glancing.state()[-4:] == plain.state()[-4:]
        finally:
            for way in (glancing, searching, plain):
                way.store.close()
