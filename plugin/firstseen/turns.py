"""Work for many sources a few milliseconds at a time, so that nobody waits for somebody else's large chunk.

What comes is done at once where it is done soon. What is not goes on in turns with the work of other sources; the work
of one source is done in order. Large work, which holds much memory until it is done, is done one at a time. Work that
has to wait for something is passed over until that has come.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from msgspec import Struct

from firstseen.errors import FirstseenError
from firstseen.steps import SLICE_S, WaitingSteps

Result = TypeVar("Result")


class _Work(Struct, Generic[Result], eq=False):
    steps: WaitingSteps[Result]
    done: Callable[[Result], None]
    failed: Callable[[FirstseenError], None]
    large: bool
    awaited: Future[Any] | None = None


class Turns(Generic[Result]):
    """Does what is added; ``soon`` calls a function once everybody else was served, as an event loop's does.

    ``soon_from_anywhere`` does so from any thread: what is waited for may end in another one. Large work begins only
    while ``has_room`` says so; call `go_on` when that may have changed.
    """

    def __init__(
        self,
        soon: Callable[[Callable[[], None]], object],
        soon_from_anywhere: Callable[[Callable[[], None]], object],
        has_room: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._soon = soon
        self._soon_from_anywhere = soon_from_anywhere
        self._has_room = has_room
        self._clock = clock
        self._waiting: dict[Hashable, deque[_Work[Result]]] = {}
        self._turns: deque[Hashable] = deque()
        self._large: _Work[Result] | None = None
        self._called = False

    def add(
        self,
        source: Hashable,
        steps: WaitingSteps[Result],
        done: Callable[[Result], None],
        failed: Callable[[FirstseenError], None],
        *,
        large: bool,
    ) -> None:
        """Do this, behind what ``source`` has added before; ``done`` is called with the result, or ``failed``."""
        work = _Work(steps, done, failed, large)
        if source in self._waiting:
            self._waiting[source].append(work)
        elif not self._finish(work):
            self._waiting[source] = deque((work,))
            self._turns.append(source)
            self.go_on()

    def go_on(self) -> None:
        """See to it that whatever can be worked on is."""
        if not self._called and any(self._may_go_on(self._waiting[source][0]) for source in self._turns):
            self._called = True
            self._soon(self._turn)

    def _turn(self) -> None:
        """Go on with the next source that can."""
        self._called = False
        for _ in range(len(self._turns)):
            source = self._turns.popleft()
            waiting = self._waiting[source]
            may_go_on = self._may_go_on(waiting[0])
            if may_go_on and self._finish(waiting[0]):
                waiting.popleft()
            if waiting:
                self._turns.append(source)
            else:
                del self._waiting[source]
            if may_go_on:
                break
        self.go_on()

    def _may_go_on(self, work: _Work[Result]) -> bool:
        if work.awaited is not None and not work.awaited.done():
            return False
        return not work.large or self._large is work or (self._large is None and self._has_room())

    def _finish(self, work: _Work[Result]) -> bool:
        """Do a turn's worth of it; True once it is over."""
        if not self._may_go_on(work):
            return False
        until = self._clock() + SLICE_S
        try:
            while True:
                work.awaited = next(work.steps)
                waits = work.awaited is not None and not work.awaited.done()
                if waits or self._clock() >= until:
                    if work.large:
                        self._large = work
                    if waits and work.awaited is not None:
                        work.awaited.add_done_callback(lambda _: self._soon_from_anywhere(self.go_on))
                    return False
        except StopIteration as over:
            self._let_go(work)
            work.done(over.value)
        except FirstseenError as error:
            self._let_go(work)
            work.failed(error)
        return True

    def _let_go(self, work: _Work[Result]) -> None:
        if self._large is work:
            self._large = None
