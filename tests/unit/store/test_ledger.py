"""What claims mean to each other is told by tests/spec/state; here is what the writer and callers need besides."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import NEVER, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import Claim, ClaimLost, RuleState
from firstseen.store.ledger import Ledger, Outcome, resolve

RULE = RuleState(b"8 bytes.", "rule", "Rule")
KEY = state_key(RULE.key, ("x",))


@pytest.fixture
def disk():
    return {}


@pytest.fixture
def ledger(disk):
    return Ledger(disk.get)


def claim(ledger: Ledger, event: str = "e1", *, term: str = "x", time: int = 100) -> Claim:
    return ledger.claim(RULE, (term,), Occurrence(time, event), NewTermsLaw(10))


def write(ledger: Ledger, disk: dict[bytes, Sighting]) -> None:
    while changes := ledger.take():
        disk.update({change.key: change.memory for change in changes})
        resolve(ledger.committed(changes))


def test_resolving_ends_futures():
    well, badly = Future(), Future()
    resolve([Outcome(well, None), Outcome(badly, StoreError("no room"))])
    assert well.result() is None
    assert str(badly.exception()) == "no room"


def test_many_claims_on_a_term_are_one_change(ledger, disk):
    claims = [claim(ledger, f"e{number}", time=100 + number) for number in range(5)]
    future = ledger.confirm(claims)
    (change,) = ledger.take()
    assert (change.key, change.terms, change.memory) == (KEY, ("x",), Sighting(100, 104, 5, "e0", "e4"))
    assert ledger.take() == []
    assert not future.done()
    (outcome,) = ledger.committed([change])
    assert outcome == (future, None)


def test_no_claims_are_confirmed_at_once(ledger):
    assert ledger.confirm([]).result() is None
    assert ledger.take() == []


@pytest.mark.parametrize("first", ["confirm", "release"])
@pytest.mark.parametrize("second", ["confirm", "release"])
def test_settling_twice_is_a_mistake(ledger, first, second):
    one = claim(ledger)
    getattr(ledger, first)([one])
    with pytest.raises(ValueError, match="once"):
        getattr(ledger, second)([one])


def test_a_mistake_changes_nothing(ledger, disk):
    one, other = claim(ledger), claim(ledger, term="y")
    stranger = claim(Ledger(disk.get))
    for wrong in ([one, one], [one, stranger]):
        with pytest.raises(ValueError, match="once"):
            ledger.confirm(wrong)
        with pytest.raises(ValueError, match="once"):
            ledger.release(wrong)
    future = ledger.confirm([one, other])
    write(ledger, disk)
    assert future.result() is None


def test_a_failed_commit_fails_its_chunks_and_forgets_their_claims(ledger, disk):
    futures = [ledger.confirm([claim(ledger)]), ledger.confirm([claim(ledger, term="y"), claim(ledger, term="z")])]
    changes = ledger.take()
    resolve(ledger.failed(changes, StoreError("no room")))
    assert [str(future.exception()) for future in futures] == ["no room", "no room"]
    assert futures[0].exception() is not futures[1].exception()
    assert claim(ledger).verdict is Verdict.NEW
    write(ledger, disk)
    assert disk == {}


def test_a_failed_commit_loses_what_relied_on_it(ledger):
    owner, waiting, pending = claim(ledger), claim(ledger, "e2"), claim(ledger, "e3")
    ledger.confirm([owner])
    changes = ledger.take()
    late = ledger.confirm([waiting])
    resolve(ledger.failed(changes, StoreError("no room")))
    assert isinstance(late.exception(), ClaimLost)
    assert isinstance(ledger.confirm([pending]).exception(), ClaimLost)


def test_a_failed_commit_leaves_the_alert_to_its_other_copy(ledger, disk):
    owner, copy, follower = claim(ledger), claim(ledger), claim(ledger, "e2")
    ledger.confirm([owner])
    changes = ledger.take()
    resolve(ledger.failed(changes, StoreError("no room")))
    assert claim(ledger).verdict is Verdict.AGAIN
    future = ledger.confirm([copy, follower])
    write(ledger, disk)
    assert future.result() is None
    assert disk[KEY].count == 2


def test_while_a_commit_is_on_its_way_claims_rely_on_it(ledger, disk):
    ledger.confirm([claim(ledger)])
    changes = ledger.take()
    follower = claim(ledger, "e2", time=105)
    assert (follower.verdict, follower.before.last_seen) == (Verdict.KNOWN, 100)
    assert claim(ledger).verdict is Verdict.KNOWN
    future = ledger.confirm([follower])
    disk.update({change.key: change.memory for change in changes})
    resolve(ledger.committed(changes))
    write(ledger, disk)
    assert future.result() is None
    assert disk[KEY] == Sighting(100, 105, 2, "e1", "e2")


def test_a_chunk_fails_once_however_many_of_its_claims_are_lost(ledger):
    owners = [claim(ledger), claim(ledger, term="y")]
    future = ledger.confirm([claim(ledger, "e2"), claim(ledger, "e2", term="y")])
    (outcome,) = ledger.release(owners)
    assert outcome.future is future
    assert isinstance(outcome.error, ClaimLost)


def test_an_unreadable_term_can_be_claimed_once_it_is_readable(disk):
    failing = True

    def read(key: bytes) -> Sighting | None:
        if failing:
            raise StoreError("unreadable")
        return disk.get(key)

    ledger = Ledger(read)
    with pytest.raises(StoreError, match="unreadable"):
        claim(ledger)
    failing = False
    assert claim(ledger).verdict is Verdict.NEW


def test_after_the_end_everything_fails_with_its_reason(ledger):
    cause = OSError("cause")
    reason = StoreError("broken")
    reason.__cause__ = cause
    pending, other = claim(ledger), claim(ledger, term="y")
    waiting = ledger.confirm([claim(ledger, "e2")])
    resolve(ledger.abandon(reason))
    resolve(ledger.abandon(StoreError("closed")))
    for error in (waiting.exception(), ledger.confirm([pending]).exception()):
        assert (type(error), str(error), error.__cause__) == (StoreError, "broken", cause)
    assert ledger.release([other]) == []
    assert ledger.confirm([]).result() is None
    with pytest.raises(StoreError, match="broken"):
        claim(ledger)


def test_a_chunk_full_of_alerts_on_one_term_takes_no_longer_per_claim(ledger):
    """Times a window apart make an alert of every event; nothing may go through all of them for each."""
    claims = [claim(ledger, f"e{number}", time=number * 100) for number in range(5_000)]
    ledger.confirm(claims)
    (change,) = ledger.take()
    assert change.memory.count == 5_000
    ledger.committed([change])


def test_a_chunk_full_of_copies_of_one_event_takes_no_longer_per_claim(ledger):
    """One event may come a million times; nothing may go through all of its claims for each."""
    claims = [claim(ledger) for _ in range(20_000)]
    assert {each.verdict for each in claims[1:]} == {Verdict.AGAIN}
    ledger.confirm(claims)
    (change,) = ledger.take()
    assert change.memory.count == 1
    ledger.committed([change])


def test_what_somebody_else_wrote_is_what_is_durable(ledger):
    ledger.confirm([claim(ledger, "e1", time=100)])
    (change,) = ledger.take()
    key, theirs = change.key, Sighting(90, 104, 7, "e0", "e9")
    assert ledger.is_last(change)
    assert ledger.durable(key) is None
    known = claim(ledger, "e2", time=105)
    assert not ledger.is_last(change)
    anew = ledger.anew(change, theirs)
    assert anew.memory == Sighting(90, 104, 8, "e0", "e9")
    assert ledger.durable(key) == theirs
    assert ledger.memory(key) == Sighting(90, 105, 9, "e0", "e2")
    ledger.committed([anew])
    ledger.release([known])
    assert not ledger.holds(key)
    assert ledger.memory(key) is None
    ledger.refresh(key, theirs)  # and nobody asks for it


def test_a_later_event_becomes_part_of_a_claim(ledger, disk):
    disk[KEY] = Sighting(50, 99, 1, "e0", "e0")
    first = claim(ledger)

    assert ledger.extend(first, Occurrence(101, "e2"))
    assert ledger.extend(first, Occurrence(102, "e3"))
    assert first.more.events == [Occurrence(101, "e2"), Occurrence(102, "e3")]
    ledger.confirm([first])
    write(ledger, disk)
    assert disk[KEY] == Sighting(50, 102, 4, "e0", "e3")


def test_a_claim_is_not_extended_by_what_is_news_or_comes_behind_another(ledger, disk):
    disk[KEY] = Sighting(50, 99, 1, "e0", "e0")
    first = claim(ledger)

    assert not ledger.extend(first, Occurrence(999, "e2")), "it is news"
    second = claim(ledger, "e3", time=101)
    assert not ledger.extend(first, Occurrence(102, "e4")), "another one came in between"
    assert ledger.extend(second, Occurrence(102, "e4"))


def test_what_is_sure_to_be_known_may_be_added_without_asking(ledger, disk):
    disk[KEY] = Sighting(50, 100, 2, "e0", "e0")
    first = claim(ledger)
    assert first.more.open_until_ms == NEVER, "nobody has asked yet"
    assert ledger.extend(first, Occurrence(104, "e2"))
    assert first.more.open_until_ms >= 104
    first.more.events.append(Occurrence(103, "e3"))
    assert ledger.memory(KEY) == Sighting(50, 104, 5, "e0", "e2")
    first.more.events.append(Occurrence(first.more.open_until_ms, "e4"))
    assert ledger.extend(first, Occurrence(first.more.open_until_ms + 1, "e5")), "it has moved on"
    future = ledger.confirm([first])
    assert first.more.open_until_ms == NEVER
    (change,) = ledger.take()
    assert (change.memory.count, change.memory.last_event) == (7, "e5")
    resolve(ledger.committed([change]))
    assert future.done()


def test_nothing_is_added_without_asking_behind_another_claim_or_beside_an_alert(ledger, disk):
    disk[KEY] = Sighting(50, 100, 2, "e0", "e0")
    first = claim(ledger)
    assert ledger.extend(first, Occurrence(101, "e2"))
    second = claim(ledger, "e3", time=102)
    assert first.more.open_until_ms == NEVER
    resolve(ledger.release([second]))
    assert ledger.extend(first, Occurrence(103, "e4"))
    claim(ledger, "e5", time=999)
    relying = claim(ledger, "e6", time=1000)
    assert ledger.extend(relying, Occurrence(1001, "e7"))
    assert (first.more.open_until_ms, relying.more.open_until_ms) == (NEVER, NEVER)


def test_nothing_is_added_to_what_is_lost(ledger, disk):
    disk[KEY] = Sighting(50, 100, 2, "e0", "e0")
    first = claim(ledger)
    assert ledger.extend(first, Occurrence(101, "e2"))
    resolve(ledger.abandon(StoreError("closed")))
    assert first.more.open_until_ms == NEVER


def test_a_claim_that_holds_an_alert_is_not_extended(ledger):
    alerting = claim(ledger)
    assert not ledger.extend(alerting, Occurrence(101, "e2"))
    relying = claim(ledger, "e2", time=101)
    assert ledger.extend(relying, Occurrence(102, "e3"))
    assert not ledger.extend(relying, Occurrence(102, "e1")), "its alert is on its way"


def test_a_claim_that_is_settled_or_lost_is_not_extended(ledger, disk):
    alerting, relying = claim(ledger), claim(ledger, "e2", time=101)
    resolve(ledger.release([alerting]))
    assert not ledger.extend(relying, Occurrence(102, "e3"))
    assert not ledger.extend(alerting, Occurrence(102, "e3"))


def test_what_a_released_claim_was_extended_by_is_forgotten(ledger, disk):
    disk[KEY] = Sighting(50, 99, 1, "e0", "e0")
    first = claim(ledger)
    assert ledger.extend(first, Occurrence(105, "e2"))
    resolve(ledger.release([first]))
    assert claim(ledger, "e3", time=111).verdict is Verdict.NEW


class TestHandingOver:
    """What is on its way in one ledger goes on in another."""

    def test_what_is_confirmed_is_written_by_the_other(self, ledger, disk):
        one, other = claim(ledger), claim(ledger, "e2", time=101)
        future = ledger.confirm([one, other])
        (taken,) = ledger.take()
        assert ledger.has(taken)
        handed = ledger.hand_over()
        assert dict(handed.claims) == {one: KEY, other: KEY}
        assert list(handed.confirmed) == [(future, [one, other])]
        assert not ledger.has(taken)
        assert ledger.take() == []
        taking = Ledger(disk.get)
        taking.take_over(handed)
        write(taking, disk)
        assert future.result() is None
        assert disk[KEY] == Sighting(100, 101, 2, "e1", "e2")

    def test_what_relies_on_an_alert_goes_with_it(self, ledger, disk):
        alert, relying = claim(ledger), claim(ledger, "e2", time=101)
        future = ledger.confirm([relying])
        taking = Ledger(disk.get)
        taking.take_over(ledger.hand_over())
        write(taking, disk)
        assert not future.done()
        again = claim(taking)
        assert again.verdict is Verdict.AGAIN
        resolve(taking.release([again]))
        resolve(taking.release([alert]))
        with pytest.raises(ClaimLost):
            future.result()
        assert disk == {}

    def test_what_is_lost_stays(self, ledger, disk):
        alert, relying = claim(ledger), claim(ledger, "e2", time=101)
        resolve(ledger.release([alert]))
        handed = ledger.hand_over()
        assert list(handed.claims) == []
        with pytest.raises(ClaimLost):
            ledger.confirm([relying]).result()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_confirmation_that_fails_ends_when_all_of_it_has(ledger, disk, when):
    given_up, relying, delivered = claim(ledger), claim(ledger, "e2", time=101), claim(ledger, "e3", term="y")
    if when == "before":
        resolve(ledger.release([given_up]))
    future = ledger.confirm([relying, delivered])
    if when == "after":
        resolve(ledger.release([given_up]))
    assert not future.done()
    write(ledger, disk)
    assert isinstance(future.exception(0), ClaimLost)
    assert list(disk) == [state_key(RULE.key, ("y",))]
