"""Chunks on a state that is shared: what they will claim is asked for first, and waited for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from firstseen.engine import Engine
from firstseen.errors import StoreError
from firstseen.forward.shapes import Shaper
from firstseen.metrics import Counts
from firstseen.pipeline import Outcome, Pipeline
from firstseen.steps import finished
from firstseen.store.redis.store import RedisStore
from support.redis import Fleet, RedisServer
from support.rulebook import call, rule_id, rule_set, rule_text
from support.wire import chunk_of

pytestmark = [pytest.mark.interop, pytest.mark.redis]

NOW_MS = 1_790_000_000_000
LONG = 60
ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"


class Bench:
    """One agent's pipeline on the state of a fleet."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.counts = Counts()
        self.engine = Engine(rule_set(rule_text()), store, self.counts, lambda: NOW_MS)
        self.pipeline = Pipeline(
            self.engine,
            Shaper(1 << 22, "", True, bytes),
            self.counts,
            key="alerts",
            max_decompressed=1 << 20,
            mode_of=lambda tag: "auto",
            shared=store,
        )

    def process(self, *records: dict[str, Any]) -> Outcome:
        return self.pipeline.process(chunk_of(forward(*records)), NOW_MS)


def forward(*records: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(["aws", [[1, record] for record in records], {"chunk": "c-1"}])
    return packed


def alerts(outcome: Outcome) -> list[str]:
    """The identities with an alert."""
    frames = [msgpack.unpackb(b"".join(map(bytes, frame.pieces))) for frame in outcome.frames]
    records = [record for frame in frames for _, record in frame[1]]
    return [record["userIdentity"]["arn"] for record in records if "alerts" in record]


@pytest.fixture
def fleet(redis_server: RedisServer, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(redis_server, tmp_path)
    yield made
    made.close()


def test_of_two_agents_one_alerts(fleet: Fleet) -> None:
    one, other = Bench(fleet.agent("a")), Bench(fleet.agent("b"))
    first = one.process(call(ADA, "e-1"), call(BOB, "e-2"))
    assert alerts(first) == [ADA, BOB]
    one.store.confirm(first.claims).result(LONG)
    second = other.process(call(BOB, "e-3"), call(ADA, "e-1"))
    assert alerts(second) == []
    assert len(second.claims) == 2


def test_what_such_records_claim_is_asked_for_without_a_look_at_them(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(fleet.agent())
    bench.store.confirm(bench.process(call(ADA, "e-1"), call(BOB, "e-2")).claims).result(LONG)

    def looks(*_: object, **__: object) -> None:
        raise AssertionError("it was looked at")

    monkeypatch.setattr(Engine, "wanted", looks)
    monkeypatch.setattr(Engine, "inspect", looks)
    again = bench.process(call(ADA, "e-3"), call(BOB, "e-4"), call(ADA, "e-5"))
    assert alerts(again) == []
    bench.store.confirm(again.claims).result(LONG)
    counts = {each.terms[0]: each.memory.count for each in bench.store.entries()}
    assert counts == {ADA: 3, BOB: 2}


def test_a_chunk_waits_for_the_alert_of_another_agent(fleet: Fleet) -> None:
    one, other = Bench(fleet.agent("a")), Bench(fleet.agent("b"))
    first = one.process(call(ADA, "e-1"))
    steps = other.pipeline.steps(chunk_of(forward(call(ADA, "e-2"))), NOW_MS)
    awaited = next(step for step in steps if step is not None)
    assert not awaited.done()
    one.engine.release(first.claims)
    awaited.result(LONG)
    assert alerts(finished(steps)) == [ADA]


def test_rules_that_change_while_it_waits(fleet: Fleet) -> None:
    one, other = Bench(fleet.agent("a")), Bench(fleet.agent("b"))
    first = one.process(call(ADA, "e-1"))
    steps = other.pipeline.steps(chunk_of(forward(call(ADA, "e-2"))), NOW_MS)
    next(step for step in steps if step is not None)
    other.engine.use(other.engine.lineup(rule_set(rule_text(), rule_text(rule_id=rule_id(2)))))
    one.engine.release(first.claims)
    outcome = finished(steps)
    assert len(outcome.claims) == 2
    assert alerts(outcome) == [ADA]


def test_a_state_that_is_closed_leaves_nothing_claimed(fleet: Fleet) -> None:
    bench = Bench(fleet.agent())
    bench.store.close()
    with pytest.raises(StoreError, match="closed"):
        bench.process(call(ADA, "e-1"))
