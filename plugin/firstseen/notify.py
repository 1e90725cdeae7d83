"""Tells the service manager how the agent does: systemd's sd_notify protocol, and its watchdog.

A message is lines of ``NAME=value`` in one datagram to the Unix socket that $NOTIFY_SOCKET names. Nothing here may hold
up the event loop: what the manager is too busy to take waits its turn. Without that variable nothing is sent. The
watchdog is fed by the event loop itself: a loop that is stuck starves it, and the manager starts the agent anew.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Mapping

from firstseen.logs import event
from firstseen.timers import CallLater, Timer

log = logging.getLogger(__name__)

RETRY_S = 0.1
"""How long to wait where the manager's socket is full."""

MOST_WAITING = 100
"""Messages that may wait for the manager; one that takes nothing any more is told nothing more."""


class Notifier:
    """Lives in the event loop, from `ready` to `close`; ``call_later`` is the loop's.

    ``address`` is the socket's path, with ``@`` in front where it is an abstract one; None sends nothing.
    ``watchdog_s`` is for how long the manager puts up with silence; None where it does not mind.
    """

    def __init__(self, address: str | None, watchdog_s: float | None, call_later: CallLater) -> None:
        self._address = None if address is None else _native(address)
        self._watchdog_s = watchdog_s
        self._call_later = call_later
        self._socket: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        self._retry: Timer | None = None
        self._feeding: Timer | None = None
        self._stopping = False
        if address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int, call_later: CallLater) -> Notifier:
        """What ``environment`` asks of the process ``pid``. A watchdog that is meant for another process is not fed."""
        address = environment.get("NOTIFY_SOCKET") or None
        if address is not None and address[0] not in "/@":
            event(log, logging.WARNING, "notify_socket_unknown", address=address)
            address = None
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        minded = environment.get("WATCHDOG_PID", str(pid)) == str(pid) and watchdog_us.isdecimal() and int(watchdog_us)
        return cls(address, int(watchdog_us) / 1e6 if minded else None, call_later)

    def ready(self, status: str) -> None:
        """The agent does its job, from now on or again; ``status`` is for people. The first time begins to feed.

        Not said any more once it is `stopping`, as little as `reloading`: a reload may be under way then.
        """
        if self._stopping:
            return
        self._send("READY=1", _status(status))
        if self._socket is not None and self._watchdog_s is not None and self._feeding is None:
            self._feed(self._watchdog_s / 2)

    def reloading(self) -> None:
        """The agent loads anew what it can; `ready` says that this is done."""
        if self._stopping:
            return
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def stopping(self, status: str, within_s: float) -> None:
        """The agent was told to stop, and will have in ``within_s`` seconds: the manager is to wait for so long."""
        self._stopping = True
        self._send("STOPPING=1", _status(status), f"EXTEND_TIMEOUT_USEC={int(within_s * 1e6)}")

    def close(self) -> None:
        """Say nothing more."""
        for timer in (self._feeding, self._retry):
            if timer is not None:
                timer.cancel()
        self._feeding = self._retry = None
        self._drop()

    def _feed(self, every_s: float) -> None:
        if not self._waiting:  # else one is on its way, and more of them say nothing more
            self._send("WATCHDOG=1")
        if self._socket is not None:
            self._feeding = self._call_later(every_s, lambda: self._feed(every_s))

    def _send(self, *lines: str) -> None:
        if self._socket is None:
            return
        self._waiting.append("\n".join(lines).encode("utf-8", "backslashreplace"))  # a path may be no text
        if len(self._waiting) > MOST_WAITING:
            self._give_up(f"it took none of {MOST_WAITING} messages")
        elif self._retry is None:
            self._flush()

    def _flush(self) -> None:
        self._retry = None
        while self._waiting and self._socket is not None and self._address is not None:
            try:
                self._socket.sendto(self._waiting[0], self._address)
            except BlockingIOError:
                self._retry = self._call_later(RETRY_S, self._flush)
                return
            except OSError as error:
                self._give_up(os.strerror(error.errno or 0))
                return
            self._waiting.popleft()

    def _give_up(self, reason: str) -> None:
        """The manager is not there, which it will notice itself: the records are no worse for it."""
        event(log, logging.WARNING, "service_manager_not_told", reason=reason)
        self.close()

    def _drop(self) -> None:
        self._waiting.clear()
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def _native(address: str) -> str:
    """An abstract socket is written with ``@`` in the environment, and with a zero byte for the system."""
    return f"\0{address[1:]}" if address.startswith("@") else address


def _status(status: str) -> str:
    """One line, whatever it tells of: a second one would be another assignment."""
    return f"STATUS={' '.join(status.split())}"
