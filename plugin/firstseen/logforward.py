"""The agent's own log over the Forward protocol, for a collector that takes it on to where all logs go.

The log must never hold up the agent, so lines wait in a buffer that is bounded, and a thread sends them with the plain
client of the protocol, which knows neither acks nor keys nor TLS. What has no room is lost, and counted. What comes
back to the agent as a record breeds no lines: none is written for one, and few for what is refused again and again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

from fluent.sender import EventTime, FluentSender

from firstseen.logs import as_fields
from firstseen.notation import Endpoint

MOST_WAITING = 1_000
"""Lines that wait while the server is away or slow; of more the oldest are lost."""

TIMEOUT_S = 3.0
"""For connecting, and for the server to take something."""

PAUSE_S = 1.0
"""Between two attempts to send."""

CLOSING_S = 2.0
"""How long the end may wait for the last lines to be taken."""


class LogForward(logging.Handler):
    """Sends every record from ``level`` on to ``server`` under ``tag``, from a thread that begins at once.

    ``lost`` counts the lines that nobody took. What the connection took counts as sent: the protocol is spoken without
    acknowledgements.
    """

    def __init__(self, server: Endpoint, tag: str, level: str, pause_s: float = PAUSE_S) -> None:
        super().__init__(level.upper())
        self.lost = 0
        self._server = server
        self._tag = tag
        self._pause_s = pause_s
        self._waiting: deque[tuple[int, dict[str, Any]]] = deque()
        self._news = threading.Condition()
        self._closing = False
        # A daemon thread: where close was never called, the process may end all the same.
        self._thread = threading.Thread(target=self._send, name="firstseen-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have it sent. Called by `logging`."""
        fields: dict[str, Any] = dict(as_fields(record))
        with self._news:
            if self._closing or len(self._waiting) >= MOST_WAITING:
                self.lost += 1
            if self._closing:
                return
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
            self._waiting.append((int(record.created * 1e9), fields))
            self._news.notify()

    def close(self) -> None:
        """Send what waits, if that is soon done. Called by `logging` when the process ends, and may be called twice."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join(CLOSING_S)
        super().close()

    def _send(self) -> None:
        sender: FluentSender | None = None
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    break
                time_ns, fields = self._waiting[0]
            if sender is None:
                sender = self._connecting()
            if sender.emit_with_time(None, EventTime.from_unix_nano(time_ns), fields):
                self._taken(fields)
                continue
            sender = None  # with what it keeps of the line, which is sent again
            with self._news:
                if self._closing:  # nobody is there to take it
                    self.lost += len(self._waiting)
                    self._waiting.clear()
                    break
                self._news.wait_for(lambda: self._closing, self._pause_s)
        if sender is not None:
            sender.close()

    def _taken(self, fields: dict[str, Any]) -> None:
        """This one was sent: the first that waits, unless it had to make room meanwhile, and was counted as lost."""
        with self._news:
            if self._waiting and self._waiting[0][1] is fields:
                self._waiting.popleft()
            else:
                self.lost -= 1

    def _connecting(self) -> FluentSender:
        server = self._server
        host = server.host if server.path is None else f"unix://{server.path}"
        return FluentSender(
            self._tag,
            host=host,
            port=server.port,
            timeout=TIMEOUT_S,
            nanosecond_precision=True,
            msgpack_kwargs={"unicode_errors": "backslashreplace"},
        )
