from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.store.base import Entry, History, RuleState, Wanted
from firstseen.store.redis.link import REGISTER, Link, Part
from firstseen.store.redis.merging import Merging
from firstseen.store.redis.store import RedisStore
from firstseen.store.sweep import kept_ms
from support.redis import Fleet, RedisServer, claim_all

pytestmark = pytest.mark.redis

LONG = 60
DAY_MS = 86_400_000
RULE, OTHER = RuleState(b"8 bytes.", "rule", "Rule", 10_000), RuleState(b"8 others", "other", "Other", 10_000)
LAW = NewTermsLaw(10_000)


class Bench(Fleet):
    """Agents on a server that may lose what it holds."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        super().__init__(server, folder)
        self.redis = server

    def lose(self) -> None:
        """All of it, and no connection breaks."""
        keys = self.held()
        assert self.redis.call("DEL", *keys) == len(keys)

    def snapshot(self) -> dict[bytes, bytes]:
        """All that it holds now."""
        return {key: self.redis.call("DUMP", key) for key in self.held()}

    def go_back(self, snapshot: Mapping[bytes, bytes]) -> None:
        """It holds what it held then, and no connection breaks."""
        self.lose()
        for key, value in snapshot.items():
            self.redis.call("RESTORE", key, 0, value)

    def held(self) -> list[bytes]:
        found = self.redis.call("KEYS", self.prefix + b"*")
        assert isinstance(found, list)
        return found

    def left_ms(self, term: str) -> int:
        """For how long a term of the rule is kept."""
        left = self.redis.call("PTTL", self.prefix + b"t:" + state_key(RULE.key, (term,)))
        assert isinstance(left, int)
        return left

    def begun(self) -> dict[bytes, int]:
        """When the histories on the server began, as one finds them who looks there."""
        with closing(Merging(self.redis.link(), self.prefix)) as reader:
            reader.check()
            return {history.rule.key: history.since_ms for history in reader.rules()}


@pytest.fixture
def bench(redis_server: RedisServer, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(redis_server, tmp_path)
    yield made
    made.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def remember(store: RedisStore, term: str) -> None:
    store.confirm(claim_all(store, [Wanted(RULE, (term,), Occurrence(100, term), LAW)])).result(LONG)


def test_a_server_that_comes_back_empty_gets_the_histories_with_the_first_term(bench: Bench) -> None:
    agent = bench.agent()
    agent.register([RULE, OTHER], 7)
    remember(agent, "ada")
    bench.lose()
    with pytest.raises(StoreError, match="there is no state yet"):
        bench.begun()

    remember(agent, "bob")

    assert bench.begun() == {RULE.key: 7, OTHER.key: 7}


def test_a_reload_begins_nothing_anew_that_was_lost(bench: Bench) -> None:
    agent = bench.agent()
    agent.register([RULE], 7)
    bench.lose()

    assert agent.register([RULE, OTHER], 1_000) == [7, 1_000]
    assert bench.begun() == {RULE.key: 7, OTHER.key: 1_000}


def test_a_server_that_comes_back_as_it_was_gets_what_was_begun_since(bench: Bench) -> None:
    agent, other = bench.agent("a"), bench.agent("b")
    agent.register([RULE], 7)
    other.register([RULE], 8)
    before = bench.snapshot()
    agent.register([RULE, OTHER], 1_000)
    remember(other, "bob")
    assert bench.begun() == {RULE.key: 7, OTHER.key: 1_000}
    bench.go_back(before)
    assert bench.begun() == {RULE.key: 7}

    remember(other, "eve")
    assert bench.begun() == {RULE.key: 7}, "it never had it in hand"
    remember(agent, "ada")
    assert bench.begun() == {RULE.key: 7, OTHER.key: 1_000}
    bench.go_back(before)
    assert agent.register([RULE, OTHER], 2_000) == [7, 1_000]


def test_what_others_begin_brings_nothing_back_that_was_forgotten(bench: Bench) -> None:
    agent, other = bench.agent("a"), bench.agent("b")
    agent.register([RULE, OTHER], 7)
    other.register([RULE], 8)
    with closing(Merging(bench.redis.link(), bench.prefix)) as elsewhere:
        elsewhere.forget_history(OTHER.key)
    other.register([RuleState(b"8 a new.", "new", "New", 10_000)], 1_000)

    remember(agent, "ada")
    remember(other, "bob")

    assert set(bench.begun()) == {RULE.key, b"8 a new."}


def test_whoever_enters_them_first_the_earliest_beginning_stays(bench: Bench) -> None:
    early, late = bench.agent("a"), bench.agent("b")
    early.register([RULE, OTHER], 7)
    late.register([RULE], 8)
    bench.lose()
    bench.agent("c").register([RULE], 1_000)  # begins anew: it has seen nothing before

    remember(early, "ada")
    assert bench.begun() == {RULE.key: 7, OTHER.key: 7}
    remember(late, "bob")
    assert bench.begun() == {RULE.key: 7, OTHER.key: 7}
    assert late.register([RULE], 2_000) == [7]


def test_what_somebody_brought_meanwhile_and_began_earlier_stays(bench: Bench) -> None:
    agent = bench.agent()
    agent.register([RULE], 7)
    bench.lose()
    with closing(Merging(bench.redis.link(), bench.prefix)) as brought:
        brought.begin()
        brought.absorb([History(RULE, 3)], [])

    remember(agent, "ada")

    assert bench.begun() == {RULE.key: 3}


def test_a_history_that_was_forgotten_is_not_entered_again(bench: Bench) -> None:
    agent = bench.agent()
    agent.register([RULE, OTHER], 7)
    agent.forget_history(RULE.key)

    remember(agent, "ada")

    assert bench.begun() == {OTHER.key: 7}
    assert agent.register([RULE], 1_000) == [1_000]


def test_what_is_merged_into_an_empty_server_expires_there(bench: Bench) -> None:
    agent = bench.agent()
    agent.register([RULE], 7)
    bench.lose()

    agent.absorb([], [Entry(RULE.key, ("ada",), Sighting(1, 1, 1, "e", "e"))])

    (term,) = [key for key in bench.held() if key.startswith(bench.prefix + b"t:")]
    left = bench.redis.call("PTTL", term)
    assert isinstance(left, int)
    assert 0 < left <= kept_ms(10_000)


def test_commands_are_answered_in_order_also_where_the_histories_were_lost(bench: Bench) -> None:
    agent = bench.agent()
    agent.register([RULE], 7)
    bench.lose()
    key = bench.prefix + b"word"

    assert agent.together([("HSET", key, b"f", b"a"), ("HGET", key, b"f")]) == [1, b"a"]
    assert agent.together([]) == []


def test_the_era_lies_with_the_histories_and_under_the_prefix(bench: Bench) -> None:
    bench.agent().register([RULE], 7)

    (era,) = [key for key in bench.held() if key.startswith(bench.prefix + b"era")]

    assert key_slot(era) == key_slot(bench.prefix + b"rules")


def test_a_window_that_grows_keeps_what_is_there_for_longer(bench: Bench) -> None:
    short, long = (RuleState(RULE.key, "rule", "Rule", days * DAY_MS) for days in (10, 40))
    agent = bench.agent()
    agent.register([short, OTHER], 7)
    law = NewTermsLaw(10 * DAY_MS)
    agent.confirm(claim_all(agent, [Wanted(short, ("ada",), Occurrence(100, "e1"), law)])).result(LONG)
    assert bench.left_ms("ada") <= kept_ms(10 * DAY_MS)
    agent.register([long, OTHER], 9)
    until(lambda: bench.left_ms("ada") > kept_ms(10 * DAY_MS))
    assert kept_ms(40 * DAY_MS) - DAY_MS < bench.left_ms("ada") <= kept_ms(40 * DAY_MS)

    agent.register([short, OTHER], 9)  # another agent, of yesterday
    agent.confirm(claim_all(agent, [Wanted(short, ("ada",), Occurrence(105, "e2"), law)])).result(LONG)
    assert bench.left_ms("ada") > kept_ms(10 * DAY_MS)


def test_a_window_grows_also_where_nobody_heard_that_it_was_entered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = (RuleState(RULE.key, "rule", "Rule", days * DAY_MS) for days in (10, 40))
    agent = bench.agent()
    agent.register([short], 7)
    law = NewTermsLaw(10 * DAY_MS)
    agent.confirm(claim_all(agent, [Wanted(short, ("ada",), Occurrence(100, "e1"), law)])).result(LONG)
    together = Link.together

    def lossy(link: Link, commands: Sequence[Sequence[Part]]) -> list[Any]:
        answers = together(link, commands)
        if any(command[:2] == REGISTER.on(b"")[:2] for command in commands):
            raise StoreError("the answer is lost")
        return answers

    with monkeypatch.context() as patch:
        patch.setattr(Link, "together", lossy)
        with pytest.raises(StoreError, match="is lost"):
            agent.register([long], 9)

    assert agent.register([long], 9) == [7]
    until(lambda: bench.left_ms("ada") > kept_ms(10 * DAY_MS))


def test_what_is_merged_by_an_agent_with_a_longer_window_is_kept_for_that(bench: Bench) -> None:
    short, long = (RuleState(RULE.key, "rule", "Rule", days * DAY_MS) for days in (10, 40))
    agent, other = bench.agent("a"), bench.agent("b")
    agent.register([long], 7)
    other.register([short], 8)

    agent.absorb([], [Entry(RULE.key, ("ada",), Sighting(1, 1, 1, "e", "e"))])
    other.absorb([], [Entry(RULE.key, ("bob",), Sighting(1, 1, 1, "e", "e"))])

    assert kept_ms(40 * DAY_MS) - DAY_MS < bench.left_ms("ada") <= kept_ms(40 * DAY_MS)
    assert bench.left_ms("bob") <= kept_ms(10 * DAY_MS)


def test_what_began_earlier_than_was_known_there_began_then(bench: Bench) -> None:
    agent, other = bench.agent("a"), bench.agent("b")
    other.register([RULE, OTHER], 7)
    histories = [History(RULE, 5), History(OTHER, 8)]

    assert agent.begin_histories(histories) == [7, 7]
    assert agent.begin_histories(histories, earliest=True) == [5, 7]
    assert bench.begun() == {RULE.key: 5, OTHER.key: 7}
