"""What an agent has remembered alone, brought into the shared state when that is back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import DamagedError, Entry, History, Memory, RuleState
from firstseen.store.lmdb import LmdbStore
from firstseen.store.redis.merging import Merging
from firstseen.store.redis.owed import Owed

BATCH = 1_000
"""Terms merged at once."""


class Bringing:
    """Merges what is ``owed`` out of ``copy``; ``lock`` guards that, and what is registered. One thread at a time.

    It is given up where the agent ``ends``: all of the copy may take long.
    """

    def __init__(
        self,
        copy: LmdbStore,
        owed: Owed,
        lock: AbstractContextManager[Any],
        ends: Callable[[], bool],
    ) -> None:
        self._copy = copy
        self._owed = owed
        self._lock = lock
        self._ends = ends
        self._unregistered: dict[bytes, History] = {}

    @property
    def registers(self) -> bool:
        """Whether there are histories to register."""
        return bool(self._unregistered)

    def register(self, histories: Iterable[History]) -> None:
        """These are to be registered first. The caller holds the lock."""
        self._unregistered.update({history.rule.key: history for history in histories})

    def begin(self, shared: Merging, states: Sequence[RuleState], now_ms: int) -> Sequence[int]:
        """When each of these began there, which the copy knows then.

        What is in the copy may have begun before what is there, and then that counts. What is new here has not: the
        clock of this agent may be behind.
        """
        histories = (self._copy.history(each.key) for each in states)
        known = {history.rule.key: history.since_ms for history in histories if history is not None}
        begun: dict[RuleState, int] = {}
        for earliest in (True, False):
            asked = [each for each in states if (each.key in known) is earliest]
            meant = [History(each, known.get(each.key, now_ms)) for each in asked]
            begun.update(zip(asked, shared.begin_histories(meant, earliest=earliest), strict=True))
        for since_ms in set(begun.values()):
            self._copy.register([each for each in states if begun[each] == since_ms], now_ms, since_ms)
        return [begun[each] for each in states]

    def catch_up(self, shared: Merging) -> None:
        """Bring all there is. Raises `StoreError`; what was not brought is brought the next time."""
        with self._lock:
            waiting = dict(self._unregistered)
        shared.begin_histories(waiting.values(), earliest=True)
        with self._lock:
            for key, history in waiting.items():
                if self._unregistered[key] is history:  # else it was registered again meanwhile
                    del self._unregistered[key]
        while self._owed.is_unmerged:
            if self._owed.all_unmerged:
                self._merge_all(shared)
            else:
                self._merge_some(shared)

    def _merge_all(self, shared: Merging) -> None:
        with self._locked(self._owed.begin_all, self._owed.end_all):
            shared.absorb(list(self._copy.rules()), [])  # of which terms know for how long they are kept
            entries = self._copy.entries()
            while batch := list(itertools.islice(entries, BATCH)):
                if self._ends():
                    raise StoreError("the agent ends: the copy is merged when it is back")
                shared.absorb([], batch)

    def _merge_some(self, shared: Merging) -> None:
        with self._locked(lambda: self._owed.begin(BATCH), self._owed.end):
            known = ((rule_key, terms, self._known(rule_key, terms)) for rule_key, terms in self._owed.merging)
            shared.absorb([], [Entry(*each[:2], each[2]) for each in known if each[2] is not None])

    def _known(self, rule_key: bytes, terms: Sequence[TermValue]) -> Memory | None:
        try:
            return self._copy.get(rule_key, terms)
        except DamagedError:  # it will never be read: at worst it is news again, and the agent is not alone for ever
            return None

    @contextmanager
    def _locked(self, begin: Callable[[], None], end: Callable[..., None]) -> Iterator[None]:
        with self._lock:
            begin()
        is_merged = False
        try:
            yield
            is_merged = True
        finally:
            with self._lock:
                end(is_merged=is_merged)
