"""What tells the agent to stop, SIGTERM and SIGINT, from its first moment to its last; and SIGHUP, once it is ready.

While the program itself is imported, which must not be broken off in the middle, it is brought to its next halt. While
files are read at the start, nothing is open that would have to be closed, and a read may take as long as a disk does:
that ends at once. From when the state is opened on, what was begun is brought to its next halt again, until the event
loop hears the signals.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

STOPS: Final = (signal.SIGTERM, signal.SIGINT)

LEAVE_S: Final = 2.0
"""What closing a state that is shared may take: a server that does not answer by then is waited for by nobody."""


class Stopped(BaseException):
    """The agent was told to stop before it was ready. No `Exception`: who handles faults must not take it."""


class Signals:
    """Only for the main thread."""

    def __init__(self) -> None:
        self._told = False
        self._at_once = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def hear(self) -> None:
        """Hear them from now on: one to stop ends the start at its next halt.

        SIGHUP is passed over: all is read just now, and it would be the end.
        """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in STOPS:
            signal.signal(number, self._heard)

    def at_once(self) -> None:
        """From now on the first one to stop raises `Stopped`, wherever the program is. Raises it if there was one."""
        self._at_once = True
        self.halt()

    def only_at_halts(self) -> None:
        """From now on one to stop raises nothing elsewhere. Raises `Stopped` if there was one."""
        self._at_once = False
        self.halt()

    def halt(self) -> None:
        """A moment at which the start can end. Raises `Stopped` if there was a signal to stop."""
        if self._told:
            raise Stopped

    def hand_over(
        self, stopping: asyncio.Event, hurry: Sequence[Callable[[], None]], reload: Callable[[], None]
    ) -> None:
        """From now on the running loop hears them: one to stop, also one that has come already, sets ``stopping``.

        Each further one calls all of ``hurry``, and SIGHUP calls ``reload``: nothing is loaded anew while it stops.
        """

        def stop() -> None:
            if stopping.is_set():
                for each in hurry:
                    each()
            stopping.set()

        def load_anew() -> None:
            if not stopping.is_set():
                reload()

        from asyncio import get_running_loop  # takes half of the time until they are heard

        self._loop = loop = get_running_loop()
        for number in STOPS:
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, load_anew)
        if self._told:
            stopping.set()

    def end(self) -> None:
        """There is nothing left to stop: they are passed over, to the end of the process."""
        for number in (*STOPS, signal.SIGHUP):
            if self._loop is not None:
                self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # the loop leaves it to be the end of the process, and its exit code

    def _heard(self, *_: object) -> None:
        again, self._told = self._told, True
        if self._at_once and not again:  # a second one would come in between while the end is told of
            raise Stopped


def leave_in_time() -> None:
    """End the process `LEAVE_S` from now, as one that stopped, if it is still there by then.

    Calls to servers on the network may be under way in several threads, which a server that hangs keeps for long, each
    time anew. Nothing is lost with them: what is acknowledged is remembered, all else comes again, as after a crash.
    """
    import logging
    import os
    import threading
    import time

    def leave() -> None:
        time.sleep(LEAVE_S)
        logging.shutdown()
        os._exit(0)

    threading.Thread(target=leave, name="firstseen-leave", daemon=True).start()
