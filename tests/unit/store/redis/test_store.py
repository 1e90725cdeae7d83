from __future__ import annotations

import contextlib
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import SuppressionLaw, Window
from firstseen.detect.threshold import Bucket, ThresholdLaw
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import Claim, ClaimLost, NotReservedError, RuleState, Wanted
from firstseen.store.redis.link import Link, Part
from firstseen.store.redis.store import RedisStore
from support.redis import Fleet, RedisServer, claim_all

pytestmark = pytest.mark.redis

LONG = 60
SHORT = 0.15
SOON = 5
RULE = RuleState(b"8 bytes.", "rule", "Rule", 10_000)
LAW = NewTermsLaw(10_000)
HOUR_MS = 3_600_000
THREE_TIMES = ThresholdLaw(3, 0, HOUR_MS, HOUR_MS)
ONCE = SuppressionLaw(HOUR_MS)


@pytest.fixture
def fleet(redis_server: RedisServer, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(redis_server, tmp_path)
    yield made
    made.close()


def wanted(term: str, event: str, time: int = 100, law: Law[Any] = LAW) -> Wanted:
    return Wanted(RULE, (term,), Occurrence(time, event), law)


def claim(store: RedisStore, term: str, event: str, time: int = 100, law: Law[Any] = LAW) -> Claim:
    return claim_all(store, [wanted(term, event, time, law)])[0]


def ask(store: RedisStore, *each: Wanted) -> Future[None]:
    """Reserve these, and let the reservation stand."""
    reservation = store.reservation()
    for one in each:
        reservation.add(one)
    return reservation.ask()


def waits(future: Future[Any]) -> bool:
    return not wait([future], SHORT).done


class TestNews:
    def test_who_comes_second_waits_for_the_alert_and_knows(self, fleet: Fleet) -> None:
        one, other = fleet.agent("a"), fleet.agent("b")
        alert = claim(one, "x", "e1")
        asked = ask(other, wanted("x", "e2", 105))
        assert alert.verdict is Verdict.NEW
        assert waits(asked)
        one.confirm([alert]).result(LONG)
        asked.result(LONG)
        known = other.claim(*wanted("x", "e2", 105))
        assert (known.verdict, known.before) == (Verdict.KNOWN, Sighting(100, 100, 1, "e1", "e1"))
        other.confirm([known]).result(LONG)
        assert one.get(RULE.key, ("x",)) == Sighting(100, 105, 2, "e1", "e2")

    def test_an_alert_that_is_given_up_is_raised_by_who_waited(self, fleet: Fleet) -> None:
        one, other = fleet.agent("a"), fleet.agent("b")
        alert = claim(one, "x", "e1")
        asked = ask(other, wanted("x", "e2"))
        assert waits(asked)
        one.release([alert])
        asked.result(LONG)
        assert other.claim(*wanted("x", "e2")).verdict is Verdict.NEW

    def test_terms_that_nobody_has_are_not_waited_for(self, fleet: Fleet) -> None:
        one, other = fleet.agent("a"), fleet.agent("b")
        claim(one, "x", "e1")
        assert claim(other, "y", "e2").verdict is Verdict.NEW

    def test_an_alert_that_is_too_long_on_its_way_holds_up_nobody(
        self, redis_server: RedisServer, tmp_path: Path
    ) -> None:
        fleet = Fleet(redis_server, tmp_path, lease_ms=300)
        one, other = fleet.agent("a"), fleet.agent("b")
        late = claim(one, "x", "e1")
        taken = claim(other, "x", "e2", 105)
        assert taken.verdict is Verdict.NEW
        other.confirm([taken]).result(LONG)
        one.confirm([late]).result(LONG)
        assert other.get(RULE.key, ("x",)) == Sighting(100, 105, 2, "e2", "e2")
        fleet.close()

    def test_an_agent_that_was_killed_finds_its_lease_again(self, fleet: Fleet) -> None:
        killed = fleet.agent("a")
        claim(killed, "x", "e1")
        fleet.kill(killed)
        assert claim(fleet.agent("a"), "x", "e1").verdict is Verdict.NEW

    def test_an_agent_that_ends_gives_its_leases_back(self, fleet: Fleet) -> None:
        one, other = fleet.agent("a"), fleet.agent("b")
        claim(one, "x", "e1")
        asked = ask(other, wanted("x", "e2"))
        assert waits(asked)
        one.close()
        asked.result(LONG)

    def test_who_waited_comes_next(self, fleet: Fleet) -> None:
        one, other = fleet.agent("a"), fleet.agent("b")
        alert = claim(one, "x", "e1")
        waiting = ask(other, wanted("x", "e2", 50_000))
        assert waits(waiting)
        behind = ask(one, wanted("x", "e3", 90_000))  # so much later that it is news whatever is on its way
        assert waits(behind)
        one.confirm([alert]).result(LONG)
        waiting.result(LONG)
        assert not behind.done()
        taken = other.claim(*wanted("x", "e2", 50_000))
        assert taken.verdict is Verdict.NEW
        other.confirm([taken]).result(LONG)
        assert waits(behind)  # the reservation stands


class TestKnown:
    def test_a_known_term_takes_no_round_trip(self, fleet: Fleet) -> None:
        store = fleet.agent()
        store.confirm([claim(store, "x", "e1")]).result(LONG)
        asked = ask(store, wanted("x", "e2", 105))
        assert asked.done()

    def test_others_add_to_what_is_known_in_any_order(self, fleet: Fleet) -> None:
        stores = [fleet.agent(name) for name in "abc"]
        stores[0].confirm([claim(stores[0], "x", "e0")]).result(LONG)
        claims = [claim(store, "x", f"e{number}", 100 + number) for number, store in enumerate(stores, 1)]
        for store, each in reversed(list(zip(stores, claims, strict=True))):
            assert each.verdict is Verdict.KNOWN
            store.confirm([each]).result(LONG)
        assert stores[0].get(RULE.key, ("x",)) == Sighting(100, 103, 4, "e0", "e3")

    def test_later_events_join_a_claim_and_are_written_with_it(
        self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("firstseen.store.redis.sightings.MOST_SIGHTINGS", 3)
        one, other = fleet.agent("a"), fleet.agent("b")
        one.confirm([claim(one, "x", "e0")]).result(LONG)
        first, others = claim(one, "x", "e1", 101), claim(other, "x", "e2", 102)
        assert one.extend(first, Occurrence(103, "e3"))
        first.more.events.append(Occurrence(104, "e4"))
        first.more.events.append(Occurrence(99, "e5"))
        other.confirm([others]).result(LONG)
        one.confirm([first]).result(LONG)
        assert other.get(RULE.key, ("x",)) == Sighting(99, 104, 6, "e0", "e4")

    def test_what_joined_a_claim_comes_again_with_it(self, fleet: Fleet) -> None:
        store, operator = fleet.agent("a"), fleet.agent("operator")
        store.confirm([claim(store, "x", "e1")]).result(LONG)
        operator.forget(RULE.key, [("x",)])
        known = claim(store, "x", "e2", 105)
        assert store.extend(known, Occurrence(106, "e3"))
        with pytest.raises(ClaimLost, match="was forgotten meanwhile"):
            store.confirm([known]).result(LONG)
        assert store.get(RULE.key, ("x",)) is None

    def test_where_others_count_as_well_each_event_is_claimed(self, fleet: Fleet) -> None:
        store = fleet.agent()
        first = claim(store, "x", "e1", law=THREE_TIMES)
        assert not store.extend(first, Occurrence(101, "e2"))

    def test_what_is_known_here_and_was_forgotten_comes_again(self, fleet: Fleet) -> None:
        store, operator = fleet.agent("a"), fleet.agent("operator")
        store.confirm([claim(store, "x", "e1")]).result(LONG)
        operator.forget(RULE.key, [("x",)])
        known = claim(store, "x", "e2", 105)
        assert known.verdict is Verdict.KNOWN
        with pytest.raises(ClaimLost, match="was forgotten meanwhile"):
            store.confirm([known]).result(LONG)
        assert claim(store, "x", "e2", 105).verdict is Verdict.NEW

    def test_what_is_known_by_an_alert_that_is_given_up_has_to_be_reserved_again(self, fleet: Fleet) -> None:
        store = fleet.agent()
        alert = claim(store, "x", "e1")
        reservation = store.reservation()
        reservation.add(wanted("x", "e2", 105))
        assert reservation.ask().done()
        store.release([alert])
        claim(store, "y", "e9")  # with the same round trip the lease is given back
        with pytest.raises(NotReservedError, match="reserved for less"):
            store.claim(*wanted("x", "e2", 105))
        reservation.end()
        assert claim(store, "x", "e2", 105).verdict is Verdict.NEW

    def test_nothing_is_claimed_that_was_not_reserved(self, fleet: Fleet) -> None:
        with pytest.raises(NotReservedError, match="'Rule' were not reserved"):
            fleet.agent().claim(*wanted("x", "e1"))


class TestCounting:
    def test_events_of_several_agents_make_one_count_full(self, fleet: Fleet) -> None:
        one, other = fleet.agent("a"), fleet.agent("b")
        first = claim(one, "x", "e1", law=THREE_TIMES)
        second = claim(other, "x", "e2", law=THREE_TIMES)  # and nobody waits for a delivery
        third = claim(one, "x", "e3", law=THREE_TIMES)
        assert [each.verdict for each in (first, second, third)] == [Verdict.KNOWN, Verdict.KNOWN, Verdict.NEW]
        asked = ask(other, wanted("x", "e4", law=THREE_TIMES))
        assert waits(asked)
        one.confirm([first, third]).result(LONG)
        other.confirm([second]).result(LONG)
        asked.result(LONG)
        assert other.claim(*wanted("x", "e4", law=THREE_TIMES)).verdict is Verdict.KNOWN
        remembered = other.get(RULE.key, ("x",))
        assert isinstance(remembered, Bucket)
        assert (remembered.events, remembered.event) == (4, "e3")

    def test_one_alert_of_a_group_is_enough(self, fleet: Fleet) -> None:
        one, other = fleet.agent("a"), fleet.agent("b")
        one.confirm([claim(one, "x", "e1", law=ONCE)]).result(LONG)
        other.confirm([claim(other, "x", "e2", 200, law=ONCE)]).result(LONG)
        assert one.get(RULE.key, ("x",)) == Window(100, 200, "e1", 1)

    def test_many_events_of_one_count(self, fleet: Fleet) -> None:
        """More than are kept at hand: what the server says of them is enough."""
        one, other = fleet.agent("a"), fleet.agent("b")
        often = ThresholdLaw(40, 0, HOUR_MS, HOUR_MS)
        verdicts = []
        for number in range(45):
            store = (one, other)[number % 2]
            each = claim(store, "x", f"e{number}", law=often)
            verdicts.append(each.verdict)
            store.confirm([each]).result(LONG)
        assert verdicts.index(Verdict.NEW) == 39
        assert verdicts.count(Verdict.NEW) == 1

    def test_one_event_at_two_times(self, fleet: Fleet) -> None:
        store = fleet.agent()
        law = SuppressionLaw(1_000)
        store.confirm([claim(store, "x", "e0", 0, law)]).result(LONG)
        claims = claim_all(store, [wanted("x", "e", 100, law), wanted("x", "e", 5_000, law)])
        assert [each.verdict for each in claims] == [Verdict.KNOWN, Verdict.NEW]

    def test_what_is_remembered_is_known_whatever_else_is_on_its_way(self, fleet: Fleet) -> None:
        one, other = fleet.agent("a"), fleet.agent("b")
        alert, known = claim(one, "x", "e1"), claim(one, "x", "e2", 101)
        one.confirm([alert]).result(LONG)
        asked = ask(other, wanted("x", "e3", 102))
        asked.result(LONG)  # and nobody waits for the second
        assert other.claim(*wanted("x", "e3", 102)).verdict is Verdict.KNOWN
        one.release([known])


class Cut(Link):
    """A way on which answers get lost: what was sent is done, and nobody hears of it."""

    lose = 0

    def together(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        answers = super().together(commands)
        if commands and self.lose:
            self.lose -= 1
            raise StoreError("the answer was lost")
        return answers


class TestTrouble:
    def test_what_was_done_and_not_heard_of_is_not_done_twice(self, fleet: Fleet) -> None:
        store = fleet.agent()
        way = Cut(fleet.server.url, store._link._access)
        store._courier._way = way
        for law, term in ((LAW, "x"), (THREE_TIMES, "y"), (ONCE, "z")):
            for number in range(4):
                way.lose = 2
                one = claim(store, term, f"e{number}", 100 + number, law)
                way.lose = 2
                store.confirm([one]).result(LONG)
        sighting, bucket, window = (store.get(RULE.key, (term,)) for term in "xyz")
        assert sighting == Sighting(100, 103, 4, "e0", "e3")
        assert isinstance(bucket, Bucket)
        assert bucket.events == 4
        assert window == Window(100, 103, "e0", 3)

    def test_a_server_that_is_killed_is_waited_for(self, tmp_path: Path) -> None:
        told: list[StoreError | None] = []
        (tmp_path / "server").mkdir()
        with RedisServer(tmp_path / "server") as server:
            fleet = Fleet(server, tmp_path, trouble=told.append)
            store = fleet.agent()
            alert = claim(store, "x", "e1")
            server.kill()
            confirmed, asked = store.confirm([alert]), ask(store, wanted("y", "e2"))
            assert waits(confirmed)
            assert not asked.done()
            assert "cannot be reached" in str(store.problem)
            server.start()
            confirmed.result(LONG)
            asked.result(LONG)
            assert store.problem is None
            assert [error is None for error in told] == [False, True]
            assert store.get(RULE.key, ("x",)) == Sighting(100, 100, 1, "e1", "e1")
            fleet.close()

    def test_what_is_unreadable_concerns_only_who_asks_for_it(self, fleet: Fleet) -> None:
        store = fleet.agent()
        fleet.server.call("HSET", fleet.prefix + b"t:" + state_key(RULE.key, ("x",)), "f", "1", "l", "x")
        with pytest.raises(StoreError, match="unreadable"):
            claim(store, "x", "e1")
        assert claim(store, "y", "e1").verdict is Verdict.NEW

    def test_after_a_mistake_nobody_waits(self, fleet: Fleet) -> None:
        told: list[StoreError | None] = []
        broken = Fleet(fleet.server, fleet.server.folder / "broken", trouble=told.append)
        store = broken.agent()
        store._courier._way = None  # type: ignore[assignment]
        for _ in range(2):
            with pytest.raises(StoreError, match="cannot be used any more"):
                ask(store, wanted("x", "e1")).result(LONG)
        assert [str(error)[:36] for error in told] == ["the state cannot be used any more: A"]
        broken.close()

    def test_a_connection_that_breaks_is_broken_for_nobody_else(self, tmp_path: Path) -> None:
        (tmp_path / "server").mkdir()
        with RedisServer(tmp_path / "server") as server:
            fleet = Fleet(server, tmp_path)
            store = fleet.agent()
            over = threading.Event()

            def look() -> None:
                while not over.is_set():
                    with contextlib.suppress(StoreError):
                        store.stats()

            looking = [threading.Thread(target=look) for _ in range(3)]
            for thread in looking:
                thread.start()
            for number in range(6):
                server.kill()
                confirmed = store.confirm([]) if number else None
                server.start()
                store.confirm([claim(store, f"t{number}", "e")]).result(LONG)
                assert confirmed is None or confirmed.done()
            over.set()
            for thread in looking:
                thread.join()
            assert store.problem is None
            fleet.close()

    def test_closing_without_a_server_ends_everything(self, tmp_path: Path) -> None:
        (tmp_path / "server").mkdir()
        with RedisServer(tmp_path / "server") as server:
            store = Fleet(server, tmp_path).agent()
            alert = claim(store, "x", "e1")
            server.kill()
            confirmed, asked = store.confirm([alert]), ask(store, wanted("y", "e2"))
            assert waits(confirmed)
            store.close()
            for future in (confirmed, asked):
                with pytest.raises(StoreError):
                    future.result(0)
            with pytest.raises(StoreError, match="closed"):
                ask(store, wanted("z", "e3")).result(0)


def join(store: RedisStore, claim: Claim, events: Sequence[str]) -> None:
    """Make these events part of the claim, where the store takes them."""
    for event in events:
        occurrence = Occurrence(claim.occurrence.time_ms, event)
        if occurrence.time_ms <= claim.more.open_until_ms:
            claim.more.events.append(occurrence)
        elif not store.extend(claim, occurrence):
            assert claim.verdict is not Verdict.KNOWN or not isinstance(claim.law, NewTermsLaw)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_agents_do_each_term_alerts_once(fleet: Fleet, seed: int) -> None:
    """Chunks with terms in common, some of which are given up and sent again; agents close and come back."""
    agents, chunks, terms = 4, 40, 30
    delivered: list[Claim] = []
    lock = threading.Lock()
    faults: list[BaseException] = []

    def deliver(name: str) -> None:
        chance = random.Random(f"{seed} {name}")
        store = fleet.agent(name)
        for number in range(chunks):
            laws = {chance.randrange(terms): chance.choice((LAW, THREE_TIMES, ONCE)) for _ in range(6)}
            each = [
                wanted(f"{type(law).__name__}-{term}", f"{name}-{number}-{term}", 100 + number, law)
                for term, law in laws.items()
            ]
            while True:
                claims = claim_all(store, each)
                for one in claims:
                    join(store, one, [f"{one.occurrence.event}-{more}" for more in range(chance.randrange(3))])
                fate = chance.random()
                if fate < 0.1:
                    store.release(claims)
                elif fate < 0.15:
                    store.close()
                    store = fleet.agent(name)
                else:
                    store.confirm(claims).result(LONG)
                    with lock:
                        delivered.extend(claims)
                    break

    def run(name: str) -> None:
        try:
            deliver(name)
        except BaseException as error:  # noqa: BLE001  # raised below
            faults.append(error)

    threads = [threading.Thread(target=run, args=(f"agent{number}",)) for number in range(agents)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    assert not faults
    sightings: Counter[tuple[Any, ...]] = Counter()
    for each in delivered:
        sightings[each.terms] += 1 + len(each.more.events)
    assert sum(sightings.values()) > len(delivered) + 50, "events did join claims"
    alerts = Counter(each.terms for each in delivered if each.verdict is not Verdict.KNOWN)
    assert set(alerts.values()) == {1}
    assert {term for term in sightings if term not in alerts} == {
        term
        for term, count in sightings.items()
        if term[0].startswith("Threshold") and count < 3  # type: ignore[union-attr]
    }
    reader = fleet.agent("reader")
    for term, count in sightings.items():
        memory = reader.get(RULE.key, term)
        match memory:
            case Sighting():
                assert memory.count == count
            case Bucket():
                assert memory.events == count
            case _:
                assert isinstance(memory, Window)


def test_a_chunk_full_of_copies_of_one_event(fleet: Fleet) -> None:
    store = fleet.agent()
    claims = claim_all(store, [wanted("x", "e1")] * 25_000)
    assert Counter(each.verdict for each in claims) == {Verdict.NEW: 1, Verdict.AGAIN: 24_999}
    store.confirm(claims).result(LONG)
    assert store.get(RULE.key, ("x",)) == Sighting(100, 100, 1, "e1", "e1")


def test_a_term_is_kept_for_as_long_as_it_may_decide_and_longer(fleet: Fleet) -> None:
    store = fleet.agent()
    store.confirm([claim(store, "x", "e1")]).result(LONG)
    claim(store, "y", "e1")
    left = {term: fleet.server.call("PTTL", fleet.prefix + b"t:" + state_key(RULE.key, (term,))) for term in ("x", "y")}
    week_ms = 7 * 24 * HOUR_MS
    assert week_ms < int(str(left["x"])) <= week_ms + LAW.silence_ms
    assert int(str(left["y"])) <= 30_000


def test_the_name_of_an_agent_is_its_own(fleet: Fleet) -> None:
    fleet.agent("a")
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
        fleet.agent("a")


@pytest.mark.parametrize("law_of", [NewTermsLaw, SuppressionLaw], ids=["new_terms", "suppression"])
def test_an_agent_with_a_shorter_window_keeps_nothing_for_less_time(
    fleet: Fleet, law_of: Callable[[int], Law[Any]]
) -> None:
    longer, shorter = fleet.agent("a"), fleet.agent("b")
    key = fleet.prefix + b"t:" + state_key(RULE.key, ("x",))
    longer.confirm([claim(longer, "x", "e1", 100, law_of(100 * HOUR_MS))]).result(LONG)
    kept: int = longer._link.call("PTTL", key)
    for number in range(2):
        shorter.confirm([claim(shorter, "x", f"e{number}", 100 + number, law_of(HOUR_MS))]).result(LONG)
    left: int = longer._link.call("PTTL", key)
    assert kept - HOUR_MS < left <= kept


class TestUnreadable:
    """One key in which something else lies fails those that need it, and nobody else."""

    @pytest.mark.parametrize("law", [LAW, ONCE], ids=["new_terms", "suppression"])
    @pytest.mark.parametrize("spoil", [("SET", "x"), ("HSET", "o", "somebody")], ids=["a text", "half a lease"])
    def test_what_is_asked_for(self, fleet: Fleet, law: Law[Any], spoil: tuple[str, ...]) -> None:
        store = fleet.agent()
        key = fleet.prefix + b"t:" + state_key(RULE.key, ("x",))
        store._link.call(spoil[0], key, *spoil[1:])
        asked = ask(store, *(wanted(term, "e1", law=law) for term in "yxz"))
        with pytest.raises(StoreError, match=f"unreadable under the key {re.escape(repr(key))}: .*; DEL it"):
            asked.result(LONG)
        assert claim(store, "y", "e2", law=law).verdict is Verdict.NEW
        store._link.call("DEL", key)
        assert claim(store, "x", "e1", law=law).verdict is Verdict.NEW

    def test_what_is_to_be_remembered(self, fleet: Fleet) -> None:
        store = fleet.agent()
        store.confirm([claim(store, "x", "e1")]).result(LONG)
        bad, good = claim(store, "x", "e2", 105), claim(store, "y", "e3")
        key = fleet.prefix + b"t:" + state_key(RULE.key, ("x",))
        store._link.call("DEL", key)
        store._link.call("SET", key, "x")
        failed, kept = store.confirm([bad]), store.confirm([good])
        with pytest.raises(StoreError, match=r"unreadable under the key .*: WRONGTYPE"):
            failed.result(LONG)
        kept.result(LONG)
        assert store.problem is None
        with pytest.raises(StoreError, match="unreadable"):  # and is not delivered again first
            ask(store, wanted("x", "e2", 105)).result(LONG)

    @pytest.mark.parametrize("event", ["e1", "e2", "e3"])
    @pytest.mark.parametrize("at_ms", [95, 105])
    @pytest.mark.parametrize("part", "flceg")
    def test_a_part_that_is_missing(self, fleet: Fleet, part: str, at_ms: int, event: str) -> None:
        store = fleet.agent()
        for number in (1, 2):
            store.confirm([claim(store, "x", f"e{number}", 99 + number)]).result(LONG)
        bad, good = claim(store, "x", event, at_ms), claim(store, "y", "e3")
        store._link.call("HDEL", fleet.prefix + b"t:" + state_key(RULE.key, ("x",)), part)
        failed, kept = store.confirm([bad]), store.confirm([good])
        kept.result(SOON)
        assert store.problem is None
        wait([failed], LONG)
        error = failed.exception(0)
        assert error is None or "unreadable" in str(error) or isinstance(error, ClaimLost)

    def test_what_all_need(self, fleet: Fleet) -> None:
        store = fleet.agent()
        alert = claim(store, "x", "e1")
        era = store._era_key
        store._link.call("DEL", era)
        store._link.call("HSET", era, "f", "v")
        confirmed = store.confirm([alert])
        while store.problem is None:
            assert waits(confirmed)
        assert f"under the key {era!r}" in str(store.problem)
        store._link.call("DEL", era)
        confirmed.result(LONG)
