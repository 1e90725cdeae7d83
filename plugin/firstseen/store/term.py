"""What is on its way for one term: the claims that are not durable yet, in order, and the alerts among them.

The rules that this follows are those of `firstseen.store.ledger`; here they are kept for one term at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from firstseen.detect.law import NEVER, Occurrence
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import Claim


class Confirmation:
    """One call of `Store.confirm`: its future, how many of its claims are neither durable nor gone yet, and its fate.

    ``error`` is what the first of them failed for that did.
    """

    __slots__ = ("error", "future", "waiting")

    def __init__(self, waiting: int) -> None:
        self.future: Future[None] = Future()
        # It cannot be cancelled any more: asyncio.wrap_future would pass a task's cancellation on to it.
        self.future.set_running_or_notify_cancel()
        self.waiting = waiting
        self.error: StoreError | None = None


class Alert:
    """One event's alert on one term, while it is not durable.

    ``before`` is what it was raised on, ``relies_on`` the alert before it in the chain.
    """

    __slots__ = ("before", "event", "holders", "is_confirmed", "relies_on")

    def __init__(self, event: str, before: Any, relies_on: Alert | None) -> None:
        self.event = event
        self.before = before
        self.relies_on = relies_on
        self.holders: list[Ticket] = []
        self.is_confirmed = False  # kept, not asked for: one event may come a million times in a chunk

    def confirmed(self) -> list[Ticket]:
        """The claims of it that are confirmed: one is enough to deliver it."""
        return [ticket for ticket in self.holders if ticket.confirmation is not None]

    def keep(self, holders: list[Ticket]) -> None:
        """Only these claims hold it from now on."""
        self.holders = holders
        self.is_confirmed = bool(self.confirmed())


class Ticket:
    """A claim's place on its term: the alert it holds or None, and the alert it relies on or None."""

    __slots__ = ("claim", "confirmation", "holds", "relies_on", "term")

    def __init__(self, claim: Claim, term: Term, holds: Alert | None, relies_on: Alert | None) -> None:
        self.claim = claim
        self.term = term
        self.holds = holds
        self.relies_on = relies_on
        self.confirmation: Confirmation | None = None

    def confirm(self, confirmation: Confirmation) -> None:
        """Its event's label is delivered, and so is the alert that it holds."""
        self.confirmation = confirmation
        if self.holds is not None:
            self.holds.is_confirmed = True


class Term:
    """What is on its way for one term. ``durable`` is on disk; with all of ``tickets`` it will become ``memory``."""

    __slots__ = ("_memory", "_remembered", "alerts", "by_event", "durable", "key", "tickets")

    def __init__(self, key: bytes, durable: Any) -> None:
        self.key = key
        self.durable = durable
        self._memory = durable
        self._remembered = 0  # of the events that the last claim got since it was made
        self.tickets: list[Ticket] = []
        self.alerts: list[Alert] = []
        self.by_event: dict[str, Alert] = {}  # the last of each event: a chunk may hold thousands of them

    @property
    def memory(self) -> Any:
        """See the class. The last claim may have got events of which nobody told (`More.open_until_ms`)."""
        if self.tickets:
            claim = self.tickets[-1].claim
            new = claim.more.events[self._remembered :]
            if new:
                self._memory = claim.law.remember_known(self._memory, new)
                self._remembered += len(new)
        return self._memory

    def undelivered(self, event: str) -> Alert | None:
        """The alert of this very event, unless one of its claims is confirmed already."""
        alert = self.by_event.get(event)
        return None if alert is None or alert.is_confirmed else alert

    def alert(self, event: str) -> Alert:
        """One alert more at the end of the chain."""
        alert = self.by_event[event] = Alert(event, self.memory, self.last_alert)
        self.alerts.append(alert)
        return alert

    @property
    def last_alert(self) -> Alert | None:
        """The end of the chain: what a claim made now relies on."""
        return self.alerts[-1] if self.alerts else None

    def _keep_alerts(self, alerts: list[Alert]) -> None:
        self.alerts = alerts
        self.by_event = {alert.event: alert for alert in alerts}

    def add(self, ticket: Ticket) -> None:
        """One claim more."""
        before = self.memory
        if self.tickets:
            self.tickets[-1].claim.more.open_until_ms = NEVER
        self.tickets.append(ticket)
        self._remember(before, ticket.claim)

    def refresh(self, durable: Any) -> None:
        """``durable`` is on disk, by somebody else."""
        self.durable = self._memory = durable
        for ticket in self.tickets:
            ticket.claim.more.open_until_ms = NEVER
            self._remember(self._memory, ticket.claim)

    def _remember(self, before: Any, claim: Claim) -> None:
        """``before`` and what is said of ``claim``, which is the last one, are all there is up to now."""
        more = claim.more.events[:]
        self._memory = remembered(before, claim, more)
        self._remembered = len(more)

    def extend(self, ticket: Ticket, occurrence: Occurrence) -> bool:
        """One event more for ``ticket``, where its claim would be KNOWN, come right behind and rely on nothing else.

        What holds an alert is not extended: it is written before all that relies on that.
        """
        if ticket.holds is not None or self.tickets[-1] is not ticket or self.last_alert is not ticket.relies_on:
            return False
        if self.alerts and self.undelivered(occurrence.event) is not None:
            return False
        claim = ticket.claim
        memory = self.memory
        if claim.law.judge(memory, occurrence) is not Verdict.KNOWN:
            return False
        claim.more.events.append(occurrence)
        if not self.alerts:  # else it has to be asked of each event whether it raised one of them
            claim.more.open_until_ms = claim.law.known_until_ms(memory)
        return True

    def writable(self) -> list[Ticket]:
        """The confirmed claims that rely on nothing unconfirmed, each behind what it relies on."""
        confirmed = [ticket for ticket in self.tickets if ticket.confirmation is not None]
        if not self.alerts:
            return confirmed
        followers: dict[Alert | None, list[Ticket]] = {}
        for ticket in confirmed:
            if ticket.holds is None:
                followers.setdefault(ticket.relies_on, []).append(ticket)
        ready = followers.get(None, [])
        for alert in self.alerts:
            holders = alert.confirmed()
            if not holders:
                break
            ready += holders + followers.get(alert, [])
        return ready

    def written(self, memory: Any, tickets: set[Ticket]) -> None:
        """``memory``, with ``tickets`` in it, is durable."""
        self.durable = memory
        self._memory, last = self.memory, self.tickets[-1]
        self.tickets = [ticket for ticket in self.tickets if ticket not in tickets]
        if last in tickets:  # the one that is the last one now gets no more events
            self._remembered = len(self.tickets[-1].claim.more.events) if self.tickets else 0
        delivered = {alert for alert in self.alerts if any(holder in tickets for holder in alert.holders)}
        if not delivered:
            return
        self._keep_alerts([alert for alert in self.alerts if alert not in delivered])
        for alert in self.alerts:
            if alert.relies_on in delivered:
                alert.relies_on = None
        for ticket in self.tickets:
            if ticket.relies_on in delivered:
                ticket.relies_on = None
            if ticket.holds in delivered:
                ticket.holds = None

    def withdraw(self, tickets: set[Ticket]) -> set[Ticket]:
        """Take ``tickets`` out, and every claim that is lost by that; the latter are returned."""
        for alert in self.alerts:
            alert.keep([holder for holder in alert.holders if holder not in tickets])
        intact = next((number for number, alert in enumerate(self.alerts) if not alert.holders), len(self.alerts))
        dead = set(self.alerts[intact:])
        self._keep_alerts(self.alerts[:intact])
        left = [ticket for ticket in self.tickets if ticket not in tickets]
        self.tickets, self._memory, self._remembered = [], self.durable, 0
        lost = set()
        for ticket in left:
            if ticket.relies_on in dead:  # so do the holders of all the dead alerts that still have one
                lost.add(ticket)
            else:
                self.add(ticket)
                ticket.claim.more.open_until_ms = NEVER
        return lost


def remembered(before: Any, claim: Claim, more: Sequence[Occurrence]) -> Any:
    """What is remembered once the event of ``claim``, and ``more`` of its events, are added to ``before``."""
    memory = claim.law.remember(before, claim.occurrence, claim.verdict)
    return claim.law.remember_known(memory, more) if more else memory
