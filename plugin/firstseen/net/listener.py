"""Where Forward clients connect: sockets in, tickets out.

A `Ticket` is one chunk on its way: whoever settles it says whether it is safe, and only then the sender hears of it.
Acks leave a connection in the order in which its chunks came. When too many bytes are on their way, reading stops and
acks are late: the protocol's own backpressure, and the only one that costs no peer a chunk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import cast

from firstseen.forward.buffers import Pool
from firstseen.forward.messages import Chunk
from firstseen.forward.server import Received, Receiver, ack
from firstseen.logs import event

log = logging.getLogger(__name__)


LINGER_S = 1.0
"""How long a connection that is being closed drops what its peer still sends."""

CHUNK_COST = 1 << 10
"""Bytes that a chunk on its way takes beside its own; most of the memory, where chunks are small."""

_DISCARDED = memoryview(bytearray(1 << 16))
"""Where bytes go that nobody will read."""


class Ticket:
    """One chunk from one connection, until it is settled, exactly once."""

    __slots__ = ("_connection", "_received", "safe")

    def __init__(self, connection: Connection, received: Received) -> None:
        self._connection = connection
        self._received = received
        self.safe: bool | None = None

    @property
    def chunk(self) -> Chunk:
        """The chunk; its bytes may be read until the ticket is settled."""
        return self._received.chunk

    @property
    def peer(self) -> str:
        """Who sent it."""
        return self._connection.peer

    @property
    def cost(self) -> int:
        """Bytes of memory that it takes until it is settled."""
        return self.chunk.size + CHUNK_COST

    def settle(self, *, safe: bool) -> None:
        """The chunk is delivered and what it changed is durable (``safe``), or it will not be: then it is never acked.

        The sender of a chunk that is not safe loses its connection, and so learns that it must send it again.
        """
        if self.safe is not None:
            raise AssertionError("a ticket is settled once")
        self.safe = safe
        self._received.slab.release()
        self._connection.settled()

    @property
    def reply(self) -> bytes | None:
        """The ack, if the sender asked for one."""
        chunk_id = self._received.chunk.options.chunk
        return None if chunk_id is None else ack(chunk_id)


class Connection(asyncio.BufferedProtocol):
    """One client."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._receiver = Receiver(listener.pool, listener.max_frame)
        self._tickets: deque[Ticket] = deque()
        self._transport: asyncio.Transport | None = None
        self._finishing = False
        self._ended = False
        self._choked = False
        self._turn: asyncio.Handle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self.peer = "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _peer(transport)
        self._listener.opened(self)
        asyncio.get_running_loop().call_soon(self.steer)  # not now: uvloop starts to read behind this call

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go; straight into the memory of the frame."""
        return self._receiver.buffer() if self._lingering is None else _DISCARDED

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        if self._lingering is not None:
            return
        for received in self._receiver.received(nbytes):
            ticket = Ticket(self, received)
            self._tickets.append(ticket)
            self._listener.took(ticket)
        if self._receiver.error is not None and not self._finishing:
            self._listener.refused(self.peer, self._receiver.error.tag, self._receiver.error.reason)
            self.finish()
        self.steer()

    def _go_on(self) -> None:
        """Look at the rest of what was read, everybody else having been served."""
        self._turn = None
        if self._may_go_on():
            self.buffer_updated(0)

    def pause_writing(self) -> None:
        """The client does not read its acks: it has to before it may send more."""
        self._choked = True
        self.steer()

    def resume_writing(self) -> None:
        """The client read its acks."""
        self._choked = False
        self.steer()

    def eof_received(self) -> bool:
        """The client will send no more, but may still wait for acks."""
        self._ended = True
        if self._lingering is not None:
            return False
        if self._receiver.inside_frame:
            event(log, logging.WARNING, "frame_cut_short", peer=self.peer)
        self.finish()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; chunks on their way go on, nobody hears of them."""
        self._transport = None
        if self._lingering is not None:
            self._lingering.cancel()
        self._receiver.close()
        self._listener.closed(self)

    def settled(self) -> None:
        """One of the tickets was settled: ack all that are safe and have nothing unsettled before them."""
        while self._tickets and self._tickets[0].safe is not None:
            ticket = self._tickets.popleft()
            self._listener.let_go(ticket)
            if not ticket.safe:
                self._close()
            elif self._transport is not None and self._lingering is None and ticket.reply is not None:
                self._transport.write(ticket.reply)
        if self._finishing and not self._tickets:
            self._close()

    def finish(self) -> None:
        """Read no more; close once every chunk that came is settled."""
        self._finishing = True
        self.steer()
        if not self._tickets:
            self._close()

    def _close(self) -> None:
        """Say that no more will come, and drop what still comes for a moment.

        Closing at once with bytes unread would reset the connection, and an ack on its way could be lost with it.
        """
        if self._transport is None or self._lingering is not None:
            return
        self._finishing = True
        self._lingering = asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)
        if self._ended:
            self._transport.close()  # which waits until the peer has read its acks, or for ever
            return
        try:
            self._transport.write_eof()
        except OSError:  # the peer is gone already, and nobody told us yet
            self._transport.abort()
            return
        if not self._transport.is_reading():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    def steer(self) -> None:
        """Read, or do not: then the peer's sends fill its socket and wait."""
        if self._transport is None or self._lingering is not None:
            return
        if not self._may_go_on():
            self._transport.pause_reading()
        elif self._receiver.has_more:
            self._transport.pause_reading()
            if self._turn is None:
                self._turn = asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self._transport.resume_reading()

    def _may_go_on(self) -> bool:
        stopped = self._transport is None or self._finishing or self._choked
        return not stopped and not self._listener.paused


class Listener:
    """The listening sockets and their connections.

    ``handle`` gets each ticket as it comes; ``refuse`` is told of each connection that broke the protocol, ``paused``
    of each time that reading stops. At most ``max_in_flight`` bytes of chunks are on their way (see `Ticket.cost`),
    plus the frames that complete before reading stops.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        max_frame: int,
        max_in_flight: int,
        handle: Callable[[Ticket], None],
        refuse: Callable[[], None],
        paused: Callable[[], None],
    ) -> None:
        self.pool = pool
        self.max_frame = max_frame
        self._max_in_flight = max_in_flight
        self._handle = handle
        self._refuse = refuse
        self._paused_reading = paused
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._in_flight = 0
        self.paused = False
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._deserted = asyncio.Event()
        self._deserted.set()

    async def listen(self, host: str, port: int) -> str:
        """Listen there; returns the address with the port that was given. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), host, port, backlog=512)
        self._servers.append(server)
        return _address(server.sockets[0].getsockname())

    async def drain(self, timeout_s: float) -> bool:
        """Accept and read no more; wait until all that came is settled. False if that took longer than the timeout."""
        self._draining = True
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections):
            connection.finish()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.abort()
        await self._deserted.wait()
        return self._in_flight == 0

    def opened(self, connection: Connection) -> None:
        """Called by a connection."""
        self._connections.add(connection)
        self._deserted.clear()
        if self._draining:  # it was accepted before, and nobody was told
            connection.finish()

    def closed(self, connection: Connection) -> None:
        """Called by a connection."""
        self._connections.discard(connection)
        if not self._connections:
            self._deserted.set()

    def took(self, ticket: Ticket) -> None:
        """Called by a connection for each chunk."""
        self._in_flight += ticket.cost
        self._idle.clear()
        if self._in_flight >= self._max_in_flight and not self.paused:
            self.paused = True
            self._paused_reading()
            event(log, logging.DEBUG, "reading_paused", in_flight=self._in_flight)
            for connection in self._connections:
                connection.steer()
        self._handle(ticket)

    def let_go(self, ticket: Ticket) -> None:
        """Called by a connection for each ticket that is settled and out of its queue."""
        self._in_flight -= ticket.cost
        if self.paused and self._in_flight <= self._max_in_flight // 2:
            self.paused = False
            event(log, logging.DEBUG, "reading_resumed", in_flight=self._in_flight)
            for connection in self._connections:
                connection.steer()
        if self._in_flight == 0:
            self._idle.set()

    def refused(self, peer: str, tag: str | None, reason: str) -> None:
        """Called by a connection that has to close because of what its peer sent."""
        self._refuse()
        event(log, logging.WARNING, "connection_refused", peer=peer, tag=tag, reason=reason)


def _peer(transport: asyncio.BaseTransport) -> str:
    return _address(transport.get_extra_info("peername"))


def _address(name: tuple[object, ...] | None) -> str:
    """``host:port``, with brackets around an IPv6 host."""
    if not name:
        return "?"
    host, port = str(name[0]), name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
