"""What is looked at now and then: the size of the state, in a thread, so that neither records nor whoever asks wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from firstseen.errors import StoreError
from firstseen.logs import event
from firstseen.store.base import Stats

log = logging.getLogger(__name__)

SAMPLE_S = 5.0


class Measured(Protocol):
    """A store, as far as its size is concerned."""

    def stats(self) -> Stats:
        """See `firstseen.store.base.StateReader.stats`; called in another thread, one call at a time."""


class Sample(NamedTuple):
    """The size of the state, and when that was, in milliseconds since the epoch."""

    stats: Stats
    time_ms: int


class Sampling:
    """Lives in the event loop, from `start` to `stop`; ``note`` is called at each look, in the loop."""

    def __init__(self, store: Measured, now_ms: Callable[[], int], note: Callable[[], None]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Future[Stats] | None = None
        self._failed = False
        self.latest: Sample | None = None

    def start(self) -> None:
        """Look now, and again and again."""
        self._timer = self._loop.call_later(SAMPLE_S, self.start)
        self._note()
        if self._looking is None:
            self._looking = self._loop.run_in_executor(None, self._store.stats)
            self._looking.add_done_callback(self._looked)

    async def stop(self) -> None:
        """Look no more; the store is not in use when this returns."""
        if self._timer is not None:
            self._timer.cancel()
        if self._looking is not None:
            await asyncio.wait([self._looking])

    def _looked(self, looking: asyncio.Future[Stats]) -> None:
        self._looking = None
        error = looking.exception()
        if error is None:
            self.latest = Sample(looking.result(), self._now_ms())
            self._failed = False
        elif isinstance(error, StoreError):
            if not self._failed:
                event(log, logging.WARNING, "state_not_measured", reason=str(error))
            self._failed = True
        else:
            raise error
