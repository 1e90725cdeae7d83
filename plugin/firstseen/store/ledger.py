"""Which claims are on their way, what they mean to each other, and what of them may be written. No thread, no disk.

The rules, which `firstseen.store.term` keeps for each term:

* An event that claims a term whose alert it holds itself, not known to be delivered, gets the same alert AGAIN. Either
  copy's confirmation delivers the alert, and it is lost only when both are released.
* Any other claim is judged by the law, on what is durable and on every claim before it, confirmed or not: all of them
  are sightings that happened.
* A claim relies on the alerts that were on their way when it was made, all of them: alerts of one term form a chain,
  each relying on the one before, so it is enough to know the last. Nothing is written before what it relies on; it may
  be in the same transaction. A claim relies only on earlier ones, so there is no circle.
* An alert with no claim left that holds it takes everything that relies on it along.

Methods that end futures return them as `Outcome` for the caller to `resolve` once it holds no lock: callbacks may be
anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from firstseen.detect.keys import state_key
from firstseen.detect.law import NEVER, Law, Occurrence
from firstseen.errors import StoreError
from firstseen.model import TermValue, Verdict
from firstseen.store.base import Claim, ClaimLost, Memory, RuleState
from firstseen.store.term import Confirmation, Term, Ticket, remembered


class Outcome(NamedTuple):
    """A future that has ended: well, or with ``error``."""

    future: Future[None]
    error: StoreError | None


def resolve(outcomes: Iterable[Outcome]) -> None:
    """End the futures. Their callbacks run here and now."""
    for future, error in outcomes:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class Change(NamedTuple):
    """What one term becomes in a transaction, and by which claims, in order. ``tickets`` are the ledger's own."""

    key: bytes
    terms: tuple[TermValue, ...]
    memory: Memory
    tickets: set[Ticket]
    claims: Sequence[Claim]


class Handed(NamedTuple):
    """What was on its way in one ledger, for another to `Ledger.take_over`."""

    terms: Sequence[Term]

    @property
    def claims(self) -> Iterator[tuple[Claim, bytes]]:
        """All of them, each with the key of its term."""
        return ((ticket.claim, term.key) for term in self.terms for ticket in term.tickets)

    @property
    def confirmed(self) -> Iterable[tuple[Future[None], list[Claim]]]:
        """Those that are confirmed, with the futures of that."""
        together: dict[Future[None], list[Claim]] = {}
        for term in self.terms:
            for ticket in term.tickets:
                if ticket.confirmation is not None:
                    together.setdefault(ticket.confirmation.future, []).append(ticket.claim)
        return together.items()


class Ledger:
    """The claims of one store. ``read`` gives what is durable under a key; all claims are ``alone`` or none.

    The writer takes a batch, writes it, and reports with `committed` or `failed` before it takes the next.
    """

    def __init__(self, read: Callable[[bytes], Memory | None], *, alone: bool = False) -> None:
        self._read = read
        self._alone = alone
        self._terms: dict[bytes, Term] = {}
        self._pending: dict[Claim, Ticket | None] = {}  # None: the claim is lost, and its owner does not know yet
        self._touched: dict[Term, None] = {}  # in which something was confirmed since the last `take`
        self._closed: StoreError | None = None

    def claim(self, rule: RuleState, terms: tuple[TermValue, ...], occurrence: Occurrence, law: Law[Any]) -> Claim:
        """See `Store.claim`."""
        if self._closed is not None:
            raise _renewed(self._closed)
        key = state_key(rule.key, terms)
        term = self._terms.get(key)
        if term is None:
            term = self._terms[key] = Term(key, self._read(key))
        alert = term.undelivered(occurrence.event)
        if alert is not None:
            verdict, before, relies_on = Verdict.AGAIN, alert.before, alert.relies_on
        else:
            verdict, before, relies_on = law.judge(term.memory, occurrence), term.memory, term.last_alert
            if verdict is Verdict.NEW:
                alert = term.alert(occurrence.event)
        claim = Claim(rule, terms, occurrence, law, verdict, before, self._alone)
        ticket = Ticket(claim, term, alert, relies_on)
        if alert is not None:
            alert.holders.append(ticket)
        term.add(ticket)
        self._pending[claim] = ticket
        return claim

    def extend(self, claim: Claim, occurrence: Occurrence) -> bool:
        """See `Claims.extend`."""
        ticket = self._pending.get(claim)
        return ticket is not None and ticket.term.extend(ticket, occurrence)

    def confirm(self, claims: Sequence[Claim]) -> Future[None]:
        """See `Store.confirm`; the next `take` finds what can be written."""
        tickets = self._settle(claims)
        left = [ticket for ticket in tickets if ticket is not None]
        confirmation = Confirmation(len(left))
        if len(left) < len(tickets):
            confirmation.error = _lost() if self._closed is None else _renewed(self._closed)
        for ticket in left:
            # Also where another of the chunk's claims is lost: this one's alert was delivered all the same.
            ticket.confirm(confirmation)
            self._touched[ticket.term] = None
        if not left:
            resolve([Outcome(confirmation.future, confirmation.error)])
        return confirmation.future

    def release(self, claims: Sequence[Claim]) -> list[Outcome]:
        """See `Store.release`."""
        return self._lose(self._withdraw(filter(None, self._settle(claims))))

    def holds(self, key: bytes) -> bool:
        """Whether anything is on its way for the term of this key."""
        return key in self._terms

    def is_last(self, change: Change) -> bool:
        """Whether nothing will be on its way for the term once ``change`` is written."""
        return len(self._terms[change.key].tickets) == len(change.tickets)

    def memory(self, key: bytes) -> Memory | None:
        """What will be remembered under ``key``, with all that is on its way for it; None where nothing is."""
        term = self._terms.get(key)
        return None if term is None else term.memory

    def durable(self, key: bytes) -> Memory | None:
        """What is remembered under ``key`` without all that is on its way for it, of which there is some."""
        memory: Memory | None = self._terms[key].durable
        return memory

    def refresh(self, key: bytes, memory: Memory | None) -> None:
        """Somebody else wrote: this is what is durable under ``key``."""
        term = self._terms.get(key)
        if term is not None:
            term.refresh(memory)

    def anew(self, change: Change, memory: Memory | None) -> Change:
        """The same claims, added to what somebody else has written meanwhile."""
        self.refresh(change.key, memory)
        return change._replace(memory=_with(memory, change.claims))

    def has(self, change: Change) -> bool:
        """Whether what `take` gave is on its way here, and not `Handed` over meanwhile."""
        term = self._terms.get(change.key)
        return term is not None and not change.tickets.isdisjoint(term.tickets)

    def hand_over(self) -> Handed:
        """Let go of all that is on its way, also of what `take` gave. What is lost stays, until its owner asks."""
        handed = Handed(list(self._terms.values()))
        self._pending = {claim: ticket for claim, ticket in self._pending.items() if ticket is None}
        self._terms.clear()
        self._touched.clear()
        return handed

    def take_over(self, handed: Handed) -> None:
        """All of that goes on here, where nothing is on its way for any of its terms."""
        for term in handed.terms:
            self._terms[term.key] = term
            self._touched[term] = None
            for ticket in term.tickets:
                if ticket.confirmation is None:
                    self._pending[ticket.claim] = ticket

    def _settle(self, claims: Sequence[Claim]) -> list[Ticket | None]:
        pending = self._pending
        if len(set(claims)) < len(claims) or not all(claim in pending for claim in claims):
            raise ValueError("a claim can be confirmed or released once, in the store that gave it")
        for claim in claims:
            claim.more.open_until_ms = NEVER
        return [pending.pop(claim) for claim in claims]

    def take(self) -> list[Change]:
        """What is to be written now, in one transaction; empty if nothing can be."""
        changes = []
        for term in self._touched:
            tickets = term.writable()
            if tickets:
                changes.append(_change(term, tickets))
        self._touched.clear()
        return changes

    def committed(self, changes: Iterable[Change]) -> list[Outcome]:
        """What `take` gave is durable."""
        outcomes = []
        for change in changes:
            term = self._terms[change.key]
            term.written(change.memory, change.tickets)
            self._drop_if_idle(term)
            outcomes += _ended(change.tickets, None)
        return outcomes

    def failed(self, changes: Iterable[Change], error: StoreError) -> list[Outcome]:
        """Nothing of what `take` gave was written. Its claims are spent: their chunks come again."""
        tickets = [ticket for change in changes for ticket in change.tickets]
        return _ended(tickets, error) + self._lose(self._withdraw(tickets))

    def abandon(self, error: StoreError) -> list[Outcome]:
        """Nothing will be written any more: everything that waits fails with ``error``, and so do all later calls."""
        if self._closed is None:
            self._closed = error
        waiting = [ticket for term in self._terms.values() for ticket in term.tickets]
        for claim in self._pending:
            claim.more.open_until_ms = NEVER
        self._pending = dict.fromkeys(self._pending)
        self._terms.clear()
        self._touched.clear()
        return _ended(waiting, error)

    def _withdraw(self, tickets: Iterable[Ticket]) -> list[Ticket]:
        by_term: dict[Term, set[Ticket]] = {}
        for ticket in tickets:
            by_term.setdefault(ticket.term, set()).add(ticket)
        lost: list[Ticket] = []
        for term, gone in by_term.items():
            lost += term.withdraw(gone)
            self._drop_if_idle(term)
        return lost

    def _lose(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        for ticket in tickets:
            ticket.claim.more.open_until_ms = NEVER
            if ticket.claim in self._pending:
                self._pending[ticket.claim] = None
        return _ended(tickets, _lost())

    def _drop_if_idle(self, term: Term) -> None:
        if not term.tickets:
            self._terms.pop(term.key, None)
            self._touched.pop(term, None)


def _change(term: Term, tickets: Sequence[Ticket]) -> Change:
    claims = [ticket.claim for ticket in tickets]
    return Change(term.key, claims[0].terms, _with(term.durable, claims), set(tickets), claims)


def _with(memory: Any, claims: Iterable[Claim]) -> Any:
    for claim in claims:
        memory = remembered(memory, claim, claim.more.events)
    return memory


def _ended(tickets: Iterable[Ticket], error: StoreError | None) -> list[Outcome]:
    """What ends by these being durable, or gone with ``error``: that of which nothing is on its way any more."""
    outcomes = []
    for ticket in tickets:
        confirmation = ticket.confirmation
        if confirmation is None:
            continue
        confirmation.waiting -= 1
        if error is not None and confirmation.error is None:
            confirmation.error = _renewed(error)
        if not confirmation.waiting:
            outcomes.append(Outcome(confirmation.future, confirmation.error))
    return outcomes


def _lost() -> ClaimLost:
    return ClaimLost("an alert that this chunk relied on was given back undelivered: the chunk has to come again")


def _renewed(error: StoreError) -> StoreError:
    """The same error for one more raiser: a shared one would gather the tracebacks of all of them."""
    anew = type(error)(*error.args)
    anew.__cause__ = error.__cause__
    return anew
