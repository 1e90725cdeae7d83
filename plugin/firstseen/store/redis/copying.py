"""The copy of what this agent remembers in a shared state, made a while after, by a thread that may wait for a disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import islice

from firstseen.store.base import Entry, History
from firstseen.store.lmdb import LmdbStore

BATCH = 1_000
"""Terms copied in one transaction."""

MOST_COPIED = 50_000
"""Terms that wait to be copied; what comes beyond is copied when it is met again."""


class Copying:
    """Takes `note` of what is remembered, in any thread, and copies it to ``copy`` in another: see `catch_up`."""

    def __init__(self, copy: LmdbStore) -> None:
        self._copy = copy
        self._lock = threading.Lock()
        self._catching_up = threading.Lock()
        self._waiting: dict[bytes, Entry] = {}
        self._begun: dict[bytes, History] = {}
        self.newest_ms: int | None = None
        """The latest sighting of which note was taken; None before the first."""

    @property
    def waiting(self) -> int:
        """Terms that are not copied yet."""
        return len(self._waiting)

    def note(self, key: bytes, entry: Entry) -> None:
        """This is what is remembered there from now on, by this agent, under ``key``."""
        last_seen = entry.memory.last_seen
        with self._lock:
            if key in self._waiting or len(self._waiting) < MOST_COPIED:
                self._waiting[key] = entry
            self.newest_ms = last_seen if self.newest_ms is None else max(last_seen, self.newest_ms)

    def begun(self, histories: Iterable[History]) -> None:
        """These began there when they say so."""
        with self._lock:
            self._begun.update((history.rule.key, history) for history in histories)

    def catch_up(self) -> None:
        """Copy all that waits. Raises `StoreError`; what could not be copied waits for the next time.

        For any thread: when it returns, what another one was copying is copied as well.
        """
        with self._catching_up:
            with self._lock:
                left, self._waiting = self._waiting, {}
                begun, self._begun = self._begun, {}
            try:
                if begun:
                    self._copy.absorb(list(begun.values()), [])
                    begun = {}
                while batch := list(islice(left, BATCH)):
                    entries = {key: left.pop(key) for key in batch}
                    try:
                        self._copy.absorb([], list(entries.values()))
                    except BaseException:
                        left.update(entries)  # behind the others: what fails for its own sake keeps nobody waiting
                        raise
            finally:
                with self._lock:
                    self._begun = {**begun, **self._begun}
                    self._waiting = dict(islice({**left, **self._waiting}.items(), MOST_COPIED))
