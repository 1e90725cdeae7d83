"""A shared state with a copy on disk to fall back on: while the servers are away, this agent goes on alone.

The copy holds what this agent has seen itself. What it judges by that, others may judge otherwise at the same time, so
such claims say that they were made `alone`. What is on its way when the servers go away goes on in the copy, as it was
judged. What is remembered alone is on the disk before it is acknowledged, and it is merged into the shared state
(`firstseen.store.merge`) before that is asked again: of each term, when what was claimed alone is settled. If the agent
ends before, that is done when it is back: then all that the copy holds is merged.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from firstseen.detect.keys import state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import Claim, Entry, History, Memory, RuleState, Solitude, Stats, Swept
from firstseen.store.lmdb import LmdbStore
from firstseen.store.redis.bringing import Bringing
from firstseen.store.redis.copying import Copying
from firstseen.store.redis.joined import joined
from firstseen.store.redis.owed import Owed
from firstseen.store.redis.reservation import Reservation
from firstseen.store.redis.store import RedisStore
from firstseen.store.redis.telling import Telling

AWAY_S = 1.0
"""How long servers have to say nothing until one goes on alone: a failover takes longer, a lost connection does not."""

TEND_S = 0.5
"""Between two looks at what is to be copied, at what is to be merged, and whether the servers are back."""

_ALONE = b"alone"
"""The mark in the copy that says that it holds something that was not merged."""


class Fallback:
    """See `SharedStore`; ``part`` takes part in the shared state.

    Begins alone if the servers are away. ``tell`` is told why whenever that begins, again where it lasts for another
    reason, as where servers that are back cannot be used, and of None when all is there that was remembered alone.
    ``begun`` is called once, when the shared state is there. ``tell_of_copy`` is told why the copy falls behind, once,
    and of None when it has caught up. Closes both at the end.
    """

    def __init__(
        self,
        part: Callable[[], RedisStore],
        copy: LmdbStore,
        tell: Callable[[StoreError | None], None],
        begun: Callable[[RedisStore], None],
        away_s: float = AWAY_S,
        *,
        tell_of_copy: Callable[[StoreError | None], None],
    ) -> None:
        self.copy = copy
        self._copying = Copying(copy)
        self._behind = Telling(tell_of_copy)
        self._apart = Telling(tell)
        self._begun: Callable[[RedisStore], None] | None = begun
        self._away_s = away_s
        self._lock = threading.RLock()  # what is released may end what others wait for, in the same thread
        self._there: dict[Reservation, None] = {}  # that are asked for there, or made
        self._held_back: dict[Reservation, None] = {}
        self._is_leaving = False
        self._closing = threading.Event()
        self._is_marked = copy.mark(_ALONE) == b"1"
        self._owed = Owed(all_unmerged=self._is_marked)
        self._bringing = Bringing(copy, self._owed, self._lock, self._closing.is_set)
        self._marking = threading.Lock()  # also for saying that it goes on alone, or does no more
        self._stir = threading.Event()
        self._shared = part()
        self._shared.on_done = self._copying.note
        try:
            self._begin()
            self._is_alone = self._is_marked  # until that is merged
        except StoreError as error:
            self._is_alone = True
            self._go_on_alone(error)
        # Daemon threads: where close was never called, the process may end all the same.
        self._tender = threading.Thread(target=self._tend, name="firstseen-copy", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="firstseen-away", daemon=True)
        self._tender.start()
        self._watcher.start()

    @property
    def is_alone(self) -> bool:
        """Whether the servers are away, or what was remembered without them is not merged yet."""
        return self._is_alone

    @property
    def solitude(self) -> Solitude:
        """Whether it goes on alone, and what else is no `problem`: all is remembered, but not where it should be."""
        behind = self._behind.reason
        uncopied = 0 if behind is None else self._copying.waiting
        return Solitude(self._is_alone, self._apart.reason, uncopied, behind)

    def register(self, rules: Iterable[RuleState], now_ms: int) -> Sequence[int]:
        """See `Store.register`: by the copy, and there, by now or when the servers are back."""
        states = list(rules)
        if self._is_alone:
            since = self.copy.register(states, now_ms)  # not with the lock: what its writer ends may wait for that
            with self._lock:
                if self._is_alone:
                    self._bringing.register(map(History, states, since))
                    return since
        since = self._bringing.begin(self._shared, states, now_ms)
        self._copying.begun(map(History, states, since))
        return since

    def rules(self) -> Iterator[History]:
        """See `Claims.rules`."""
        return self.copy.rules() if self._is_alone else self._shared.rules()

    def get(self, rule_key: bytes, terms: Sequence[TermValue]) -> Memory | None:
        """See `StateReader.get`."""
        return (self.copy if self._is_alone else self._shared).get(rule_key, terms)

    def entries(self, rule_key: bytes = b"", after: bytes = b"", holding: bytes = b"") -> Iterator[Entry]:
        """See `StateReader.entries`."""
        return (self.copy if self._is_alone else self._shared).entries(rule_key, after, holding)

    def stats(self) -> Stats:
        """See `StateReader.stats`."""
        return (self.copy if self._is_alone else self._shared).stats()

    def reservation(self) -> Reservation:
        """See `SharedStore.reservation`."""
        return Reservation(self.reserve, self.give_up, self._shared.reservation())

    def claim(self, rule: RuleState, terms: tuple[TermValue, ...], occurrence: Occurrence, law: Law[Any]) -> Claim:
        """See `Claims.claim`."""
        key = state_key(rule.key, terms)
        with self._lock:
            if not self._owed.is_reserved(key):
                return self._shared.claim(rule, terms, occurrence, law)
            claim = self.copy.claim(rule, terms, occurrence, law)
            self._owed.claim(claim, key)
            return claim

    def extend(self, claim: Claim, occurrence: Occurrence) -> bool:
        """See `Claims.extend`."""
        with self._lock:
            return (self.copy if self._owed.has(claim) else self._shared).extend(claim, occurrence)

    def confirm(self, claims: Sequence[Claim]) -> Future[None]:
        """See `Store.confirm`."""
        with self._lock:
            here, there = self._owed.parted(claims)
            if not here:
                return self._shared.confirm(there)
            durable = self.copy.confirm(here)
            self._settles(durable, here)
            return joined(durable, self._shared.confirm(there)) if there else durable

    def release(self, claims: Sequence[Claim]) -> None:
        """See `Claims.release`."""
        with self._lock:
            here, there = self._owed.parted(claims)
            self.copy.release(here)
            self._owed.settle(here, may_be_there=False)
            self._shared.release(there)
        self._go_on()

    @property
    def problem(self) -> StoreError | None:
        """See `Store.problem`: while it goes on alone, the copy's."""
        return self.copy.problem if self._is_alone else self._shared.problem

    @property
    def newest_ms(self) -> int | None:
        """See `Pruning.newest_ms`, of the copy, as the next three are: the servers forget by themselves."""
        known = (self.copy.newest_ms, self._copying.newest_ms)
        return max((each for each in known if each is not None), default=None)

    @property
    def reached_ms(self) -> int | None:
        """See `Pruning.reached_ms`."""
        return self.copy.reached_ms

    @property
    def swept(self) -> Swept:
        """See `Pruning.swept`."""
        return self.copy.swept

    def prune(self, now_ms: int) -> Future[None]:
        """See `Pruning.prune`."""
        return self.copy.prune(now_ms)

    def close(self) -> None:
        """See `Store.close`."""
        self._closing.set()
        self._stir.set()
        self._tender.join()
        self._watcher.join()
        if not self._is_alone:
            with contextlib.suppress(StoreError):  # then it is merged when the agent is back
                self._bringing.catch_up(self._shared)
        self._shared.close()
        self._go_on(at_end=True)
        self._keep_copy()  # with what was written there last
        self.copy.close()

    def reserve(self, reservation: Reservation) -> None:
        """Have this reservation made: there, or here where the servers are away or go away before.

        What the shared state lacks of its terms is merged before it is asked for them.
        """
        with self._lock:
            stays = self._is_alone
            if stays:
                self._have_here([reservation])
            elif self._is_leaving or self._owed.holds(reservation.wanted):
                self._held_back[reservation] = None
                return
            else:
                self._there[reservation] = None
        if stays:
            reservation.over(None)
        else:
            self._ask_there(reservation)

    def give_up(self, reservation: Reservation) -> None:
        """It has ended."""
        reservation.there.end()
        with self._lock:
            reservation.has_ended = True
            self._owed.give_up(reservation.keys)
            reservation.keys = []
            self._there.pop(reservation, None)
            self._held_back.pop(reservation, None)
        self._go_on()

    def _ask_there(self, reservation: Reservation) -> None:
        reservation.there.ask().add_done_callback(lambda future: self._made(reservation, future))

    def _made(self, reservation: Reservation, future: Future[None]) -> None:
        with self._lock:
            if reservation.is_made or reservation.has_ended or self._is_leaving:  # then it is made here, in a moment
                return
            reservation.is_made = True
        reservation.over(future.exception())

    def _have_here(self, reservations: Iterable[Reservation]) -> list[Reservation]:
        """Their terms are claimed in the copy from now on; those that are made by that."""
        made = []
        for reservation in reservations:
            if not reservation.has_ended:
                reservation.keys = list(reservation.wanted)
                self._owed.reserve(reservation.keys)
            if not reservation.is_made:
                reservation.is_made = True
                made.append(reservation)
        return made

    def _go_on(self, *, at_end: bool = False) -> None:
        """Ask for what was held back for what the shared state lacked, and does not lack any more."""
        if not self._held_back:
            return
        with self._lock:
            if self._is_alone or self._is_leaving:
                return
            free = [each for each in self._held_back if at_end or not self._owed.holds(each.wanted)]
            for reservation in free:
                del self._held_back[reservation]
                self._there[reservation] = None
        for reservation in free:
            self._ask_there(reservation)

    def _watch(self) -> None:
        while not self._closing.wait(self._away_s / 5):
            error = None if self._is_alone else self._shared.away(self._away_s)
            if error is not None:
                self._leave(error)

    def _leave(self, error: StoreError) -> None:
        """The servers have been away for long enough: go on by the copy, with all that is on its way."""
        with self._marking:
            if self._is_alone or self._closing.is_set():
                return
            self._copy_more()  # most of it, before anything stands still
            try:
                self._go_on_alone(error)
            except StoreError as problem:  # the copy has no room to say so: later, perhaps
                self._apart.now(StoreError(f"{error}; the agent cannot go on alone: {problem}"))
                return
            with self._lock:
                self._is_leaving = True
                self._take_over()
            self._copy_more()  # nothing more is acknowledged there, and nothing is claimed before it is copied
            with self._lock:
                self._is_leaving, self._is_alone = False, True
                made = self._have_here([*self._there, *self._held_back])
                self._there.clear()
                self._held_back.clear()
        for reservation in made:
            reservation.over(None)

    def _take_over(self) -> None:
        """What is claimed there goes on here; what is reserved there cannot be claimed any more."""
        for reservation in self._there:
            reservation.there.end()
        handed = self._shared.hand_over()
        for claim, key in handed.claims:
            self._owed.claim(claim, key)
        confirmed = list(handed.confirmed)
        self.copy.take_over(handed)
        for durable, claims in confirmed:
            self._settles(durable, claims)

    def _go_on_alone(self, error: StoreError) -> None:
        self.copy.fold({}, {_ALONE: b"1"})
        self._is_marked = True
        self._apart.now(error)

    def _settles(self, durable: Future[None], claims: Sequence[Claim]) -> None:
        durable.add_done_callback(lambda _: self._settled(claims))

    def _settled(self, claims: Sequence[Claim]) -> None:
        with self._lock:  # where one is lost, what was delivered beside it is remembered all the same
            self._owed.settle(claims, may_be_there=True)
        if not self._is_alone:
            self._stir.set()

    def _tend(self) -> None:
        while True:
            self._come_back()
            self._go_on()
            self._keep_copy()
            self._stir.wait(TEND_S)
            self._stir.clear()
            if self._closing.is_set():
                return

    def _keep_copy(self) -> None:
        """Copy what was remembered there, and say in the copy whether there is more in it than there."""
        if not self._is_alone and self._copy_more() and self._unmark():
            self._behind.now(None)

    def _copy_more(self) -> bool:
        """Copy what was remembered there; whether that is all of it."""
        try:
            self._copying.catch_up()
        except StoreError as error:
            self._behind.now(error)
            return False
        return True

    def _come_back(self) -> None:
        """Merge what was remembered alone, and ask the servers again from then on; or say why not."""
        owes = bool(self._is_alone or self._owed.is_unmerged or self._bringing.registers)
        if not owes and self._apart.reason is None:
            return
        if not self._shared.is_settled:  # what was sent before it went on alone may be done after the merging
            with self._marking:
                self._apart.now(self._shared.problem or self._apart.reason)
            return
        try:
            self._begin()
            self._bringing.catch_up(self._shared)
            with self._lock:
                self._is_alone = self._is_alone and (self._owed.all_unmerged or not self._shared.is_settled)
            self._bringing.catch_up(self._shared)  # with what came meanwhile
        except StoreError as error:
            if owes and not self._is_alone:  # again
                self._leave(error)
            elif owes and not self._closing.is_set():  # else it is merged when the agent is back
                self._apart.now(error)
        else:
            with self._marking:
                if not self._is_alone:  # again
                    self._apart.now(None)

    def _unmark(self) -> bool:
        """Nothing is left to be merged, also if the agent ends now; False where that cannot be said in the copy."""
        with self._marking:
            with self._lock:
                busy = self._is_alone or self._owed
            if self._is_marked and not busy:
                try:
                    self.copy.fold({}, {_ALONE: b"0"})
                except StoreError as error:
                    self._behind.now(error)
                    return False
                self._is_marked = False
        return True

    def _begin(self) -> None:
        self._shared.begin()
        begun, self._begun = self._begun, None
        if begun is not None:
            begun(self._shared)
