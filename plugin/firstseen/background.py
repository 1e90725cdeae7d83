"""Work that takes long, in a thread beside the event loop, which goes on as if there was none.

Both run Python, and only one of them can at a time: without more ado the loop would wait five milliseconds for its turn
whenever it has sent or received something, which is a thousand times a second. So turns are short while there is work,
and that stands still for most of the time: where the machine is busy, each turn is waited for all the same. And what is
made is searched for garbage only while it is new, a little at a time: a search through all there is stops everything.
"""

from __future__ import annotations

import gc
import queue
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")

TURN_S = 0.0002
"""Seconds after which the thread lets the loop have its turn: a tenth of what a chunk takes at most times."""

BURST_S = 0.002
"""Seconds of work after which it stands still as soon as it may."""

NEVER = 1 << 30

REST = 2.0
"""How many times as long it stands still then as it has worked."""

PATIENCE_S = 1.0
"""Seconds that closing waits for what is under way; a file on a server that is away is waited for by nobody."""


class _ClosedError(BaseException):
    """Nothing is to come of this work any more. No `Exception`: what it calls may not take it for one of its own."""


class Background:
    """Does one piece of work after the other; ``soon_from_anywhere`` calls a function in the loop, from any thread.

    The process may end whatever is under way: a pool of threads would have it wait.
    """

    def __init__(self, soon_from_anywhere: Callable[[Callable[[], None]], object]) -> None:
        self._soon_from_anywhere = soon_from_anywhere
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="firstseen-background", daemon=True)
        self._since_s = 0.0
        self.closed = False
        """Whether nothing is to come of anything any more."""
        self._thread.start()

    def run(self, work: Callable[[], Result], then: Callable[[Future[Result]], None]) -> None:
        """Do ``work`` there, and call ``then`` in the loop with the future of it, which has ended.

        Once this is closed, nothing is done, and nothing called.
        """

        def in_the_loop(ended: Future[Result]) -> None:
            if not self.closed:
                then(ended)

        def do() -> None:
            ended: Future[Result] = Future()
            try:
                ended.set_result(self._aside(work))
            except BaseException as error:  # noqa: BLE001  # raised again in the loop, unless nothing is any more
                ended.set_exception(error)
            if not self.closed:
                self._soon_from_anywhere(partial(in_the_loop, ended))

        if not self.closed:
            self._waiting.put(do)

    def give_way(self) -> None:
        """For work to call every now and then: stands still for a while if it has worked for some time.

        Ends the work once this is closed.
        """
        worked_s = time.monotonic() - self._since_s
        if worked_s >= BURST_S and not self.closed:
            time.sleep(worked_s * REST)
            self._since_s = time.monotonic()
        if self.closed:
            raise _ClosedError

    def close(self) -> None:
        """What has not begun is not done any more; what has ends soon, and comes to nothing.

        That is waited for, but for a second at most: it may still go on then, where something it calls takes long.
        """
        self.closed = True
        self._waiting.put(lambda: None)
        self._thread.join(PATIENCE_S)

    def _work(self) -> None:
        while not self.closed:
            self._waiting.get()()

    def _aside(self, work: Callable[[], Result]) -> Result:
        before_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
        sys.setswitchinterval(TURN_S)
        gc.set_threshold(*thresholds[:2], NEVER)
        self._since_s = time.monotonic()
        try:
            return work()
        finally:
            sys.setswitchinterval(before_s)
            gc.set_threshold(*thresholds)
