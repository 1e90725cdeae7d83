from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import DamagedError, Entry, History, Memory, RuleState
from firstseen.store.disk import RULES
from firstseen.store.lmdb import LmdbStore
from firstseen.store.redis.bringing import Bringing
from firstseen.store.redis.merging import Merging
from firstseen.store.redis.owed import Owed
from support.redis import RedisServer, new_prefix

pytestmark = pytest.mark.redis

RULE = RuleState(b"8 bytes.", "rule", "Rule", 10_000)
OTHER = RuleState(b"8 others", "other", "Other", 10_000)
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


def test_what_cannot_be_read_in_the_copy_keeps_nothing_else(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for term in ("x", "y"):
        bench.remember(term, "e1")
    get = bench.copy.get

    def damaged(rule_key: bytes, terms: Sequence[TermValue]) -> Memory | None:
        if terms == ("x",):
            raise DamagedError("a page of it is broken")
        return get(rule_key, terms)

    monkeypatch.setattr(bench.copy, "get", damaged)

    bench.bringing.catch_up(bench.shared)

    assert [entry.terms for entry in bench.shared.entries()] == [("y",)]
    assert not bench.owed


def test_a_history_that_is_new_here_began_when_it_did_there(bench: Bench) -> None:
    """The clock of this agent may be behind."""
    bench.shared.begin_histories([History(RULE, 1_000)])

    assert bench.bringing.begin(bench.shared, [RULE, OTHER], 1) == [1_000, 1]

    for state in (bench.shared, bench.copy):
        assert dict(state.rules()) == {RULE: 1_000, OTHER: 1}


def test_a_history_of_the_copy_may_have_begun_before_what_is_there(bench: Bench) -> None:
    bench.copy.register([RULE], 500)
    bench.shared.begin_histories([History(RULE, 1_000)])

    assert bench.bringing.begin(bench.shared, [RULE], 2_000) == [500]

    assert list(bench.shared.rules()) == list(bench.copy.rules()) == [History(RULE, 500)]


def test_a_history_that_is_damaged_matters_to_its_own_rule_alone(bench: Bench) -> None:
    bench.copy._writer.run(lambda: bench.copy._put((RULES, {b"8 broken": b"\0"}))).result(10)
    bench.copy.register([RULE], 7)

    assert bench.bringing.begin(bench.shared, [RULE], 9) == [7]


def test_the_clock_of_forgetting_begins_when_the_copy_does(bench: Bench) -> None:
    bench.shared.begin_histories([History(RULE, 5)])

    assert bench.bringing.begin(bench.shared, [RULE], 1_000) == [5]

    assert (list(bench.copy.rules()), bench.copy.reached_ms) == ([History(RULE, 5)], 1_000)
