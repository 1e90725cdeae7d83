"""One connection to a server: the handshake where one is asked for, frames out, acks in."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from collections.abc import Callable
from typing import cast

from msgspec import Struct

from firstseen.errors import ProtocolError
from firstseen.forward.client import AckReader, Unsettled
from firstseen.forward.handshake import ClientHandshake
from firstseen.forward.outgoing import Frame
from firstseen.logs import complain
from firstseen.net import dialer, tcpsocket
from firstseen.net.delivery import Parcel
from firstseen.net.doubt import doubt
from firstseen.net.farewell import PATIENCE_S, Farewell
from firstseen.net.forming import Form
from firstseen.net.own import own
from firstseen.notation import Endpoint
from firstseen.timers import SECOND_LOOK_S

log = logging.getLogger(__name__)

MOST_BUFFERED = 1 << 20
"""Bytes that wait for a server to read; what is behind them stays in its lane, as it came, and can take another."""

GOODBYE_S = 1.0
"""How long a connection under TLS that is not needed any more waits for its server to agree: its lane waits, too.

Not so where there are no acks and something was sent (see `Farewell`).
"""

LOOK_S = 1.0
"""How long it may take until it is seen that a server goes on which stood still."""

_A_DAY_S = 86_400.0
"""Longer than anybody waits for anything."""

_ANOTHERS_NAME = (62, 63, 64)
"""OpenSSL's codes for a certificate of another host name, mail address or IP address."""
MOST_PIECES = 256
"""Pieces of a frame that are written as they lie; more are joined. Each takes memory until it is written, and with a
million of them waiting the loop's `writelines` fails for good with EINVAL."""


class Target(Struct, frozen=True):
    """Where to, and how.

    ``ack_timeout_s`` is how long an ack may take once its frame is on its way, ``max_age_s`` how long a connection is
    used (0: for ever). ``handshake`` makes the client's end of one where the server wants a shared key; where there is
    neither that nor acks, nothing is sent for the first ``hush_s`` seconds: a server that asks for a key says so
    then, and takes nothing. ``form`` turns a frame into one that this server reads where it does not read all,
    ``server_name`` stands in for the host name in TLS.
    """

    endpoint: Endpoint
    require_ack: bool
    ack_timeout_s: float
    connect_timeout_s: float = 10.0
    max_age_s: float = 0.0
    hush_s: float = 1.0
    handshake: Callable[[], ClientHandshake] | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    form: Form | None = None

    def __str__(self) -> str:
        return str(self.endpoint)


def _nothing_waits() -> None:
    """What to do about room for more where nothing waits for it."""


async def connect(
    target: Target, settled: Callable[[Parcel], None], has_room: Callable[[], None] = _nothing_waits
) -> Downstream:
    """A connection that frames may be sent on. Raises `OSError`, `TimeoutError`, `ProtocolError`."""
    loop = asyncio.get_running_loop()
    connection = Downstream(target, settled, loop, has_room)
    endpoint = target.endpoint
    try:
        async with asyncio.timeout(target.connect_timeout_s):
            if endpoint.path is not None:
                await loop.create_unix_connection(lambda: connection, str(endpoint.path))
            else:
                await _over_tcp(target, connection, loop)
            try:
                await connection.ready
            except BaseException:
                connection.abort()
                raise
    except TimeoutError:
        what = "no connection"
        if connection.opened and target.handshake is not None:
            what = "no handshake (perhaps the server asks for no shared key, and output.shared_key is too much)"
        raise TimeoutError(f"{what} within {target.connect_timeout_s:g}s") from None
    return connection


async def _over_tcp(target: Target, connection: Downstream, loop: asyncio.AbstractEventLoop) -> None:
    endpoint = target.endpoint
    connected = await dialer.dial(endpoint.host, endpoint.port, target.connect_timeout_s)
    if target.tls is None:
        await loop.create_connection(lambda: connection, sock=connected)
        return
    name = str(target.server_name or endpoint.host)  # uvloop takes a str and nothing that is derived from it
    try:
        await loop.create_connection(
            lambda: connection,
            sock=connected,
            ssl=target.tls,
            server_hostname=name,
            ssl_shutdown_timeout=GOODBYE_S if target.require_ack else _A_DAY_S,
        )
    except ssl.SSLCertVerificationError as error:
        told = error.verify_message.rstrip(".")
        setting = "output.tls.server_name" if error.verify_code in _ANOTHERS_NAME else "output.tls.ca"
        raise ProtocolError(f"its certificate cannot be verified: {told} ({setting})") from error
    except ssl.SSLError as error:
        raise ProtocolError(f"no TLS: {(error.reason or str(error)).lower().replace('_', ' ')}") from error
    except ConnectionError as error:
        what = "no TLS: the server hung up; it may want a certificate that it trusts (output.tls.cert)"
        raise ProtocolError(what) from error


_NEVER = sys.maxsize


class _Sent(Struct, frozen=True):
    """A frame on its way: ``end`` is how many bytes the connection has carried once its last byte is out.

    `_NEVER` where it was not written, because the connection was closing.
    """

    parcel: Parcel
    end: int


class Downstream(asyncio.Protocol):
    """A connection: ``ready`` is resolved once frames may be sent, ``lost`` with the reason when no more may be.

    ``gone`` is resolved when it is over, which without acks may be long after it was left in good order. Where the
    server said what it must not, they are ``at_odds``: so it will be again.

    Before ``doubtful_until_s`` one that hangs up and never said a word may want something else than it gets.

    ``settled`` is called for each parcel whose frame is acked or, where there are no acks, with the kernel,
    ``has_room`` when the server read so much that more may be sent.
    """

    def __init__(
        self,
        target: Target,
        settled: Callable[[Parcel], None],
        loop: asyncio.AbstractEventLoop,
        has_room: Callable[[], None] = _nothing_waits,
    ) -> None:
        self._target = target
        self._settled = settled
        self._loop = loop
        self._has_room = has_room
        self._handshake = target.handshake() if target.handshake else None
        self._transport: asyncio.Transport | None = None
        self._acks = AckReader()
        self._unsettled: Unsettled[_Sent] = Unsettled()
        self._queued = 0
        self._carried = 0
        self._progress_s = 0.0
        self._overdue = False
        self._stuck = False
        self._timer: asyncio.TimerHandle | None = None
        self._farewell: Farewell | None = None
        self._heard = False
        self.doubtful_until_s = loop.time() + target.connect_timeout_s
        self._reason = "closed by the server"
        self.opened = False
        self.at_odds = False
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()

    def __len__(self) -> int:
        """How many frames are on their way."""
        return len(self._unsettled)

    @property
    def oldest(self) -> Parcel | None:
        """What is on its way for longest."""
        sent = self._unsettled.oldest()
        return None if sent is None else sent.parcel

    @property
    def single(self) -> bool:
        """Whether the server takes one frame a connection."""
        return self._handshake is not None and not self._handshake.keepalive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        self.opened = True
        # Where there are no acks, the transport has to say when all that was written is with the kernel.
        self._transport.set_write_buffer_limits(high=MOST_BUFFERED - 1 if self._target.require_ack else 0)
        if self._handshake is not None:
            return
        if self._target.require_ack:
            self.ready.set_result(None)
        else:
            self._timer = self._loop.call_later(self._target.hush_s, self._hushed)

    def _hushed(self) -> None:
        """The server did not ask for anything."""
        self._timer = None
        if not self.ready.done():
            self.ready.set_result(None)

    @property
    def is_full(self) -> bool:
        """Whether the server has to read before more is sent: what it does not read, nobody else can take."""
        return self._transport is not None and self._transport.get_write_buffer_size() >= MOST_BUFFERED

    def send(self, parcel: Parcel, frame: Frame) -> None:
        """Write its frame, in the form that this server reads.

        It is settled by its ack, or by being written where there are no acks.
        """
        if self._transport is None or self._transport.is_closing() or self._farewell is not None:
            self._unsettled.add(_Sent(parcel, _NEVER), frame.chunk)
            return
        self._queued += frame.size
        is_oldest = not len(self._unsettled)
        self._unsettled.add(_Sent(parcel, self._queued), frame.chunk)
        self._transport.writelines(frame.pieces if len(frame.pieces) <= MOST_PIECES else (b"".join(frame.pieces),))
        if not self._target.require_ack:
            self._settle_written()
            if not len(self._unsettled):
                return
        if is_oldest:
            self._note_progress()
        if self._timer is None:
            self._timer = self._loop.call_later(self._target.ack_timeout_s, self._check_progress)

    def take_unsettled(self) -> list[Parcel]:
        """What has to be sent again, in order."""
        return [sent.parcel for sent in self._unsettled.take_all()]

    def finish(self, reason: str = "closed for a new one") -> None:
        """Close in good order: nothing is on its way, or what is does not matter any more."""
        self._reason, self.doubtful_until_s = reason, 0.0
        if self._transport is None or self._transport.is_closing() or self._farewell is not None:
            return
        if self._target.require_ack or not (self._queued or self._target.tls):
            self._transport.close()
        else:  # also where nothing was sent under TLS, whose goodbye is timed by nobody else
            self._farewell = Farewell(self._transport, PATIENCE_S if self._queued else GOODBYE_S, self._loop)
            if not self.lost.done():
                self.lost.set_result(reason)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    @own
    def data_received(self, data: bytes) -> None:
        """A handshake, then acks, whole or in pieces; or something that is neither."""
        self._heard = True
        if self._farewell is not None:
            self._farewell.heard()
            return
        try:
            if not self.ready.done():
                data = self._greeted(data)
            for chunk_id in self._acks.feed(data):
                if self._target.require_ack:
                    self._settle_acked(chunk_id)
        except ProtocolError as error:
            self.at_odds = True
            self._fail(error.reason)

    def _greeted(self, data: bytes) -> bytes:
        """Go on with the handshake; returns what came behind it."""
        handshake = self._handshake
        if handshake is None or self._transport is None:
            return data
        reply = handshake.feed(data)
        if reply:
            self._transport.write(reply)
        if not handshake.done:
            return b""
        self.ready.set_result(None)
        return handshake.rest

    @own
    def resume_writing(self) -> None:
        """Most of what was written is with the kernel; all of it, where there are no acks."""
        if not self._target.require_ack:
            self._settle_written()
            if self._stuck:
                self._note_progress()
        self._has_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._farewell is not None:
            self._farewell.over()
        reason = str(exc) if exc else self._reason
        if not self._heard and self._loop.time() < self.doubtful_until_s:
            reason += doubt(tls=bool(self._target.tls), greeted=bool(self._handshake), sent=bool(self._queued))
        if not self.ready.done():
            self.ready.set_exception(ProtocolError(f"in the handshake: {reason}" if self._handshake else reason))
            self.ready.exception()  # whoever connected may have given up: then it is no mistake that nobody asks
        if not self.lost.done():
            self.lost.set_result(reason)
        if not self.gone.done():
            self.gone.set_result(None)

    def _settle_acked(self, chunk_id: str) -> None:
        oldest = self._unsettled.oldest()
        sent = self._unsettled.waiting(chunk_id)
        if sent.end > self._handed_over():
            raise ProtocolError("an ack before its chunk was sent")
        self._unsettled.acked(chunk_id)
        if sent is oldest:
            self._note_progress()
        self._settled(sent.parcel)

    def _settle_written(self) -> None:
        handed_over = self._handed_over()
        while (oldest := self._unsettled.oldest()) is not None and oldest.end <= handed_over:
            self._settled(self._unsettled.pop_oldest().parcel)

    def _handed_over(self) -> int:
        """Bytes that are with the kernel."""
        return self._queued - (self._transport.get_write_buffer_size() if self._transport else 0)

    def _gone(self, oldest: _Sent | None) -> int:
        """Bytes of the oldest frame, and of all before it, that are gone.

        Where there are no acks, those that are with the server: what the kernel takes from us, it takes in large parts.
        """
        if oldest is None:
            return 0
        if self._target.require_ack or self._transport is None:
            return min(self._handed_over(), oldest.end)
        return self._handed_over() - tcpsocket.unsent(self._transport)

    def _note_progress(self) -> None:
        """The oldest frame is another one, or more of its bytes are gone."""
        self._carried = self._gone(self._unsettled.oldest())
        self._progress_s = self._loop.time()
        self._overdue = False
        if self._stuck:
            self._stuck = False
            server = str(self._target)
            complain(log, logging.INFO, "downstream_goes_on", (server,), server=server)

    def _check_progress(self) -> None:
        """Give the connection up when the oldest frame made no progress for as long as an ack may take.

        Its progress is that its bytes go, or that it became the oldest. What moves behind it must not hide that its ack
        is lost: its sender would wait for ever.

        Where there are no acks that is only told of: what the server has not read would be lost with its connection.
        """
        self._timer = None
        oldest = self._unsettled.oldest()
        if oldest is None:
            return
        if self._gone(oldest) != self._carried:
            self._note_progress()
        limit_s = self._target.ack_timeout_s
        left_s = self._progress_s + limit_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._check_progress)
        elif not self._overdue:
            self._overdue = True
            self._timer = self._loop.call_later(SECOND_LOOK_S, self._check_progress)
        elif self._target.require_ack:
            self._fail(f"no ack within {limit_s:g}s")
        else:
            if not self._stuck:
                self._stuck = True
                server, reason = str(self._target), f"it has read nothing for {limit_s:g}s, and senders wait"
                complain(log, logging.WARNING, "downstream_stuck", (server,), server=server, reason=reason)
            self._timer = self._loop.call_later(LOOK_S, self._check_progress)

    def _fail(self, reason: str) -> None:
        self._reason, self.doubtful_until_s = reason, 0.0
        self.abort()
