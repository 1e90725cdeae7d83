"""The terminal as a surface to draw on: its second screen, keys as they are pressed, and all given back at the end."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

ENTER = "\x1b[?1049h\x1b[?25l"
"""The second screen, without a cursor."""
LEAVE = "\x1b[?25h\x1b[?1049l"
BEGIN, END = "\x1b[?2026h\x1b[H", "\x1b[?2026l"
"""Of a picture, from the first cell; terminals that know the mode show it when it is whole, and others ignore it."""
EMPTY_LINE = "\x1b[K"
"""Before a line is written: behind one that is as wide as the terminal, its last cell would be lost."""

Handler = Callable[[int, FrameType | None], Any] | int | None


def has_colours() -> bool:
    """Whether colours are wanted where standard output leads: on a terminal, unless NO_COLOR says otherwise."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_drawable() -> bool:
    """Whether both ends are a terminal, and one that can be drawn on."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def size() -> tuple[int, int]:
    """Columns and rows; 80 and 24 where nobody knows."""
    return shutil.get_terminal_size((80, 24))


class Screen:
    """Draws from entering to leaving, however that comes about; SIGTERM and SIGHUP end it by `SystemExit`.

    Ctrl-Z gives the terminal back, and takes it again when the process is continued. What ends it is raised wherever
    the process is, and once more by `key`: Python drops an exception that is raised while an object is cleared away.
    """

    def __enter__(self) -> Self:
        self._in = sys.stdin.fileno()
        self._kept = termios.tcgetattr(self._in)
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._wakeup = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        on = {
            signal.SIGWINCH: _noted,
            signal.SIGINT: self._ended,
            signal.SIGTERM: self._ended,
            signal.SIGHUP: self._ended,
            signal.SIGTSTP: self._suspended,
        }
        self._handlers: dict[signal.Signals, Handler] = {}
        self._end: BaseException | None = None
        try:
            for number, handler in on.items():
                self._handlers[number] = signal.signal(number, handler)
            self._take()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._close()

    def draw(self, lines: Sequence[str]) -> None:
        """These lines, as many as there are rows, in one piece so that nothing flickers."""
        shown = "\r\n".join(f"{EMPTY_LINE}{line}" for line in lines)
        _write(f"{BEGIN}{shown}{END}")

    def key(self, until_s: float) -> str | None:
        """The key that is pressed by then, a moment of `time.monotonic`.

        ``""`` where the size has changed, None where nothing has; ``"\\x04"`` where nobody can press any more.
        """
        if self._end is not None:
            raise self._end
        ready, _, _ = select.select([self._in, self._woken], [], [], max(until_s - time.monotonic(), 0.0))
        if self._in in ready:
            return os.read(self._in, 64).decode(errors="replace") or "\x04"
        if self._woken in ready:
            os.read(self._woken, 4096)
            return ""
        return None

    def _take(self) -> None:
        tty.setcbreak(self._in, termios.TCSADRAIN)
        _write(ENTER)

    def _give_back(self) -> None:
        try:
            _write(LEAVE)
        finally:
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._kept)

    def _close(self) -> None:
        try:
            self._give_back()
        except OSError:
            pass  # the terminal is gone: there is nobody to give it back to
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._wakeup)
            os.close(self._wake)
            os.close(self._woken)

    def _ended(self, number: int, frame: FrameType | None) -> NoReturn:
        self._end = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        raise self._end

    def _suspended(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()


def _write(text: str) -> None:
    data = text.encode(sys.stdout.encoding, "replace")
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


def _noted(number: int, frame: FrameType | None) -> None:
    """What wakes the loop is its pipe; without a handler a signal would not be written there."""
