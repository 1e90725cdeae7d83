"""The agent's own log over the Forward protocol, for a collector that takes it on to where all logs go.

The log must never hold up the agent, so lines wait in a buffer that is bounded, and a thread sends them with the plain
client of the protocol, which knows neither acks nor keys nor TLS. A server without acks says nothing, so one that does
wants something else, and what is written to it or to a connection that it has ended is gone: we look before we write.
What has no room is lost, and counted. What comes back to the agent as a record breeds no lines: none is written for
one, few for what is refused again and again, and what is said here is not sent.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections import deque
from typing import Any

from fluent.sender import EventTime, FluentSender

from firstseen.logs import as_fields, complain, event
from firstseen.notation import Endpoint

log = logging.getLogger(__name__)

MOST_WAITING = 1_000
"""Lines that wait while the server is away or slow; of more the oldest are lost."""

TIMEOUT_S = 3.0
"""For connecting, and for the server to take something."""

LOOK_S = 0.2
"""How long a server may take after connecting to say that it wants a handshake, or to end the connection."""

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
        self._trouble: str | None = None
        # Not in emit, before which `logging` takes our lock: the thread must not wait for who waits for it in close.
        self.addFilter(lambda record: record.name != log.name)
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
        """Send what waits, if that is soon done, and say how many lines were lost in this life.

        Called by `logging` when the process ends, and may be called twice.
        """
        with self._news:
            again, self._closing = self._closing, True
            self._news.notify()
        self._thread.join(CLOSING_S)
        with self._news:
            self.lost += len(self._waiting)
            self._waiting.clear()
            lost = self.lost
        super().close()
        if lost and not again:
            event(log, logging.WARNING, "log_lines_lost", server=str(self._server), lines=lost, reason=self._trouble)

    def _send(self) -> None:
        connection: _Connection | None = None
        while (line := self._first()) is not None:
            time_ns, fields = line
            try:
                if connection is not None and self._is_over(connection):
                    connection = None
                if connection is None:
                    connection = _Connection(self._server, self._tag)
                connection.write(time_ns, fields)
            except OSError as error:
                connection = None
                self._complain(str(error))
                if not self._may_try_again():
                    break
            else:
                self._taken(fields)
        if connection is not None:
            connection.close()

    def _first(self) -> tuple[int, dict[str, Any]] | None:
        """The first line that waits, once there is one; None at the end."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._closing)
            return self._waiting[0] if self._waiting else None

    def _is_over(self, connection: _Connection) -> bool:
        """Whether the server has ended this one, as servers do when they start anew. Raises `OSError` if it speaks."""
        try:
            return connection.is_over()
        except _SpeaksError:
            with self._news:
                self.lost += connection.written
            raise

    def _may_try_again(self) -> bool:
        """Wait before the next attempt; at the end there is none."""
        with self._news:
            if self._closing:
                return False
            self._news.wait_for(lambda: self._closing, self._pause_s)
            return True

    def _complain(self, reason: str) -> None:
        """Say why lines wait, once for as long as that is the reason."""
        if reason == self._trouble:
            return
        self._trouble = reason
        server = str(self._server)
        complain(log, logging.WARNING, "log_not_forwarded", (server, reason), server=server, reason=reason)

    def _taken(self, fields: dict[str, Any]) -> None:
        """This one was sent: the first that waits, unless it had to make room meanwhile, and was counted as lost."""
        with self._news:
            if self._waiting and self._waiting[0][1] is fields:
                self._waiting.popleft()
            else:
                self.lost -= 1
            lost = self.lost
        if self._trouble is not None:
            self._trouble = None
            server = str(self._server)
            complain(log, logging.INFO, "log_forwarded_again", (server,), server=server, lost=lost)


class _SpeaksError(OSError):
    """The server says something, and waits for an answer: what it was sent, it does not take."""


class _Connection:
    """One connection to ``server``, which has ``written`` so many lines. Raises `OSError` where there is none."""

    def __init__(self, server: Endpoint, tag: str) -> None:
        self.written = 0
        self._sender = FluentSender(
            tag,
            timeout=TIMEOUT_S,
            nanosecond_precision=True,
            msgpack_kwargs={"unicode_errors": "backslashreplace"},
        )
        self._sender.socket = self._socket = _connected(server)
        if self.is_over(LOOK_S):
            raise ConnectionError("the server ends every connection at once")

    def is_over(self, within_s: float = 0.0) -> bool:
        """Whether the server has ended it, or does so ``within_s``; closes it then. Raises `OSError` if it speaks."""
        looking = select.poll()  # select.select knows no more than 1,024 files
        looking.register(self._socket, select.POLLIN)
        if not looking.poll(within_s * 1_000):
            return False
        try:
            said = self._socket.recv(len(_HELO), socket.MSG_PEEK)
        except OSError:  # it was reset
            said = b""
        self.close()
        if said == _HELO:
            raise _SpeaksError("the server asks for a shared key, and log.forward has none: give it an input without")
        if said:
            raise _SpeaksError("the server speaks first, as none of the Forward protocol does without a key")
        return True

    def write(self, time_ns: int, fields: dict[str, Any]) -> None:
        """Send one line. Raises `OSError` where that fails; the connection is over then."""
        if not self._sender.emit_with_time(None, EventTime.from_unix_nano(time_ns), fields):
            # The sender would send what it keeps of the line if it were closed: it has closed the connection.
            raise self._sender.last_error
        self.written += 1

    def close(self) -> None:
        """End it."""
        self._sender.close()


_HELO = b"\x92\xa4HELO"


def _connected(server: Endpoint) -> socket.socket:
    if server.path is None:
        return socket.create_connection((server.host, server.port), TIMEOUT_S)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(server.path))
    except OSError:
        connection.close()
        raise
    return connection
