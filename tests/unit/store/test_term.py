"""One term's claims in order; what several terms and chunks have to do with each other is in test_ledger.py."""

from __future__ import annotations

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.model import Verdict
from firstseen.store.base import Claim, RuleState
from firstseen.store.term import Alert, Confirmation, Term, Ticket

RULE = RuleState(b"8 bytes.", "rule", "Rule")
LAW = NewTermsLaw(10)


def arrive(term: Term, event: str, time_ms: int, *, holds: Alert | None = None) -> Ticket:
    """A claim on ``term``: on an alert that is given, else one that relies on all alerts before it."""
    relies_on = term.last_alert if holds is None else holds.relies_on
    return _add(term, event, time_ms, holds, relies_on)


def alerting(term: Term, event: str, time_ms: int) -> tuple[Ticket, Alert]:
    """A claim with an alert of its own, at the end of the chain."""
    relies_on = term.last_alert
    alert = term.alert(event)
    return _add(term, event, time_ms, alert, relies_on), alert


def _add(term: Term, event: str, time_ms: int, holds: Alert | None, relies_on: Alert | None) -> Ticket:
    verdict = Verdict.KNOWN if holds is None else Verdict.NEW
    ticket = Ticket(Claim(RULE, ("x",), Occurrence(time_ms, event), LAW, verdict, term.memory), term, holds, relies_on)
    if holds is not None:
        holds.holders.append(ticket)
    term.add(ticket)
    return ticket


def last_seen(term: Term) -> int | None:
    return None if term.memory is None else term.memory.last_seen


def confirm(*tickets: Ticket) -> None:
    for ticket in tickets:
        ticket.confirm(Confirmation(1))


def write(term: Term) -> list[Ticket]:
    """Everything that can be written becomes durable; what that was."""
    tickets = term.writable()
    times = [ticket.claim.occurrence.time_ms for ticket in tickets]
    term.written(Sighting(min(times), max(times), len(times), "e", "e"), set(tickets))
    return tickets


@pytest.fixture
def term() -> Term:
    return Term(b"key", None)


def test_a_confirmation_cannot_be_cancelled() -> None:
    assert not Confirmation(1).future.cancel()


def test_last_seen_begins_with_what_is_durable_and_only_moves_forward(term: Term) -> None:
    stored = Term(b"key", Sighting(50, 100, 2, "e1", "e1"))
    assert (term.memory, last_seen(stored)) == (None, 100)

    seen = []
    for time_ms in (90, 110, 105):
        arrive(stored, "e2", time_ms)
        seen.append(last_seen(stored))

    assert seen == [100, 110, 110]


def test_an_alert_knows_the_sighting_and_the_alert_before_it(term: Term) -> None:
    _, first = alerting(term, "e1", 100)
    _, second = alerting(term, "e2", 120)

    assert (first.before, first.relies_on) == (None, None)
    assert (second.before, second.relies_on) == (Sighting(100, 100, 1, "e1", "e1"), first)
    assert term.last_alert is second


def test_an_alert_is_undelivered_until_one_of_its_claims_is_confirmed(term: Term) -> None:
    ticket, alert = alerting(term, "e1", 100)
    twin = arrive(term, "e1", 100, holds=alert)
    assert (term.undelivered("e1"), term.undelivered("e2")) == (alert, None)

    confirm(twin)

    assert term.undelivered("e1") is None
    assert alert.confirmed() == [twin]
    assert ticket.confirmation is None


def test_of_an_event_with_two_alerts_the_last_one_counts(term: Term) -> None:
    alerting(term, "e1", 100)
    alerting(term, "e2", 120)
    _, again = alerting(term, "e1", 140)

    assert term.undelivered("e1") is again


def test_what_relies_on_nothing_can_be_written_once_confirmed(term: Term) -> None:
    first, second = arrive(term, "e1", 100), arrive(term, "e2", 101)
    assert term.writable() == []

    confirm(second)

    assert term.writable() == [second]
    confirm(first)
    assert term.writable() == [first, second]


def test_a_dependant_is_written_with_or_after_its_alert_and_behind_it(term: Term) -> None:
    before = arrive(term, "e0", 90)
    owner, _ = alerting(term, "e1", 100)
    dependant = arrive(term, "e2", 101)
    confirm(dependant)
    assert term.writable() == []

    confirm(owner, before)

    assert term.writable() == [before, owner, dependant]


def test_an_unconfirmed_alert_holds_up_the_alerts_behind_it(term: Term) -> None:
    first, _ = alerting(term, "e1", 100)
    second, _ = alerting(term, "e2", 120)
    third, _ = alerting(term, "e3", 140)
    confirm(first, third)

    assert term.writable() == [first]
    confirm(second)
    assert term.writable() == [first, second, third]


def test_what_relied_on_a_written_alert_relies_on_nothing_any_more(term: Term) -> None:
    owner, alert = alerting(term, "e1", 100)
    twin = arrive(term, "e1", 100, holds=alert)
    dependant = arrive(term, "e2", 101)
    next_owner, next_alert = alerting(term, "e3", 120)
    confirm(owner)

    assert write(term) == [owner]

    assert term.durable == Sighting(100, 100, 1, "e", "e")
    assert term.tickets == [twin, dependant, next_owner]
    assert (twin.holds, dependant.relies_on, next_alert.relies_on, next_owner.relies_on) == (None,) * 4
    assert (term.last_alert, term.undelivered("e1")) == (next_alert, None)


def test_what_relies_on_a_later_alert_keeps_relying_on_it(term: Term) -> None:
    owner, _ = alerting(term, "e1", 100)
    _, second = alerting(term, "e2", 120)
    dependant = arrive(term, "e3", 121)
    confirm(owner)

    write(term)

    assert dependant.relies_on is second


def test_writing_what_delivers_no_alert_leaves_the_alerts_alone(term: Term) -> None:
    before = arrive(term, "e0", 90)
    owner, alert = alerting(term, "e1", 100)
    confirm(before)

    assert write(term) == [before]
    assert (term.tickets, term.alerts) == ([owner], [alert])


def test_what_is_withdrawn_was_no_sighting() -> None:
    term = Term(b"key", Sighting(50, 60, 2, "e0", "e0"))
    kept, gone = arrive(term, "e1", 70), arrive(term, "e2", 80)

    assert term.withdraw({gone}) == set()
    assert (term.tickets, last_seen(term)) == ([kept], 70)
    assert term.withdraw({kept}) == set()
    assert (term.tickets, last_seen(term)) == ([], 60)


def test_an_alert_withdrawn_takes_its_dependants_along(term: Term) -> None:
    before = arrive(term, "e0", 90)
    owner, _ = alerting(term, "e1", 100)
    dependant = arrive(term, "e2", 101)

    assert term.withdraw({owner}) == {dependant}
    assert (term.tickets, term.alerts, last_seen(term)) == ([before], [], 90)
    assert term.undelivered("e1") is None


def test_a_twin_keeps_the_alert_alive(term: Term) -> None:
    owner, alert = alerting(term, "e1", 100)
    twin = arrive(term, "e1", 100, holds=alert)
    dependant = arrive(term, "e2", 101)

    assert term.withdraw({owner}) == set()
    assert (term.alerts, term.tickets) == ([alert], [twin, dependant])
    assert term.withdraw({twin}) == {dependant}


def test_a_chain_is_lost_from_the_alert_that_is_withdrawn(term: Term) -> None:
    first, alert = alerting(term, "e1", 100)
    beside_first = arrive(term, "e2", 101)
    second, _ = alerting(term, "e3", 120)
    third, _ = alerting(term, "e4", 140)
    behind_third = arrive(term, "e5", 141)

    assert term.withdraw({second}) == {third, behind_third}
    assert (term.alerts, term.tickets, last_seen(term)) == ([alert], [first, beside_first], 101)
