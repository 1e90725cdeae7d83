"""A program on a terminal of its own: what it draws there, keys for it, and how it leaves the terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

TIMEOUT_S = 60.0

_ON_ITS_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
_COMMAND = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs ``command`` with a terminal that is ``columns`` by ``rows``, which controls it."""

    def __init__(self, *command: str, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self._ours, self._theirs = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self._theirs)
        plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        env: Mapping[str, str] = plain | {"TERM": "xterm-256color", "PYTHONUTF8": "1"} | environment
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_ITS_TERMINAL, *command],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            env=dict(env),
        )
        self.written = ""
        self._raw = b""
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65_536)
            except OSError:
                return
            with self._news:
                self._raw += data
                self.written = self._raw.decode(errors="replace")
                self._news.notify_all()

    def wait_until(self, true: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(true, TIMEOUT_S), self.written[-4_000:]

    def shows(self, text: str) -> None:
        """Waits until that is in the picture."""
        self.wait_until(lambda: text in "\n".join(self.picture))

    @property
    def picture(self) -> list[str]:
        """The lines of the last picture that is complete, without colours."""
        frames = [part for part in self.written.split("\x1b[?2026h\x1b[H")[1:] if "\x1b[?2026l" in part]
        # The terminal adds a carriage return to each new line.
        shown = _COMMAND.sub("", frames[-1].partition("\x1b[?2026l")[0]) if frames else ""
        return [line.rstrip("\r") for line in shown.split("\n")] if shown else []

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait_until_stopped(self) -> None:
        """Until it stands still, as after Ctrl-Z: what tells it to go on before that is lost."""
        told = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert told is not None
        assert told.si_code == os.CLD_STOPPED

    def wait(self) -> int:
        code = self._process.wait(TIMEOUT_S)
        time.sleep(0.1)  # what it wrote last is read by then
        return code

    @property
    def modes(self) -> list[Any]:
        """How the terminal is set at present."""
        return termios.tcgetattr(self._theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(TIMEOUT_S)
        os.close(self._theirs)
        self._thread.join(TIMEOUT_S)
        os.close(self._ours)
