"""Has the state forget what can decide nothing any more: in small steps, and by a clock that cannot run ahead."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future

from firstseen.errors import StoreError
from firstseen.logs import complain
from firstseen.metrics import Counts
from firstseen.store.base import Pruning
from firstseen.timers import CallLater, Timer

log = logging.getLogger(__name__)

STEP_S = 0.25
"""Between two steps of a round: 2,000 terms a second."""
REST_S = 3_600.0
"""Between two rounds."""
RETRY_S = 60.0
"""Where nothing was seen yet, or a step failed, or the state is full and only forgetting helps."""


class Pruner:
    """Lives in the event loop, from `start` to `stop`; ``call_later`` and ``call_soon_threadsafe`` are the loop's.

    What is over is judged by the latest sighting, and by ``now_ms`` where that is earlier: neither a clock that was set
    wrong nor an event from the future makes the state forget, only both together.
    """

    def __init__(
        self,
        store: Pruning,
        counts: Counts,
        now_ms: Callable[[], int],
        call_later: CallLater,
        call_soon_threadsafe: Callable[..., object],
    ) -> None:
        self._store = store
        self._counts = counts
        self._now_ms = now_ms
        self._call_later = call_later
        self._call_soon_threadsafe = call_soon_threadsafe
        self._timer: Timer | None = None
        self._rounds = 0

    def start(self) -> None:
        """Begin the first round soon."""
        self._timer = self._call_later(STEP_S, self._step)

    def stop(self) -> None:
        """Do no step more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _step(self) -> None:
        newest_ms = self._store.newest_ms
        if newest_ms is None:
            self._timer = self._call_later(RETRY_S, self._step)
            return
        step = self._store.prune(min(newest_ms, self._now_ms()))
        step.add_done_callback(lambda future: self._call_soon_threadsafe(self._done, future))

    def _done(self, step: Future[None]) -> None:
        self._counts.terms_pruned, rounds = self._store.swept
        error = step.exception()
        if error is not None and not isinstance(error, StoreError):
            raise error
        if self._timer is None:
            return
        if error is not None:
            complain(log, logging.WARNING, "state_not_pruned", (str(error),), reason=str(error))
        if error is not None or (rounds > self._rounds and self._store.problem is not None):
            wait_s = RETRY_S
        else:
            wait_s = REST_S if rounds > self._rounds else STEP_S
        self._rounds = rounds
        self._timer = self._call_later(wait_s, self._step)
