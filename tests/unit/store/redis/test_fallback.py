from __future__ import annotations

import itertools
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.threshold import ThresholdLaw
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import Claim, ClaimLost, NotReservedError, RuleState, Solitude, Wanted
from firstseen.store.lmdb import LmdbReader, LmdbStore
from firstseen.store.redis import fallback
from firstseen.store.redis.fallback import Fallback
from firstseen.store.redis.link import TIMEOUT_S, Part
from firstseen.store.redis.owner import Owner
from firstseen.store.redis.reservation import Reservation
from firstseen.store.redis.store import RedisStore
from support.redis import RedisServer, new_prefix

pytestmark = pytest.mark.redis

LONG = 60
AWAY_S = 0.2
RULE = RuleState(b"8 bytes.", "rule", "Rule", 10_000)
LAW = NewTermsLaw(10_000)
THREE_TIMES = ThresholdLaw(3, 0, 10_000, 10_000)


class Bench:
    """A server of its own, and the agents on it."""

    def __init__(self, folder: Path) -> None:
        (folder / "server").mkdir()
        self.server = RedisServer(folder / "server")
        self.folder = folder
        self.prefix = new_prefix()
        self.opened: list[Fallback] = []
        self.told: list[StoreError | None] = []
        self.told_of_copy: list[StoreError | None] = []
        self.begun: list[RedisStore] = []

    def agent(self, name: str = "a", map_size: int = 1 << 22) -> Fallback:
        copy = LmdbStore.open(self.folder / name, map_size, durable=False, alone=True)

        def part() -> RedisStore:
            return RedisStore(self.server.link(), self.prefix, Owner.take(self.folder / name), 30_000)

        store = Fallback(part, copy, self.told.append, self.begun.append, AWAY_S, tell_of_copy=self.told_of_copy.append)
        store.register([RULE], 1)
        self.opened.append(store)
        return store

    def close(self) -> None:
        for store in self.opened:
            store.close()
        self.server.kill()

    def shared(self) -> RedisStore:
        """Another agent, which knows no copy."""
        return RedisStore(self.server.link(), self.prefix, Owner.take(self.folder / "other"), 30_000)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def claim(store: Fallback | RedisStore, term: str, event: str, at_ms: int = 100, law: Law[Any] = LAW) -> Claim:
    wanted = Wanted(RULE, (term,), Occurrence(at_ms, event), law)
    reservation = store.reservation()
    reservation.add(wanted)
    try:
        reservation.ask().result(LONG)
        return store.claim(*wanted)
    finally:
        reservation.end()


def reserve(store: Fallback, term: str, event: str, at_ms: int = 105) -> Reservation:
    """One that is not asked for yet."""
    reservation = store.reservation()
    reservation.add(Wanted(RULE, (term,), Occurrence(at_ms, event), LAW))
    return reservation


def remember(store: Fallback | RedisStore, term: str, event: str, at_ms: int = 100, law: Law[Any] = LAW) -> Verdict:
    one = claim(store, term, event, at_ms, law)
    store.confirm([one]).result(LONG)
    return one.verdict


def test_while_the_servers_are_there_they_are_asked(bench: Bench) -> None:
    store = bench.agent()
    other = bench.shared()
    remember(other, "x", "e1")
    one = claim(store, "x", "e2", 105)
    assert (one.verdict, one.alone) == (Verdict.KNOWN, False)
    store.confirm([one]).result(LONG)
    other.close()


def test_it_goes_on_alone_and_comes_back(bench: Bench) -> None:
    store = bench.agent()
    remember(store, "x", "e1")
    until(lambda: store.copy.get(RULE.key, ("x",)) is not None)  # it is copied soon
    bench.server.kill()
    new = claim(store, "y", "e2")  # which takes as long as it takes to be sure
    assert store.is_alone
    assert (new.verdict, new.alone) == (Verdict.NEW, True)
    known = claim(store, "x", "e3", 105)
    assert (known.verdict, known.alone) == (Verdict.KNOWN, True)
    store.confirm([new, known]).result(LONG)
    assert store.problem is None
    bench.server.start()
    until(lambda: not store.is_alone)
    assert remember(store, "y", "e4", 110) is Verdict.KNOWN
    other = bench.shared()
    assert other.get(RULE.key, ("x",)) == Sighting(100, 105, 2, "e1", "e3")
    assert other.get(RULE.key, ("y",)) == Sighting(100, 110, 2, "e2", "e4")
    other.close()
    assert [reason is None for reason in bench.told] == [False, True]


def test_a_server_that_is_back_soon_is_waited_for(bench: Bench) -> None:
    store = bench.agent()
    store._away_s = LONG
    bench.server.kill()
    wanted = Wanted(RULE, ("x",), Occurrence(100, "e1"), LAW)
    reservation = store.reservation()
    reservation.add(wanted)
    asked = reservation.ask()
    until(lambda: store._shared.problem is not None)
    assert not asked.done()
    bench.server.start()
    asked.result(LONG)
    assert not store.claim(*wanted).alone


def test_an_alert_that_is_given_up_alone_is_not_remembered(bench: Bench) -> None:
    store = bench.agent()
    bench.server.kill()
    store.release([claim(store, "x", "e1")])
    assert claim(store, "x", "e2").verdict is Verdict.NEW


def test_what_is_on_its_way_when_they_go_away_is_settled_alone(bench: Bench) -> None:
    store = bench.agent()
    remember(store, "x", "e1")
    known, new, late = claim(store, "x", "e2", 105), claim(store, "y", "e3"), claim(store, "z", "e4")
    assert [each.verdict for each in (known, new)] == [Verdict.KNOWN, Verdict.NEW]
    bench.server.kill()
    confirmed = store.confirm([known, new])
    confirmed.result(LONG)  # nobody starts the server
    assert store.is_alone
    assert store.extend(late, Occurrence(101, "e5")) is False, "what holds an alert is not extended"
    assert remember(store, "y", "e6", 110) is Verdict.KNOWN
    store.confirm([late, claim(store, "w", "e7")]).result(LONG)

    bench.server.start()
    until(lambda: not store.is_alone)

    other = bench.shared()
    assert other.get(RULE.key, ("x",)) == Sighting(100, 105, 2, "e1", "e2")
    assert other.get(RULE.key, ("y",)) == Sighting(100, 110, 2, "e3", "e6")
    assert None not in {other.get(RULE.key, (term,)) for term in "zw"}
    other.close()


def test_what_was_done_without_an_answer_is_done_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store = bench.agent()
    remember(store, "x", "e1")
    known = claim(store, "x", "e2", 105)
    link = store._shared._link
    sent, lost = link._sent, []

    def lossy(commands: Sequence[Sequence[Part]]) -> list[Any]:
        sent(commands)
        lost.extend(commands)
        raise StoreError("the answer is lost")

    monkeypatch.setattr(link, "_sent", lossy)
    store.confirm([known]).result(LONG)
    assert lost
    monkeypatch.setattr(link, "_sent", sent)
    until(lambda: not store.is_alone)

    assert store.get(RULE.key, ("x",)) == Sighting(100, 105, 2, "e1", "e2")
    assert remember(store, "x", "e3", 110) is Verdict.KNOWN


def test_an_alert_that_was_on_its_way_when_they_went_away_may_be_given_up(bench: Bench) -> None:
    store = bench.agent()
    new, relying = claim(store, "x", "e1"), claim(store, "x", "e2", 101)
    bench.server.kill()
    waiting = store.confirm([relying])
    claim(store, "y", "e3")  # alone, by now
    assert not waiting.done()
    store.release([new])
    with pytest.raises(ClaimLost):
        waiting.result(LONG)
    assert remember(store, "x", "e4", 102) is Verdict.NEW


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", ["alone", "on its way"])
def test_what_is_delivered_beside_a_lost_claim_is_brought(bench: Bench, when: str, where: str) -> None:
    store = bench.agent()
    if where == "alone":
        bench.server.kill()
    given_up, relying, delivered = claim(store, "x", "e1"), claim(store, "x", "e2", 101), claim(store, "y", "e3")
    if when == "before":
        store.release([given_up])
    if where != "alone":
        bench.server.kill()
    confirmed = store.confirm([relying, delivered])
    claim(store, "z", "e4")  # alone, by now
    if when == "after":
        store.release([given_up])
    with pytest.raises(ClaimLost):
        confirmed.result(LONG)
    bench.server.start()
    until(lambda: not store.is_alone)

    assert remember(store, "y", "e5", 105) is Verdict.KNOWN
    assert remember(store, "x", "e6", 105) is Verdict.NEW


def test_what_was_reserved_when_they_go_away_is_claimed_alone(bench: Bench) -> None:
    store = bench.agent()
    wanted = Wanted(RULE, ("x",), Occurrence(100, "e1"), LAW)
    reservation = store.reservation()
    reservation.add(wanted)
    reservation.ask().result(LONG)
    bench.server.kill()
    remember(store, "y", "e2")
    one = store.claim(*wanted)
    reservation.end()
    assert (one.verdict, one.alone) == (Verdict.NEW, True)
    store.confirm([one]).result(LONG)


def test_servers_that_say_nothing_are_away_as_soon(bench: Bench) -> None:
    store = bench.agent()
    known = remember(store, "x", "e1"), claim(store, "x", "e2", 105)
    bench.server.signal(signal.SIGSTOP)
    began_s = time.monotonic()
    assert remember(store, "y", "e3") is Verdict.NEW
    store.confirm([known[1]]).result(LONG)
    assert time.monotonic() - began_s < TIMEOUT_S / 2
    assert "does not answer" in str(bench.told[0])
    bench.server.signal(signal.SIGCONT)
    until(lambda: not store.is_alone)
    assert store.get(RULE.key, ("x",)) == Sighting(100, 105, 2, "e1", "e2")
    assert store.get(RULE.key, ("y",)) is not None


def test_what_is_acknowledged_right_before_is_known_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "TEND_S", LONG)  # nothing is copied meanwhile
    store = bench.agent()
    store._stir.set()
    until(lambda: not store._stir.is_set())
    remember(store, "x", "e1")
    bench.server.kill()
    claim(store, "y", "e2")
    one = claim(store, "x", "e3", 105)
    assert (one.verdict, one.alone) == (Verdict.KNOWN, True)


def test_what_was_counted_as_no_news_counts_alone(bench: Bench) -> None:
    store = bench.agent()
    other = bench.shared()
    assert remember(other, "x", "e1", 100, THREE_TIMES) is Verdict.KNOWN
    other.close()
    assert remember(store, "x", "e2", 101, THREE_TIMES) is Verdict.KNOWN
    bench.server.kill()
    third = claim(store, "x", "e3", 102, THREE_TIMES)
    assert (third.verdict, third.alone) == (Verdict.NEW, True)


def test_what_was_reserved_there_is_claimed_alone_when_all_is_copied(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "TEND_S", LONG)
    store = bench.agent()
    store._stir.set()
    until(lambda: not store._stir.is_set())
    copy, begun, goes_on = store._copying.catch_up, threading.Event(), threading.Event()
    tries = itertools.count()

    def late() -> None:
        if next(tries):  # the first is before anything stands still: this was acknowledged behind it
            begun.set()
            assert goes_on.wait(LONG)
            copy()

    monkeypatch.setattr(store._copying, "catch_up", late)
    remember(store, "x", "e1")
    first, second = reserve(store, "x", "e2"), reserve(store, "x", "e2")
    first.ask().result(LONG)
    bench.server.kill()
    waits, about_to_ask = reserve(store, "y", "e3").ask(), reserve(store, "z", "e4")
    store._there[about_to_ask] = None
    assert begun.wait(LONG)
    store._ask_there(about_to_ask)
    assert not about_to_ask._ready.done()
    with pytest.raises(NotReservedError):
        store.claim(RULE, ("x",), Occurrence(105, "e2"), LAW)
    asked = second.ask()
    goes_on.set()
    asked.result(LONG)
    assert wait([waits, about_to_ask._ready], LONG).not_done == set()
    one = store.claim(RULE, ("x",), Occurrence(105, "e2"), LAW)
    assert (one.verdict, one.alone) == (Verdict.KNOWN, True)


def test_what_was_claimed_alone_is_asked_for_once_it_is_there(bench: Bench) -> None:
    store = bench.agent()
    bench.server.kill()
    late, lost = claim(store, "x", "e1"), claim(store, "y", "e2")
    bench.server.start()
    until(lambda: not store.is_alone)
    reservations = {term: reserve(store, term, "e3") for term in "xyz"}
    reservations["z"].ask().result(LONG)
    asked = {term: reservations[term].ask() for term in "xy"}
    assert not wait(asked.values(), 3 * fallback.TEND_S).done
    store.confirm([late]).result(LONG)
    asked["x"].result(LONG)
    assert not asked["y"].done()
    store.release([lost])
    asked["y"].result(LONG)
    assert store.claim(RULE, ("x",), Occurrence(105, "e3"), LAW).verdict is Verdict.KNOWN
    assert store.claim(RULE, ("y",), Occurrence(105, "e3"), LAW).verdict is Verdict.NEW


def test_what_is_held_back_goes_on_alone_or_ends(bench: Bench) -> None:
    store = bench.agent()
    bench.server.kill()
    late = claim(store, "x", "e1")
    bench.server.start()
    until(lambda: not store.is_alone)
    first = reserve(store, "x", "e2").ask()
    bench.server.kill()
    claim(store, "z", "e3")
    first.result(LONG)
    assert store.claim(RULE, ("x",), Occurrence(105, "e2"), LAW).verdict is Verdict.KNOWN
    bench.server.start()
    until(lambda: not store.is_alone)
    second, ended = reserve(store, "x", "e4"), reserve(store, "x", "e5")
    asked, never = second.ask(), ended.ask()
    ended.end()
    store.close()
    bench.opened.remove(store)
    with pytest.raises(StoreError, match="closed"):
        asked.result(LONG)
    assert not never.done()
    assert late.verdict is Verdict.NEW


def test_an_agent_that_begins_and_ends_alone_is_merged_when_it_is_back(bench: Bench) -> None:
    bench.server.kill()
    store = bench.agent()
    assert store.is_alone
    assert remember(store, "x", "e1") is Verdict.NEW
    store.close()
    bench.opened.remove(store)
    assert bench.begun == []
    bench.server.start()
    again = bench.agent()
    until(lambda: not again.is_alone)
    assert remember(again, "x", "e2", 105) is Verdict.KNOWN
    assert [history.rule for history in again.rules()] == [RULE]
    assert bench.begun == [again._shared]
    again.close()
    bench.opened.remove(again)
    reader = LmdbReader.open(bench.folder / "a")
    assert reader.get(RULE.key, ("x",)) is not None
    reader.close()


def test_what_is_written_at_the_end_is_copied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store = bench.agent()
    one = claim(store, "x", "e1")
    link = store._shared._link
    sent = link._sent

    def slowly(commands: Sequence[Sequence[Part]]) -> list[Any]:
        time.sleep(0.1)
        return sent(commands)

    monkeypatch.setattr(link, "_sent", slowly)
    confirmed = store.confirm([one])
    store.close()
    bench.opened.remove(store)
    confirmed.result(LONG)
    reader = LmdbReader.open(bench.folder / "a")
    assert reader.get(RULE.key, ("x",)) is not None
    reader.close()


def test_histories_begin_when_the_copy_knows_them_to_have_begun(bench: Bench) -> None:
    others = [RuleState(b"8 other%d" % number, f"r-{number}", "Rule") for number in range(3)]
    store = bench.agent()
    store.copy.register([others[1]], 5)

    assert store.register([others[0], RULE, *others[1:]], 9) == [9, 1, 5, 9]
    shared = bench.shared()
    assert {(rule.key, since_ms) for rule, since_ms in shared.rules()} == {
        (others[0].key, 9),
        (RULE.key, 1),
        (others[1].key, 5),
        (others[2].key, 9),
    }
    shared.close()


def test_a_history_began_when_it_did_in_the_copy_or_there(bench: Bench) -> None:
    earlier, later = (RuleState(b"8 other%d" % number, f"r-{number}", "Rule") for number in range(2))
    store = bench.agent()
    store.copy.register([later], 5)
    shared = bench.shared()
    shared.register([earlier], 3)
    shared.register([later], 7)

    assert store.register([earlier, later], 9) == [3, 5]

    assert {rule.key: since_ms for rule, since_ms in shared.rules()} == {RULE.key: 1, earlier.key: 3, later.key: 5}
    shared.close()
    bench.server.kill()
    claim(store, "x", "e1")
    assert store.register([earlier, later], 11) == [3, 5]


def test_a_copy_that_is_full_is_told_of_once_and_catches_up(bench: Bench) -> None:
    store = bench.agent(map_size=1 << 16)
    terms = [f"{number}{'x' * 100}" for number in range(400)]
    claims = [claim(store, term, "e1") for term in terms]
    store.confirm(claims).result(LONG)
    until(lambda: bool(bench.told_of_copy))
    tries = store.copy.problem
    until(lambda: store.copy.problem is not tries)  # it is tried again

    store.copy.resize(1 << 22).result(LONG)

    until(lambda: len(bench.told_of_copy) > 1)
    assert all(store.copy.get(RULE.key, (term,)) for term in terms)
    why, over = bench.told_of_copy
    assert "is full" in str(why)
    assert over is None
    assert bench.told == []


def test_what_is_not_copied_is_counted(bench: Bench) -> None:
    store = bench.agent(map_size=1 << 16)
    assert store.solitude == Solitude()
    claims = [claim(store, f"{number}{'x' * 100}", "e1") for number in range(400)]
    store.confirm(claims).result(LONG)
    until(lambda: store.solitude.behind is not None)
    until(lambda: store.solitude.uncopied + store.copy.stats().entries == 400)
    assert (store.problem, store.is_alone) == (None, False)


def test_a_server_that_is_back_and_cannot_be_used_is_told_of_once(bench: Bench) -> None:
    store = bench.agent()
    bench.server.kill()
    assert remember(store, "x", "e1") is Verdict.NEW
    bench.server.start()
    link = bench.server.link()
    link.call("SET", bench.prefix + b"schema", "99")
    until(lambda: "schema b'99'" in str(store.solitude.reason))
    told = len(bench.told)
    assert "schema b'99'" in str(bench.told[-1])
    tries = store.solitude.reason
    until(lambda: store.solitude.reason is not tries)  # it is tried again, and not told again
    assert (len(bench.told), store.solitude.alone, store.problem) == (told, True, None)

    link.call("SET", bench.prefix + b"schema", "1")
    link.close()

    until(lambda: store.solitude == Solitude())
    assert bench.told[told:] == [None]
    other = bench.shared()
    assert other.get(RULE.key, ("x",)) is not None
    other.close()


def test_a_copy_without_room_for_going_on_alone_is_told_of(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    store = bench.agent()

    def full(*_: object) -> int:
        raise StoreError("the disk is full")

    monkeypatch.setattr(store.copy, "fold", full)
    bench.server.kill()
    reservation = store.reservation()
    reservation.add(Wanted(RULE, ("x",), Occurrence(100, "e1"), LAW))
    asked = reservation.ask()
    until(lambda: bool(bench.told))
    assert "the agent cannot go on alone: the disk is full" in str(bench.told[0])
    assert not asked.done()
    assert not store.is_alone
    bench.server.start()
    asked.result(LONG)
    until(lambda: bench.told[-1] is None)


def test_a_server_that_comes_back_empty_is_told_when_the_histories_began(bench: Bench) -> None:
    store = bench.agent()
    assert remember(store, "x", "e1") is Verdict.NEW
    bench.server.kill()
    assert remember(store, "y", "e2") is Verdict.NEW
    for file in (bench.folder / "server").iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()

    bench.server.start()
    until(lambda: not store.is_alone)

    other = bench.shared()
    assert [history.since_ms for history in other.rules()] == [1]
    other.close()
    left = bench.server.call("PTTL", bench.prefix + b"t:" + state_key(RULE.key, ("y",)))
    assert isinstance(left, int)
    assert left > 0, "without its history nobody would know when the term is over"
