"""Has the state forget what can decide nothing any more: in small steps, and by a clock that cannot run ahead.

Sightings may be dated by the machine's clock, and then they are no second witness against it. What no clock that was
set wrong can change is how long ago this process began, and how far an earlier one had come; so the time by which the
state forgets does not go on much faster than that. A term is kept for a week at the least after it could decide
anything: a clock that is ahead for less than a day takes nothing away that still can.
"""

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

MOST_SPEED = 8
"""How fast the time of forgetting goes on, at the most: a machine that was off for a year has caught up in 52 days."""
START_MS = 3_600_000
"""How much further it may be at a start than it was written last: rounds write it, and rest that long in between."""


class Pruner:
    """Lives in the event loop, from `start` to `stop`; ``call_later`` and ``call_soon_threadsafe`` are the loop's.

    What is over is judged by the earliest of three: the latest sighting, ``now_ms``, and how far the time can have come
    since the state was swept last, by ``steady_s``, which nobody sets.
    """

    def __init__(
        self,
        store: Pruning,
        counts: Counts,
        now_ms: Callable[[], int],
        steady_s: Callable[[], float],
        call_later: CallLater,
        call_soon_threadsafe: Callable[..., object],
    ) -> None:
        self._store = store
        self._counts = counts
        self._now_ms = now_ms
        self._steady_s = steady_s
        self._call_later = call_later
        self._call_soon_threadsafe = call_soon_threadsafe
        self._timer: Timer | None = None
        self._rounds = 0
        self._looked_s = 0.0
        self._most_ms: int | None = None  # how far the time can have come

    def start(self) -> None:
        """Begin the first round soon. Raises `StoreError`."""
        reached_ms = self._store.reached_ms
        self._most_ms = None if reached_ms is None else reached_ms + START_MS
        self._looked_s = self._steady_s()
        self._timer = self._call_later(STEP_S, self._step)

    def stop(self) -> None:
        """Do no step more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _step(self) -> None:
        time_ms = self._time_ms()  # also where it is not needed: what passes meanwhile counts
        newest_ms = self._store.newest_ms
        if newest_ms is None:
            self._timer = self._call_later(RETRY_S, self._step)
            return
        step = self._store.prune(min(newest_ms, time_ms))
        step.add_done_callback(lambda future: self._call_soon_threadsafe(self._done, future))

    def _time_ms(self) -> int:
        """The machine's time, or how far it can have come."""
        now_ms, looked_s = self._now_ms(), self._steady_s()
        if self._most_ms is None:  # nothing is known of an earlier time
            self._most_ms = now_ms
        passed_ms = int(MOST_SPEED * (looked_s - self._looked_s) * 1_000)
        self._looked_s = looked_s
        self._most_ms = max(self._most_ms, min(now_ms, self._most_ms + passed_ms))
        return min(now_ms, self._most_ms)

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
