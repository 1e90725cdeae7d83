from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.store.base import Entry, History, RuleState
from firstseen.store.lmdb import LmdbStore
from firstseen.store.redis.bringing import Bringing
from firstseen.store.redis.merging import Merging
from firstseen.store.redis.owed import Owed
from support.redis import RedisServer, new_prefix

pytestmark = pytest.mark.redis

RULE = RuleState(b"8 bytes.", "rule", "Rule", 10_000)
LAW = NewTermsLaw(10_000)


class Bench:
    def __init__(self, server: RedisServer, copy: LmdbStore) -> None:
        self.copy = copy
        self.shared = Merging(server.link(), new_prefix())
        self.owed = Owed(all_unmerged=False)
        self.ends = False
        self.bringing = Bringing(copy, self.owed, threading.RLock(), lambda: self.ends)

    def remember(self, term: str, event: str, time_ms: int = 100) -> None:
        claim = self.copy.claim(RULE, (term,), Occurrence(time_ms, event), LAW)
        self.owed.claim(claim, state_key(RULE.key, (term,)))
        self.copy.confirm([claim]).result(10)
        self.owed.settle([claim], may_be_there=True)


@pytest.fixture
def bench(redis_server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    copy = LmdbStore.open(tmp_path / "copy", 1 << 22, durable=False, alone=True)
    made = Bench(redis_server, copy)
    yield made
    made.shared.close()
    copy.close()


def test_what_is_owed_is_merged_and_histories_are_registered(bench: Bench) -> None:
    bench.shared.absorb([], [Entry(RULE.key, ("x",), Sighting(50, 60, 7, "e0", "e0"))])
    bench.remember("x", "e1")
    bench.bringing.register([History(RULE, 5)])
    assert bench.bringing.registers

    bench.bringing.catch_up(bench.shared)

    assert bench.shared.get(RULE.key, ("x",)) == Sighting(50, 100, 7, "e1", "e1")
    assert list(bench.shared.rules()) == [History(RULE, 5)]
    assert not bench.owed
    assert not bench.bringing.registers


def test_all_of_the_copy_is_merged_where_that_is_owed(bench: Bench) -> None:
    bench.copy.register([RULE], 5)
    bench.remember("x", "e1")
    bench.owed.begin(1)
    bench.owed.end(is_merged=True)
    bench.owed.all_unmerged = bench.ends = True
    with pytest.raises(StoreError, match="the agent ends"):
        bench.bringing.catch_up(bench.shared)
    assert bench.owed.all_unmerged
    bench.ends = False

    bench.bringing.catch_up(bench.shared)

    assert bench.shared.get(RULE.key, ("x",)) == Sighting(100, 100, 1, "e1", "e1")
    assert not bench.owed


def test_what_fails_is_owed_still(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.remember("x", "e1")

    def fails(*_: object) -> None:
        raise StoreError("away")

    with monkeypatch.context() as patch:
        patch.setattr(bench.shared, "absorb", fails)
        with pytest.raises(StoreError, match="away"):
            bench.bringing.catch_up(bench.shared)
    assert bench.owed.is_unmerged
    bench.bringing.catch_up(bench.shared)
    assert bench.shared.get(RULE.key, ("x",)) is not None
