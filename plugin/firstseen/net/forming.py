"""The form in which a server reads frames, made a few milliseconds at a time: a small chunk may take seconds of it.

It is made of the frame that is next, when it may be sent, and kept by nobody: what waits takes no memory twice, and
what goes to another server is not made for this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from firstseen.forward.outgoing import Frame
from firstseen.net.delivery import Parcel
from firstseen.steps import SLICE_S, Steps

Form = Callable[[Frame], Steps[Frame]]
"""Makes of a frame the one that a server reads, in steps. It must not fail."""


class Forming:
    """Makes the ``form`` of one parcel's frame after the other; None leaves them as they are.

    ``done`` is called when one is there that was not there at once.
    """

    def __init__(self, form: Form | None, done: Callable[[], None]) -> None:
        self._form = form
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._parcel: Parcel | None = None
        self._frame: Frame | None = None
        self._turn: asyncio.Handle | None = None

    def of(self, parcel: Parcel) -> Frame | None:
        """The frame to send for ``parcel``, which is next; None where it is not there yet."""
        if self._form is None:
            return parcel.frame
        if parcel is not self._parcel:
            self.forget()
            self._parcel = parcel
            self._go_on(self._form(parcel.frame))
        return self._frame

    def forget(self) -> None:
        """It was sent, or will not be."""
        if self._turn is not None:
            self._turn.cancel()
        self._parcel = self._frame = self._turn = None

    def _go_on(self, steps: Steps[Frame]) -> None:
        until_s = self._loop.time() + SLICE_S
        try:
            while True:
                next(steps)
                if self._loop.time() >= until_s:
                    break
        except StopIteration as over:
            self._frame = over.value
        else:
            self._turn = self._loop.call_soon(self._later, steps)

    def _later(self, steps: Steps[Frame]) -> None:
        self._turn = None
        self._go_on(steps)
        if self._frame is not None:
            self._done()
