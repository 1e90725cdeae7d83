"""The one thread that goes to the servers with what has gathered, and comes back with the answers.

While one round trip is on its way, more gathers for the next: the slower the way, the more goes together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from firstseen.errors import StoreError
from firstseen.store.ledger import Outcome, resolve
from firstseen.store.redis.link import Part
from firstseen.store.writer import FIRST_PAUSE_S, MOST_PAUSE_S

Handler = Callable[[Any], Sequence[Outcome]]
"""Takes the answer to one command, and holds the lock meanwhile."""


class Way(Protocol):
    """`firstseen.store.redis.link.Link`, as it is needed here."""

    def together(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """The answers to ``commands``, a `StoreError` where one fails for itself.

        Raises `StoreError` where more is wrong; some may have been done then.
        """


class Round(Struct):
    """Commands that are sent together, and who takes their answers, in order."""

    commands: list[tuple[Part, ...]] = field(default_factory=list)
    _handlers: list[tuple[bool, Handler]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self._handlers)

    def add(self, command: tuple[Part, ...] | None, handler: Handler) -> None:
        """``handler`` takes the answer to ``command``; where that is None, it is called in its turn with None."""
        if command is not None:
            self.commands.append(command)
        self._handlers.append((command is not None, handler))

    def answered(self, answers: Sequence[Any], outcomes: list[Outcome]) -> None:
        """Hand out the answers, and gather what comes of them in ``outcomes``."""
        left = iter(answers)
        for takes, handler in self._handlers:
            outcomes += handler(next(left) if takes else None)


class Courier:
    """Takes rounds from ``gather``, from construction to `close`; all that it calls there holds ``lock``.

    ``gather`` gives the next round, one with nothing in it if there is nothing to do, and with it the time (by
    `time.monotonic`) when there will be, None where that is not known. A round that fails is tried again until it
    succeeds or `close` is called, and is then ``given_up``: what is in it must bear being done twice. ``trouble`` is
    told of the error when that begins, and of None when it is over, in this thread.

    ``problem`` is the error while that lasts, and None otherwise. After any other exception nothing is done any more,
    and it stays. ``trip`` is the round that is not answered yet, ``sent_s`` is when it was sent first.
    """

    def __init__(
        self,
        way: Way,
        lock: threading.Lock,
        gather: Callable[[], tuple[Round, float | None]],
        given_up: Callable[[StoreError], Sequence[Outcome]],
        trouble: Callable[[StoreError | None], None],
    ) -> None:
        self._way = way
        self._gather = gather
        self._given_up = given_up
        self._trouble = trouble
        self._work = threading.Condition(lock)
        self._closing = False
        self.problem: StoreError | None = None
        self.trip: Round | None = None
        self.sent_s = 0.0
        # A daemon thread: where close was never called, the process may end all the same.
        self._thread = threading.Thread(target=self._run, name="firstseen-state", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be something to gather. The caller holds the lock."""
        self._work.notify()

    def close(self) -> None:
        """Do what can be done, end the thread, and wait for that."""
        with self._work:
            self._closing = True
            self._work.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (trip := self._next()) is not None:
                outcomes: list[Outcome] = []
                try:
                    self._do(trip, outcomes)
                finally:
                    resolve(outcomes)
        except BaseException as error:  # noqa: BLE001  # raised again in everyone who waits: nobody may wait for ever
            problem = StoreError(f"the state cannot be used any more: {error!r}")
            problem.__cause__ = error
            with self._work:
                self.problem, self.trip = problem, None
                outcomes = list(self._given_up(problem))
            self._trouble(problem)
            resolve(outcomes)

    def _next(self) -> Round | None:
        with self._work:
            while True:
                trip, due_s = self._gather()
                if trip:
                    self.trip, self.sent_s = trip, time.monotonic()
                    return trip
                if self._closing:
                    return None
                self._work.wait(None if due_s is None else max(due_s - time.monotonic(), 0))

    def _do(self, trip: Round, outcomes: list[Outcome]) -> None:
        pause_s = 0.0
        while True:
            try:
                answers = self._way.together(trip.commands)
            except StoreError as error:
                pause_s = min(2 * pause_s, MOST_PAUSE_S) or FIRST_PAUSE_S
                if self.problem is None:
                    self._trouble(error)
                with self._work:
                    self.problem = error
                    if self._work.wait_for(lambda: self._closing, pause_s):
                        self.trip = None
                        outcomes += self._given_up(error)
                        return
                continue
            recovered = self.problem is not None
            with self._work:
                self.problem = self.trip = None
                trip.answered(answers, outcomes)
            if recovered:
                self._trouble(None)
            return
