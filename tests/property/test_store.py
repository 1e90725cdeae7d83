"""The ledger and the store on disk, held against a model that works everything out anew from the list of all claims."""

from __future__ import annotations

import tempfile
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import Claim, RuleState
from firstseen.store.ledger import Change, Ledger, Outcome, resolve
from firstseen.store.lmdb import LmdbStore

RULE = RuleState(b"8 bytes.", "rule", "Rule")
SILENCE = 12
LAW = NewTermsLaw(SILENCE)

# Mostly one term, few events, and times a silence or so apart: that is where claims have to do with each other.
sightings = st.lists(
    st.tuples(
        st.sampled_from(["x", "x", "x", "y"]),
        st.sampled_from(["e1", "e2", "e3"]),
        st.sampled_from([0, 6, 12, 18]),  # how much time passes before it
        st.sampled_from([0, 0, 0, 6, 30]),  # how late it is
    ),
    min_size=1,
    max_size=4,
)
picks = st.lists(st.integers(0, 30), min_size=1, max_size=3)
seldom = st.integers(0, 9).map(lambda number: number == 9)


@dataclass(eq=False)
class Sight:
    """A claim as the model sees it: ``alert`` numbers the alert that it holds, ``relies`` those that it relies on."""

    term: str
    event: str
    time: int
    verdict: Verdict
    last_seen: int | None
    alert: int | None
    relies: frozenset[int]
    order: int
    state: str = (
        "pending"  # then confirmed, flying, written, released, or gone (lost, failed, or ended with the process)
    )
    chunk: int | None = None

    @property
    def live(self) -> bool:
        return self.state in ("pending", "confirmed", "flying")


@dataclass
class Model:
    """What the store promises, in the plainest way: nothing is kept up to date, all is derived from ``sights``."""

    sights: list[Sight] = field(default_factory=list)
    durable: dict[str, Sighting] = field(default_factory=dict)
    chunks: int = 0

    def holders(self, alert: int) -> list[Sight]:
        return [sight for sight in self.sights if sight.alert == alert]

    def is_open(self, alert: int) -> bool:
        holders = self.holders(alert)
        return not any(sight.state == "written" for sight in holders) and any(sight.live for sight in holders)

    def is_dead(self, alert: int) -> bool:
        return not self.is_open(alert) and not any(sight.state == "written" for sight in self.holders(alert))

    def open_alerts(self, term: str) -> list[int]:
        numbers = {sight.alert for sight in self.sights if sight.term == term and sight.alert is not None}
        return sorted(filter(self.is_open, numbers))

    def claim(self, term: str, event: str, time: int) -> Sight:
        order = len(self.sights)
        alerts = self.open_alerts(term)
        own = [alert for alert in alerts if self.holders(alert)[0].event == event]
        if own and all(sight.state in ("pending", "released", "gone") for sight in self.holders(own[-1])):
            first = self.holders(own[-1])[0]
            sight = Sight(term, event, time, Verdict.AGAIN, first.last_seen, own[-1], first.relies, order)
        else:
            seen = [sight.time for sight in self.sights if sight.term == term and sight.live]
            if term in self.durable:
                seen.append(self.durable[term].last_seen)
            last = max(seen, default=None)
            new = last is None or time - last > SILENCE
            verdict = Verdict.NEW if new else Verdict.KNOWN
            sight = Sight(term, event, time, verdict, last, order if new else None, frozenset(alerts), order)
        self.sights.append(sight)
        return sight

    def confirm(self, sights: list[Sight]) -> int:
        self.chunks += 1
        for sight in sights:
            sight.chunk = self.chunks
            if sight.state == "pending":
                sight.state = "confirmed"
        return self.chunks

    def end(self, sights: list[Sight], state: str) -> None:
        for sight in sights:
            if sight.live:
                sight.state = state
        while lost := [sight for sight in self.sights if sight.live and self.is_lost(sight)]:
            for sight in lost:
                sight.state = "gone"

    def is_lost(self, sight: Sight) -> bool:
        needed = sight.relies if sight.alert is None else sight.relies | {sight.alert}
        return any(map(self.is_dead, needed))

    def take(self) -> None:
        """Send off what may be written: confirmed, with everything that it relies on written or sent off with it."""
        while ready := [sight for sight in self.sights if sight.state == "confirmed" and self.may_be_written(sight)]:
            for sight in ready:
                sight.state = "flying"

    def may_be_written(self, sight: Sight) -> bool:
        return all(
            any(holder.state in ("flying", "written") for holder in self.holders(alert)) for alert in sight.relies
        )

    def flying(self) -> list[Sight]:
        """What is sent off, alert by alert, the alert before those that rely on it."""

        def place(sight: Sight) -> tuple[int, bool, int]:
            if sight.alert is not None and self.is_open(sight.alert):
                return sight.alert, False, sight.order
            return max(filter(self.is_open, sight.relies), default=-1), True, sight.order

        return sorted((sight for sight in self.sights if sight.state == "flying"), key=place)

    def committed(self) -> None:
        for sight in self.flying():
            before = self.durable.get(sight.term)
            self.durable[sight.term] = LAW.remember(before, Occurrence(sight.time, sight.event), sight.verdict)
        for sight in self.flying():
            sight.state = "written"

    def standing(self, chunk: int) -> str:
        states = {sight.state for sight in self.sights if sight.chunk == chunk}
        return "waits" if states - {"written", "gone"} else "failed" if "gone" in states else "durable"


class Claims(RuleBasedStateMachine):
    """Claims, confirmations and releases in any order, done to a store and to the model."""

    store: Ledger | LmdbStore

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.claims: dict[Claim, list[Sight]] = {}
        self.unsettled: list[Claim] = []
        self.futures: dict[int, Future[None]] = {}
        self.alerted: set[str] = set()
        self.clock = 0

    @precondition(lambda self: len(self.unsettled) < 12)
    @rule(several=sightings)
    def claim(self, several: list[tuple[str, str, int, int]]) -> None:
        for term, event, passing, late in several:
            self.clock += passing
            claim = self.store.claim(RULE, (term,), Occurrence(self.clock - late, event), LAW)
            sight = self.model.claim(term, event, self.clock - late)
            assert (claim.verdict, claim.before and claim.before.last_seen) == (sight.verdict, sight.last_seen), sight
            self.claims[claim] = [sight]
            self.unsettled.append(claim)

    @precondition(lambda self: self.unsettled)
    @rule(number=st.integers(0, 30), several=sightings)
    def extend(self, number: int, several: list[tuple[str, str, int, int]]) -> None:
        claim = self.unsettled[number % len(self.unsettled)]
        for _, event, passing, late in several:
            self.clock += passing
            if self.store.extend(claim, Occurrence(self.clock - late, event)):
                sight = self.model.claim(str(claim.terms[0]), event, self.clock - late)
                assert sight.verdict is Verdict.KNOWN
                self.claims[claim].append(sight)

    @precondition(lambda self: any(claim.more.open_until_ms >= self.clock - 20 for claim in self.claims))
    @rule(number=st.integers(0, 30), several=sightings)
    def add(self, number: int, several: list[tuple[str, str, int, int]]) -> None:
        """Without asking, as long as that is allowed."""
        open_ones = [claim for claim in self.claims if claim.more.open_until_ms >= self.clock - 20]
        claim = open_ones[number % len(open_ones)]
        assert claim in self.unsettled
        for _, event, passing, late in several:
            self.clock += passing
            if self.clock - late <= claim.more.open_until_ms:
                claim.more.events.append(Occurrence(self.clock - late, event))
                sight = self.model.claim(str(claim.terms[0]), event, self.clock - late)
                assert sight.verdict is Verdict.KNOWN
                self.claims[claim].append(sight)

    def pick(self, numbers: list[int]) -> list[Claim]:
        count = len(self.unsettled)
        picked = [self.unsettled[number] for number in dict.fromkeys(n % count for n in numbers)] if count else []
        self.unsettled = [claim for claim in self.unsettled if claim not in picked]
        return picked

    def sights(self, claims: list[Claim]) -> list[Sight]:
        return [sight for claim in claims for sight in self.claims[claim]]

    def confirmed(self, claims: list[Claim], future: Future[None]) -> None:
        sights = self.sights(claims)
        self.alerted.update(sight.term for sight in sights if sight.verdict is not Verdict.KNOWN)
        self.futures[self.model.confirm(sights)] = future

    def stored(self, term: str) -> Sighting | None:
        raise NotImplementedError

    @invariant()
    def futures_end_when_and_how_they_should(self) -> None:
        for chunk, future in self.futures.items():
            ended = "waits" if not future.done() else "durable" if future.exception() is None else "failed"
            assert ended == self.model.standing(chunk), chunk

    @invariant()
    def what_is_stored_is_what_was_promised(self) -> None:
        for term in ("x", "y"):
            assert self.stored(term) == self.model.durable.get(term)

    @invariant()
    def no_term_is_remembered_before_an_alert_on_it_was_delivered(self) -> None:
        assert {term for term in ("x", "y") if self.stored(term)} <= self.alerted


class LedgerMachine(Claims):
    """The ledger does what the model does, whatever happens between a batch being taken and its being on disk."""

    store: Ledger

    def __init__(self) -> None:
        super().__init__()
        self.disk: dict[bytes, Sighting] = {}
        self.store = Ledger(self.disk.get)
        self.batch: list[Change] = []

    def stored(self, term: str) -> Sighting | None:
        return self.disk.get(state_key(RULE.key, (term,)))

    @precondition(lambda self: self.unsettled)
    @rule(numbers=picks)
    def confirm(self, numbers: list[int]) -> None:
        claims = self.pick(numbers)
        self.confirmed(claims, self.store.confirm(claims))

    @precondition(lambda self: self.unsettled)
    @rule(numbers=picks)
    def release(self, numbers: list[int]) -> None:
        claims = self.pick(numbers)
        resolve(self.store.release(claims))
        self.model.end(self.sights(claims), "released")

    @precondition(lambda self: not self.batch)
    @rule()
    def take(self) -> None:
        self.batch = self.store.take()
        self.model.take()

    @precondition(lambda self: self.batch)
    @rule()
    def commit(self) -> None:
        self.disk.update((change.key, change.memory) for change in self.batch)
        self.finish(self.store.committed(self.batch))
        self.model.committed()

    @precondition(lambda self: self.batch)
    @rule(now=seldom)
    def fail(self, now: bool) -> None:
        if not now:
            return
        self.finish(self.store.failed(self.batch, StoreError("no room")))
        self.model.end([sight for sight in self.model.sights if sight.state == "flying"], "gone")

    def finish(self, outcomes: list[Outcome]) -> None:
        resolve(outcomes)
        self.batch = []

    @precondition(lambda self: len(self.claims) > 12)
    @rule(closing=st.booleans(), now=seldom)
    def end(self, closing: bool, now: bool) -> None:
        if not now:
            return
        if closing:
            resolve(self.store.abandon(StoreError("closed")))
            self.model.end(self.model.sights, "gone")
            self.futures_end_when_and_how_they_should()
            with pytest.raises(StoreError, match="closed"):
                self.store.claim(RULE, ("x",), Occurrence(0, "e1"), LAW)
        self.store = Ledger(self.disk.get)
        self.batch = []
        self.futures.clear()
        self.unsettled.clear()
        self.model.end(self.model.sights, "gone")

    @precondition(lambda self: len(self.claims) > len(self.unsettled))
    @rule(number=st.integers(0, 30))
    def settle_twice(self, number: int) -> None:
        settled = [claim for claim in self.claims if claim not in self.unsettled]
        with pytest.raises(ValueError, match="once"):
            self.store.confirm([*self.unsettled, settled[number % len(settled)]])

    def teardown(self) -> None:
        """With nothing on its way nothing is kept."""
        resolve(self.store.release(self.pick(list(range(len(self.unsettled))))))
        self.finish(self.store.committed(self.batch))
        while batch := self.store.take():
            self.finish(self.store.committed(batch))
        assert not self.store._terms
        assert not self.store._pending


class DiskMachine(Claims):
    """The store on disk does what the model does, in one process after the other."""

    store: LmdbStore

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.idle_calls = 0
        self.reopen_store()

    def reopen_store(self) -> None:
        self.store = LmdbStore.open(Path(self.folder.name), 1 << 20, durable=False)

    def stored(self, term: str) -> Sighting | None:
        return self.store.get(RULE.key, (term,))

    def settle_down(self) -> None:
        """Wait for the writer: what is confirmed last is written last."""
        self.idle_calls += 1
        claim = self.store.claim(RULE, ("idle", self.idle_calls), Occurrence(0, "idle"), LAW)
        self.store.confirm([claim]).result(timeout=60)
        self.model.take()
        self.model.committed()

    @precondition(lambda self: self.unsettled)
    @rule(numbers=picks, more=picks)
    def confirm(self, numbers: list[int], more: list[int]) -> None:
        chunks = [self.pick(numbers), self.pick(more)]
        for claims in chunks:
            self.confirmed(claims, self.store.confirm(claims))
        self.settle_down()

    @precondition(lambda self: self.unsettled)
    @rule(numbers=picks)
    def release(self, numbers: list[int]) -> None:
        claims = self.pick(numbers)
        self.store.release(claims)
        self.model.end(self.sights(claims), "released")

    @rule(now=seldom)
    def reopen(self, now: bool) -> None:
        if not now:
            return
        self.store.close()
        self.model.end(self.model.sights, "gone")
        self.unsettled.clear()
        self.reopen_store()

    @invariant()
    def all_that_is_there_is_listed(self) -> None:
        listed = {entry.terms: entry.memory for entry in self.store.entries() if len(entry.terms) == 1}
        assert listed == {(term,): sighting for term, sighting in self.model.durable.items()}

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestDisk = DiskMachine.TestCase
TestDisk.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
