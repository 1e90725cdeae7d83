"""Where everything goes on to: one downstream that speaks Forward.

A frame is kept until downstream acked it (or, where it does not ack, until its bytes are with the kernel). When the
connection breaks, when an ack is wrong, or when none comes in time, everything unsettled is sent again in the same
order with the same chunk ids, on a new connection, after a pause that grows and varies.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from firstseen.errors import ProtocolError
from firstseen.forward.client import AckReader, Unsettled
from firstseen.forward.outgoing import Frame
from firstseen.logs import event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and how: ``ack_timeout_s`` is how long an ack may take once its frame is on its way."""

    host: str
    port: int
    require_ack: bool
    ack_timeout_s: float
    connect_timeout_s: float = 10.0

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Delivery:
    """The frames of one chunk; ``delivered`` is called once, when the last of them is."""

    __slots__ = ("_delivered", "_left", "frames")

    def __init__(self, frames: Sequence[Frame], delivered: Callable[[], None]) -> None:
        self.frames = frames
        self._left = len(frames)
        self._delivered = delivered

    def one_delivered(self) -> None:
        """One of the frames is delivered."""
        self._left -= 1
        if self._left == 0:
            self._delivered()


class Backoff:
    """Pauses that double from ``first_s`` up to ``most_s``, each a random share between half of it and all of it."""

    def __init__(self, random: Callable[[], float], first_s: float = 0.25, most_s: float = 30.0) -> None:
        self._random = random
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def pause_s(self) -> float:
        """How long to wait before the next attempt."""
        pause = self._next_s
        self._next_s = min(2 * pause, self._most_s)
        return pause * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """An attempt succeeded."""
        self._next_s = self._first_s


class Forwarder:
    """Delivers frames in the order in which they are submitted; run `run` in a task for as long as it should."""

    def __init__(self, target: Target, backoff: Backoff, retried: Callable[[int], None]) -> None:
        self._target = target
        self._backoff = backoff
        self._retried = retried
        self._waiting: deque[tuple[Frame, Delivery]] = deque()
        self._connection: Downstream | None = None

    def submit(self, delivery: Delivery) -> None:
        """Deliver these frames, however long it takes."""
        for frame in delivery.frames:
            if self._connection is None:
                self._waiting.append((frame, delivery))
            else:
                self._connection.send(frame, delivery)

    async def run(self) -> None:
        """Keep a connection up, and everything unsettled on it."""
        while True:
            connection = await self._connect()
            if connection is not None:
                reason = await connection.lost
                self._connection = None
                unsettled = connection.take_unsettled()
                self._waiting.extendleft(reversed(unsettled))
                self._retried(len(unsettled))
                level = logging.WARNING if unsettled else logging.INFO
                event(log, level, "downstream_lost", server=str(self._target), reason=reason, unsettled=len(unsettled))
            await asyncio.sleep(self._backoff.pause_s())

    async def _connect(self) -> Downstream | None:
        loop = asyncio.get_running_loop()
        target = self._target
        try:
            async with asyncio.timeout(target.connect_timeout_s):
                _, protocol = await loop.create_connection(
                    lambda: Downstream(target, self._backoff.reset, loop), target.host, target.port
                )
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"no connection within {target.connect_timeout_s:g}s"
            event(
                log,
                logging.WARNING,
                "downstream_unreachable",
                server=str(target),
                reason=reason,
                waiting=len(self._waiting),
            )
            return None
        event(log, logging.INFO, "downstream_connected", server=str(target))
        self._connection = protocol
        while self._waiting:
            protocol.send(*self._waiting.popleft())
        return protocol


@dataclass(frozen=True, slots=True)
class _Sent:
    """A frame on its way: ``end`` is how many bytes the connection has carried once its last byte is out."""

    frame: Frame
    delivery: Delivery
    end: int


class Downstream(asyncio.Protocol):
    """One connection to the downstream; ``lost`` is resolved with the reason when it is over."""

    def __init__(self, target: Target, acked: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self._target = target
        self._acked = acked
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._acks = AckReader()
        self._unsettled: Unsettled[_Sent] = Unsettled()
        self._queued = 0
        self._carried = 0
        self._progress_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reason = "closed by the server"
        self.lost: asyncio.Future[str] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._target.require_ack:
            # No buffer of our own: what is written is with the kernel, or the transport says when it is.
            self._transport.set_write_buffer_limits(high=0)

    def send(self, frame: Frame, delivery: Delivery) -> None:
        """Write a frame; it is settled by its ack, or by being written where there are no acks."""
        self._queued += frame.size
        if not len(self._unsettled):
            self._progress_s = self._loop.time()
        self._unsettled.add(_Sent(frame, delivery, self._queued), frame.chunk)
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.writelines(frame.pieces)
        if not self._target.require_ack:
            self._settle_written()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._target.ack_timeout_s, self._check_progress)

    def take_unsettled(self) -> list[tuple[Frame, Delivery]]:
        """What has to be sent again, in order."""
        return [(sent.frame, sent.delivery) for sent in self._unsettled.take_all()]

    def data_received(self, data: bytes) -> None:
        """Acks, whole or in pieces; or something that is none."""
        try:
            for chunk_id in self._acks.feed(data):
                if self._target.require_ack:
                    self._settle_acked(chunk_id)
        except ProtocolError as error:
            self._fail(error.reason)

    def resume_writing(self) -> None:
        """All that was written is with the kernel."""
        if not self._target.require_ack:
            self._settle_written()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if not self.lost.done():
            self.lost.set_result(str(exc) if exc else self._reason)

    def _settle_acked(self, chunk_id: str) -> None:
        oldest = self._unsettled.oldest()
        sent = self._unsettled.acked(chunk_id)
        if sent.end > self._handed_over():
            raise ProtocolError("an ack before its chunk was sent")
        if sent is oldest:
            self._progress_s = self._loop.time()
        self._acked()
        sent.delivery.one_delivered()

    def _settle_written(self) -> None:
        handed_over = self._handed_over()
        while (oldest := self._unsettled.oldest()) is not None and oldest.end <= handed_over:
            self._acked()
            self._unsettled.pop_oldest().delivery.one_delivered()

    def _handed_over(self) -> int:
        """Bytes that are with the kernel."""
        return self._queued - (self._transport.get_write_buffer_size() if self._transport else 0)

    def _check_progress(self) -> None:
        """Give the connection up when the oldest frame made no progress for as long as an ack may take.

        Its progress is that its bytes go, or that it became the oldest. What moves behind it must not hide that its ack
        is lost: its sender would wait for ever.
        """
        self._timer = None
        oldest = self._unsettled.oldest()
        if oldest is None:
            return
        carried = min(self._handed_over(), oldest.end)
        if carried != self._carried:
            self._carried = carried
            self._progress_s = self._loop.time()
        left_s = self._progress_s + self._target.ack_timeout_s - self._loop.time()
        if left_s <= 0:
            self._fail(f"no ack within {self._target.ack_timeout_s:g}s")
        else:
            self._timer = self._loop.call_later(left_s, self._check_progress)

    def _fail(self, reason: str) -> None:
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()
