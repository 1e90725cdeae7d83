"""Reports written into the state: what was found, and in the same transaction how far each file was read.

So whatever happens, each event of a file is in the state once or not at all: what is broken off goes on from there.
The one exception is a state on several servers, see `firstseen.store.redis.merging.Merging.fold`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from msgspec import Struct, field

from firstseen.backfill.gathering import add_to
from firstseen.backfill.reading import Report, Totals
from firstseen.store.base import Entry

COMMIT_TERMS = 20_000
"""Terms that wait for a transaction, at most about."""

COMMIT_TERMS_SHARED = 2_500
"""The same where others wait for the state meanwhile."""

COMMIT_S = 2.0
"""Seconds for which one waits for more."""

_POSITION_BYTES = 8


class Fillable(Protocol):
    """A state, as this module sees it."""

    def fold(self, found: Mapping[bytes, Entry], marks: Mapping[bytes, bytes]) -> int:
        """Put ``found`` `together` with what is remembered, and keep ``marks``, durably; returns how many are new."""

    def mark(self, name: bytes) -> bytes | None:
        """What was kept under ``name``."""


class Outcome(Struct):
    """What came of it. Of the terms ``new`` were not in the state before."""

    totals: Totals = field(default_factory=Totals)
    new: int = 0
    unreadable: list[str] = field(default_factory=list)
    stopped: bool = False


def position_in(state: Fillable, mark: bytes) -> int | None:
    """How far a file was read."""
    raw = state.mark(mark)
    return None if raw is None else int.from_bytes(raw, "big", signed=True)


class Filling:
    """Writes into ``state``; ``stopped`` tells whether to leave it at that, ``progress`` is told of what was read.

    Where others wait for the state meanwhile, ``is_shared``, less is written at once.
    """

    def __init__(
        self,
        state: Fillable,
        stopped: Callable[[], bool],
        progress: Callable[[Totals], None],
        *,
        is_shared: bool = False,
    ) -> None:
        self._state = state
        self._commit_terms = COMMIT_TERMS_SHARED if is_shared else COMMIT_TERMS
        self._stopped = stopped
        self._progress = progress
        self._found: dict[bytes, Entry] = {}
        self._marks: dict[bytes, bytes] = {}
        self.outcome = Outcome()

    def run(self, reports: Iterable[Report | None]) -> None:
        """Write all ``reports``, or those that came before ``stopped``. Raises `StoreError`."""
        last = time.monotonic()
        try:
            for report in reports:
                if report is not None:
                    self._take(report)
                if len(self._found) >= self._commit_terms or time.monotonic() - last >= COMMIT_S:
                    self._commit()
                    last = time.monotonic()
                if self._stopped():
                    self.outcome.stopped = True
                    break
        finally:
            self._commit()

    def _take(self, report: Report) -> None:
        for key, entry in report.found.items():
            add_to(self._found, key, entry)
        for mark, position in report.marks.items():
            self._marks[mark] = position.to_bytes(_POSITION_BYTES, "big", signed=True)
        self.outcome.totals.add(report.totals)
        self.outcome.unreadable += report.unreadable
        self._progress(report.totals)

    def _commit(self) -> None:
        if self._found or self._marks:
            found, marks = self._found, self._marks
            self._found, self._marks = {}, {}  # what could not be written is not tried again
            self.outcome.new += self._state.fold(found, marks)
