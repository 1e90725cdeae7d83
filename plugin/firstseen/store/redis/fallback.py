"""A shared state with a copy on disk to fall back on: while the servers are away, this agent goes on alone.

The copy holds what this agent has seen itself. What it judges by that, others may judge otherwise at the same time, so
such claims say that they were made `alone`. What is remembered alone is on the disk before it is acknowledged, and it
is merged into the shared state (`firstseen.store.merge`) before that is asked again. If the agent ends before, that is
done when it is back: then all that the copy holds is merged.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from firstseen.detect.keys import state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import Claim, Entry, History, Memory, RuleState, Solitude, Stats, Swept
from firstseen.store.lmdb import LmdbStore
from firstseen.store.redis.copying import Copying
from firstseen.store.redis.joined import joined
from firstseen.store.redis.reservation import Reservation
from firstseen.store.redis.store import RedisStore
from firstseen.store.redis.telling import Telling

AWAY_S = 1.0
"""How long the servers have to be away until one goes on alone: a failover takes longer, a lost connection does not."""

TEND_S = 0.5
"""Between two looks at what is to be copied, at what is to be merged, and whether the servers are back."""

BATCH = 1_000
MOST_UNMERGED = 100_000
"""Terms that are merged one by one; where there are more, all of the copy is."""

_ALONE = b"alone"
"""The mark in the copy that says that it holds something that was not merged."""


class Fallback:
    """See `SharedStore`; ``part`` takes part in the shared state, and has to tell of trouble to what it is given.

    Begins alone if the servers are away. ``tell`` is told why whenever that begins, again where it lasts for another
    reason, as where servers that are back cannot be used, and of None when all is there that was remembered alone.
    ``begun`` is called once, when the shared state is there. ``tell_of_copy`` is told why the copy falls behind, once,
    and of None when it has caught up. Closes both at the end.
    """

    def __init__(
        self,
        part: Callable[[Callable[[StoreError | None], None]], RedisStore],
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
        self._lock = threading.Lock()
        self._unregistered: dict[bytes, History] = {}
        self._waiting: list[Reservation] = []
        self._here: Counter[bytes] = Counter()  # terms that are reserved to be claimed in the copy
        self._claimed: set[Claim] = set()
        self._unmerged: dict[bytes, tuple[bytes, tuple[TermValue, ...]]] = {}
        self._is_marked = self._all_unmerged = copy.mark(_ALONE) == b"1"
        self._marking = threading.Lock()  # also for saying that it goes on alone, or does no more
        self._leaving: threading.Timer | None = None
        self._closing = threading.Event()
        self._shared = part(self.trouble)
        self._shared.on_done = self._copying.note
        try:
            self._begin()
            self._is_alone = self._all_unmerged  # until that is merged
        except StoreError as error:
            self._is_alone = True
            self._go_on_alone(error)
        # A daemon thread: where close was never called, the process may end all the same.
        self._tender = threading.Thread(target=self._tend, name="firstseen-copy", daemon=True)
        self._tender.start()

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

    def trouble(self, error: StoreError | None) -> None:
        """The servers cannot be reached, or can again (None)."""
        with self._lock:
            if self._leaving is not None:
                self._leaving.cancel()
                self._leaving = None
            if error is not None and not self._is_alone:
                self._leaving = self._later(error)

    def register(self, rules: Iterable[RuleState], now_ms: int) -> Sequence[int]:
        """See `Store.register`: alone, by the copy; when the servers are back, there as well."""
        states = list(rules)
        since = self.copy.register(states, now_ms)
        histories = list(map(History, states, since))
        with self._lock:
            if self._is_alone:
                self._unregistered.update({history.rule.key: history for history in histories})
                return since
        return self._shared.begin_histories(histories)

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
        with self._lock:
            is_here = state_key(rule.key, terms) in self._here
        if not is_here:
            return self._shared.claim(rule, terms, occurrence, law)
        claim = self.copy.claim(rule, terms, occurrence, law)
        with self._lock:
            self._claimed.add(claim)
        return claim

    def extend(self, claim: Claim, occurrence: Occurrence) -> bool:
        """See `Claims.extend`."""
        return (self.copy if claim.alone else self._shared).extend(claim, occurrence)

    def confirm(self, claims: Sequence[Claim]) -> Future[None]:
        """See `Store.confirm`."""
        here, there = _parted(claims)
        if not here:
            return self._shared.confirm(there)
        durable = self.copy.confirm(here)
        durable.add_done_callback(lambda future: self._settled(here, is_durable=future.exception() is None))
        return joined(durable, self._shared.confirm(there)) if there else durable

    def release(self, claims: Sequence[Claim]) -> None:
        """See `Claims.release`."""
        here, there = _parted(claims)
        self.copy.release(here)
        self._settled(here, is_durable=False)
        self._shared.release(there)

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
        self._tender.join()
        if not self._is_alone:
            with contextlib.suppress(StoreError):  # then it is merged when the agent is back
                self._catch_up()
                self._unmark()
        with self._lock:
            if self._leaving is not None:
                self._leaving.cancel()
        self._shared.close()
        self.copy.close()

    def reserve(self, reservation: Reservation) -> None:
        """Have this reservation made: there, or here where the servers are away or go away before."""
        with self._lock:
            stays = self._is_alone
            if not stays:
                self._waiting.append(reservation)
        if stays:
            self._stay(reservation)
            return
        asked = reservation.there.ask()
        asked.add_done_callback(lambda future: self._made(reservation, future))

    def give_up(self, reservation: Reservation, keys: Iterable[bytes]) -> None:
        """It has ended; ``keys`` are what it had reserved here."""
        reservation.there.end()
        with self._lock:
            reservation.has_ended = True
            if reservation in self._waiting:
                self._waiting.remove(reservation)
            self._here.subtract(keys)
            self._here = +self._here

    def _made(self, reservation: Reservation, future: Future[None]) -> None:
        with self._lock:
            if reservation not in self._waiting:  # it is made here, or has ended
                return
            self._waiting.remove(reservation)
        reservation.over(future.exception())

    def _stay(self, reservation: Reservation) -> None:
        with self._lock:
            if not reservation.has_ended:
                reservation.keys = list(reservation.wanted)
                self._here.update(reservation.keys)
        reservation.over(None)

    def _leave(self, error: StoreError) -> None:
        """The servers have been away for long enough."""
        error = self._shared.problem or error  # as it is by now
        with self._marking:
            try:
                self._go_on_alone(error)
            except StoreError as problem:  # the copy has no room to say so: later, perhaps
                self._apart.now(StoreError(f"{error}; the agent cannot go on alone: {problem}"))
                with self._lock:
                    self._leaving = self._later(error)
                return
            with self._lock:
                self._leaving = None
                self._is_alone = not self._closing.is_set()
                waiting, self._waiting = self._waiting, []
        for reservation in waiting:
            reservation.there.end()
            self._stay(reservation)

    def _later(self, error: StoreError) -> threading.Timer:
        leaving = threading.Timer(self._away_s, self._leave, [error])
        leaving.daemon = True
        leaving.start()
        return leaving

    def _go_on_alone(self, error: StoreError) -> None:
        self.copy.fold({}, {_ALONE: b"1"})
        self._is_marked = True
        self._apart.now(error)

    def _settled(self, claims: Sequence[Claim], *, is_durable: bool) -> None:
        with self._lock:
            if is_durable:
                for claim in claims:
                    self._unmerged[state_key(claim.rule.key, claim.terms)] = (claim.rule.key, claim.terms)
            if len(self._unmerged) > MOST_UNMERGED:  # it is all in the copy
                self._unmerged.clear()
                self._all_unmerged = True
            self._claimed.difference_update(claims)

    def _tend(self) -> None:
        while True:
            self._come_back()
            self._keep_copy()
            if self._closing.wait(TEND_S):
                return

    def _keep_copy(self) -> None:
        """Copy what was remembered there, and say in the copy whether there is more in it than there."""
        if self._is_alone or self._claimed:  # the copy is written by claims, which have read it before
            return
        try:
            self._copying.catch_up()
            self._unmark()
        except StoreError as error:
            self._behind.now(error)
        else:
            self._behind.now(None)

    def _come_back(self) -> None:
        """Merge what was remembered alone, and ask the servers again from then on; or say why not."""
        owes = bool(self._is_alone or self._unmerged or self._unregistered or self._all_unmerged)
        if not owes and self._apart.reason is None:
            return
        try:
            self._begin()
            self._catch_up()
            with self._lock:
                self._is_alone = False
            self._catch_up()  # with what came meanwhile
        except StoreError as error:
            with self._marking:
                if owes and not self._closing.is_set():  # else it is merged when the agent is back
                    self._apart.now(error)
        else:
            with self._marking:
                if not self._is_alone:  # again
                    self._apart.now(None)

    def _unmark(self) -> None:
        """Nothing is left to be merged, also if the agent ends now."""
        with self._marking:
            with self._lock:
                busy = self._is_alone or self._here or self._claimed or self._unmerged or self._all_unmerged
            if self._is_marked and not busy:
                self.copy.fold({}, {_ALONE: b"0"})
                self._is_marked = False

    def _begin(self) -> None:
        self._shared.begin()
        begun, self._begun = self._begun, None
        if begun is not None:
            begun(self._shared)

    def _catch_up(self) -> None:
        with self._lock:
            waiting = dict(self._unregistered)
        self._shared.begin_histories(waiting.values())
        with self._lock:
            for key, history in waiting.items():
                if self._unregistered[key] is history:  # else it was registered again meanwhile
                    del self._unregistered[key]
        if self._all_unmerged:
            with self._lock:
                self._all_unmerged = False
            try:
                self._merge_all()
            except StoreError:
                self._all_unmerged = True
                raise
        while self._unmerged:
            self._merge_some()

    def _merge_all(self) -> None:
        self._shared.absorb(list(self.copy.rules()), [])  # of which terms know for how long they are kept
        entries = self.copy.entries()
        while batch := list(itertools.islice(entries, BATCH)):
            if self._closing.is_set():
                raise StoreError("the agent ends: the copy is merged when it is back")
            self._shared.absorb([], batch)

    def _merge_some(self) -> None:
        with self._lock:
            terms = dict(itertools.islice(self._unmerged.items(), BATCH))
            for key in terms:  # before they are read: what is remembered from now on is another matter
                del self._unmerged[key]
        try:
            known = ((rule_key, each, self.copy.get(rule_key, each)) for rule_key, each in terms.values())
            self._shared.absorb([], [Entry(*each[:2], each[2]) for each in known if each[2] is not None])
        except StoreError:
            with self._lock:
                for key, place in terms.items():
                    self._unmerged.setdefault(key, place)
            raise


def _parted(claims: Sequence[Claim]) -> tuple[list[Claim], list[Claim]]:
    """Those made alone, and the others."""
    return [claim for claim in claims if claim.alone], [claim for claim in claims if not claim.alone]
