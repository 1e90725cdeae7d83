"""The state that a fleet shares, in Redis or Valkey: see `SharedStore`.

Each agent keeps its own ledger of what is on its way, as it does with a state on its disk. What makes that safe is a
*lease*: an alert on a term is raised only by the agent that has the term's lease, from before the claim until the alert
is remembered or given up. Others that come upon the term wait for that; a lease that is older than it may be is no
obstacle to them any more. What is no news needs no lease. Sightings of known terms are added when they are delivered,
by whoever made them, in any order; what other laws count is counted as soon as it is asked for, for others to see.

What is known of a term here may be old, so it is used only for what can be told from it: a sighting only makes later
ones more known. That it was forgotten meanwhile shows when the sighting is added, and the chunk comes again.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from firstseen.detect.keys import RULE_KEY_SIZE, state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.model import TermValue, Verdict
from firstseen.store.base import Claim, ClaimLost, Entry, Memory, NotReservedError, RuleState, Stats
from firstseen.store.codec import pack_memory
from firstseen.store.ledger import Change, Handed, Ledger, Outcome, resolve
from firstseen.store.redis.ask import Ask, Asking
from firstseen.store.redis.courier import Courier, Round
from firstseen.store.redis.hashes import fields_of
from firstseen.store.redis.lasting import Lasting
from firstseen.store.redis.link import CLAIM, FREE, NOTE, Link
from firstseen.store.redis.merging import exchange, new_token
from firstseen.store.redis.owner import Owner
from firstseen.store.redis.pins import Cache, Met, Pins
from firstseen.store.redis.sightings import remembering
from firstseen.store.sweep import kept_ms

QUEUE_MS = 2_000
"""For how long the next in the queue is waited for, before others are served."""

_FORGOTTEN = "what made an event of this chunk known was forgotten meanwhile: the chunk has to come again"


def _silent(*_: object) -> None:
    """Nobody wants to know."""


class RedisStore(Lasting):
    """One agent's part in the shared state, by its own name; both are let go of at the end.

    `claim`, `extend`, `confirm` and `release` are for one thread, `register` and what reads for any. The courier is a
    thread of its own, which ends in `close`.
    """

    def __init__(
        self,
        link: Link,
        prefix: bytes,
        owner: Owner,
        lease_ms: int,
        trouble: Callable[[StoreError | None], None] = _silent,
    ) -> None:
        super().__init__(link, prefix)
        self._owner = owner
        self._lease_ms = lease_ms
        self._lock = threading.Lock()
        self._ledger = Ledger(lambda key: self._pins[key].memory)
        self._pins = Pins()
        self._cache = Cache()
        self._leased: dict[bytes, bytes | None] = {}  # with the token of the last writing, as far as it is known
        self._idle: set[bytes] = set()
        self._again: list[Change] = []
        self._asking: list[Asking] = []
        self._open = True
        self._left: Round | None = None
        self._failed: StoreError | None = None
        self.on_done: Callable[[bytes, Entry], None] = _silent
        """Is told of what this agent remembers, and under which key, holding a lock."""
        self._courier = Courier(self, self._lock, self._gather, self._given_up, trouble)

    def reservation(self) -> Asking:
        """See `SharedStore.reservation`."""
        return Asking(self._asked, self._ended)

    def claim(self, rule: RuleState, terms: tuple[TermValue, ...], occurrence: Occurrence, law: Law[Any]) -> Claim:
        """See `Claims.claim` and `SharedStore`."""
        key = state_key(rule.key, terms)
        with self._lock:
            if key not in self._pins:
                raise NotReservedError(f"terms of the rule {rule.name!r} were not reserved")
            claim = self._ledger.claim(rule, terms, occurrence, law)
            if claim.verdict is Verdict.KNOWN or key in self._leased:
                return claim
            outcomes = self._ledger.release([claim])
        resolve(outcomes)
        raise NotReservedError(f"terms of the rule {rule.name!r} were reserved for less")

    def extend(self, claim: Claim, occurrence: Occurrence) -> bool:
        """See `Claims.extend`. By another law than that of new_terms each event is noted where it is asked for."""
        if not isinstance(claim.law, NewTermsLaw):
            return False
        with self._lock:
            return self._ledger.extend(claim, occurrence)

    def confirm(self, claims: Sequence[Claim]) -> Future[None]:
        """See `Store.confirm`."""
        with self._lock:
            future = self._ledger.confirm(claims)
            self._courier.wake()
        return future

    def release(self, claims: Sequence[Claim]) -> None:
        """See `Store.release`."""
        with self._lock:
            outcomes = self._ledger.release(claims)
            self._let_go(state_key(claim.rule.key, claim.terms) for claim in claims)
        resolve(outcomes)

    def hand_over(self) -> Handed:
        """Let go of all claims: whoever takes them over brings them here again, by `absorb`, once this `is_settled`.

        What was sent of them may be done all the same. Nobody may be waiting for a reservation.
        """
        with self._lock:
            self._again = []
            self._left = self._courier.trip
            self._let_go(list(self._leased))
            return self._ledger.hand_over()

    @property
    def is_settled(self) -> bool:
        """Whether all is answered that had been sent when it was handed over."""
        return self._left is None or self._left is not self._courier.trip

    def away(self, for_s: float) -> StoreError | None:
        """What is wrong where nothing came back for so long, though something was asked."""
        with self._lock:
            trip, sent_s, problem = self._courier.trip, self._courier.sent_s, self._courier.problem
        if trip is None or time.monotonic() - sent_s < for_s:
            return None
        return problem or self._link.silence(sent_s, for_s)

    @property
    def problem(self) -> StoreError | None:
        """See `Store.problem`."""
        return self._courier.problem

    def stats(self) -> Stats:
        """See `StateReader.stats`, but for the entries: that are all keys in the database, whosever they are."""
        return self._stats(self._link.size())

    def close(self) -> None:
        """See `Store.close`; closing twice is closing once."""
        with self._lock:
            if not self._open:
                return
            self._open = False
        self._courier.close()
        with self._lock:
            outcomes = self._given_up(StoreError("the state is closed"))
        resolve(outcomes)
        if self.problem is None:  # else nobody waits for longer than a lease lasts
            with contextlib.suppress(StoreError):
                self._link.together([FREE.on(self._terms + key, self._owner.name) for key in self._leased])
        super().close()
        self._owner.release()

    def _asked(self, asking: Asking) -> None:
        with self._lock:
            error = self._failed if self._open else StoreError("the state is closed")
            if asking.has_ended:
                error = StoreError("the reservation has ended")
            if error is None:
                asking.since_s = time.monotonic()
                asking.missing = [ask for ask in asking.wanted if not self._is_known(asking, ask)]
            if asking.missing:
                self._asking.append(asking)
                self._courier.wake()
                return
        if error is not None:
            asking.ready.set_exception(error)
        else:
            asking.ready.set_result(None)

    def _is_known(self, asking: Asking, ask: Ask) -> bool:
        """Whether that can be told without asking; then it is pinned."""
        if self._ledger.holds(ask.key):
            # What is on its way makes it known, but may be given up: then it has to be reserved again.
            durable, memory = Met(self._ledger.durable(ask.key)), self._ledger.memory(ask.key)
        else:
            durable = self._cache.get(ask.key)
            memory = durable.memory
        if not ask.is_known(memory):
            return False
        self._pin(asking, ask.key, durable, lease=False)
        return True

    def _pin(self, asking: Asking, key: bytes, met: Met, *, lease: bool) -> None:
        self._pins.pin(key, met, lease=lease)
        asking.pinned.append((key, lease))

    def _ended(self, asking: Asking) -> None:
        with self._lock:
            if not asking.has_ended:
                asking.has_ended = True
                self._unpin(asking)

    def _unpin(self, asking: Asking) -> None:
        for key, lease in asking.pinned:
            self._pins.unpin(key, lease=lease)
        self._let_go(key for key, _ in asking.pinned)
        asking.pinned = []

    def _let_go(self, keys: Iterable[bytes]) -> None:
        """These may be needed no more: what is not is given back with the next round."""
        self._idle.update(key for key in keys if key in self._leased)
        if self._idle:
            self._courier.wake()

    def _gather(self) -> tuple[Round, float | None]:
        """What is given back, what is written, what is asked for, in this order: see `Courier`."""
        trip = Round()
        freed = [key for key in self._idle if key in self._leased and not self._is_needed(key)]
        self._idle.clear()
        for key in freed:
            del self._leased[key]
            trip.add(FREE.on(self._terms + key, self._owner.name), lambda _: ())
        changes = self._again or self._ledger.take()
        self._again = []
        for change in changes:
            self._write(trip, change)
        self._asking = [asking for asking in self._asking if not asking.has_ended]
        if not self._open:
            return trip, None
        now_s = time.monotonic()
        for asking in self._asking:
            if asking.due_s <= now_s:
                self._ask(trip, asking)
        return trip, min((asking.due_s for asking in self._asking), default=None)

    def _is_needed(self, key: bytes) -> bool:
        """Whether the lease is: by a chunk that has all it asked for, or waits for a term behind this one."""
        return self._pins.needs_lease(key) or self._ledger.holds(key)

    def _write(self, trip: Round, change: Change) -> None:
        key = change.key
        is_leased = key in self._leased
        if not is_leased and not isinstance(change.memory, Sighting):
            trip.add(None, lambda _: self._noted(change))
            return
        ends = is_leased and not self._pins.needs_lease(key) and self._ledger.is_last(change)
        read, token = self._leased.get(key), new_token()
        if ends:  # whoever wants it from now on asks behind this
            del self._leased[key]
        kept = kept_ms(change.claims[0].law.reach_ms)
        if isinstance(change.memory, Sighting):
            *before, command = remembering(self._terms + key, self._owner.name, change, (token, int(ends), kept))
            for piece in before:
                trip.add(piece, lambda _: ())
        else:
            fields = fields_of(change.memory, change.terms)
            command = exchange(self._terms + key, self._owner.name, int(ends), kept, (read, token), fields)
        trip.add(command, lambda answer: self._written(change, token, answer, ends=ends))

    def _written(self, change: Change, token: bytes, answer: Any, *, ends: bool) -> Sequence[Outcome]:
        key, is_here = change.key, self._ledger.has(change)  # else it was handed over meanwhile
        error = answer if isinstance(answer, StoreError) else None
        if is_here and error is None:
            try:
                return self._written_as(change, token, answer, ends=ends)
            except StoreError as unreadable:
                error = unreadable
        if ends and (error is not None or answer[0] != b"ok"):
            self._leased[key] = None
        self._cache.drop(key)
        self._let_go([key])
        return self._ledger.failed([change], error) if is_here and error is not None else ()

    def _written_as(self, change: Change, token: bytes, answer: Any, *, ends: bool) -> Sequence[Outcome]:
        key, (status, *values) = change.key, answer
        if status == b"ok":
            if key in self._leased:
                self._leased[key] = token
            memory = self._memory(key, [*values, None]) if values else change.memory
            outcomes = self._done(change, memory)
            self._now(key, Met(memory, token))
            return outcomes
        if status == b"changed":
            met = self._met_in(key, values)
            self._leased[key] = met.token
            self._again.append(self._ledger.anew(change, met.memory))
            return ()
        if ends:
            self._leased[key] = None
        self._cache.drop(key)
        outcomes = self._ledger.failed([change], ClaimLost(_FORGOTTEN))
        self._let_go([key])
        return outcomes

    def _noted(self, change: Change) -> Sequence[Outcome]:
        """It is remembered since it was asked for."""
        return self._done(change, self._ledger.durable(change.key)) if self._ledger.has(change) else ()

    def _done(self, change: Change, memory: Memory | None) -> Sequence[Outcome]:
        outcomes = self._ledger.committed([change._replace(memory=memory)])  # type: ignore[arg-type]
        self._let_go([change.key])
        if memory is not None:  # else it was forgotten meanwhile
            self.on_done(change.key, Entry(change.key[:RULE_KEY_SIZE], change.terms, memory))
        return outcomes

    def _ask(self, trip: Round, asking: Asking) -> None:
        left: list[Ask] = []
        rest = asking.missing[len(asking.next) :]
        for number, ask in enumerate(asking.next):
            key = ask.key
            # A place in another queue would keep others from a term that this chunk cannot take yet.
            who = (self._owner.name, self._lease_ms, 0 if number else QUEUE_MS)
            if ask.silence_ms is not None:
                command = CLAIM.on(self._terms + key, *who, ask.newest_ms, ask.silence_ms)
                trip.add(command, functools.partial(self._claimed, asking, left, ask, None))
                continue
            met, token = ask.met or self._cache.get(key), new_token()
            memory, is_news = ask.noted(met.memory)
            noted = b"" if memory is None or memory is met.memory else pack_memory(memory, ask.terms)
            kept = kept_ms(ask.law.reach_ms)
            command = NOTE.on(self._terms + key, *who, met.token or b"", token, int(is_news), kept, noted)
            become = Met(memory, token if noted else met.token)
            trip.add(command, functools.partial(self._claimed, asking, left, ask, become))
        trip.add(None, lambda _: self._gone_on(asking, left, rest))

    def _claimed(self, asking: Asking, left: list[Ask], ask: Ask, noted: Met | None, answer: Any) -> Sequence[Outcome]:
        """What came of one term: it is pinned, or put with those that are left."""
        if isinstance(answer, StoreError):
            asking.error = answer
            return ()
        key, (status, *values) = ask.key, answer
        if status == b"held":
            asking.refused = True
            left.append(ask)
            return ()
        try:
            met = self._met_in(key, values) if values or noted is None else noted
        except StoreError as error:  # it is unreadable, and stays so until somebody mends it
            asking.error = error
            return ()
        if status == b"changed":
            ask.met = met
            left.append(ask)
        elif status == b"leased" and left:  # it is leased behind them, or not at all
            self._leased[key] = met.token
            left.append(ask)
            self._let_go([key])
        else:
            if status == b"leased":
                self._leased[key] = met.token
            self._pin(asking, key, met, lease=status == b"leased")
        self._now(key, met)
        return ()

    def _gone_on(self, asking: Asking, left: list[Ask], rest: Sequence[Ask]) -> Sequence[Outcome]:
        """All that was asked for is answered."""
        now_s = time.monotonic()
        asking.missing = [*left, *rest]
        if asking.has_ended:
            self._unpin(asking)
        elif asking.error is not None:
            self._unpin(asking)
            self._asking.remove(asking)
            return [Outcome(asking.ready, asking.error)]
        elif asking.missing:
            asking.wait(now_s)
        elif now_s - asking.since_s > self._lease_ms / 2_000:  # what was leased first may be lost before it is used
            self._unpin(asking)
            asking.missing, asking.since_s = asking.wanted, now_s
        else:
            self._asking.remove(asking)
            return [Outcome(asking.ready, None)]
        return ()

    def _met_in(self, key: bytes, values: Sequence[bytes | None]) -> Met:
        *memory, token = values
        return Met(self._memory(key, memory), token)

    def _now(self, key: bytes, met: Met) -> None:
        """This is what is remembered now."""
        self._cache.put(key, met)
        self._pins.update(key, met)
        self._ledger.refresh(key, met.memory)

    def _given_up(self, error: StoreError) -> Sequence[Outcome]:
        self._failed = error
        waiting, self._asking = self._asking, []
        outcomes = [Outcome(asking.ready, error) for asking in waiting]
        return outcomes + self._ledger.abandon(error)
