"""Where Forward clients connect: the listening sockets, and what their connections share.

When too many bytes are on their way, reading stops and acks are late: the protocol's own backpressure, and the only one
that costs no peer a chunk. Memory for half a frame is given out one by one when it is short, so that many large frames
that come at once are received one after the other instead of all together.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

from firstseen.forward.buffers import Pool
from firstseen.forward.handshake import ServerHandshake
from firstseen.logs import complain, event
from firstseen.net import tcpsocket, unixsocket
from firstseen.net.clients import Clients
from firstseen.net.connection import Connection
from firstseen.net.heartbeat import Heartbeat
from firstseen.net.peers import Peer, in_brackets
from firstseen.net.secure import SecureServer
from firstseen.net.ticket import Ticket

log = logging.getLogger(__name__)

BACKLOG = 512

SHARE = 4
"""The part of ``max_in_flight`` that acks may take which clients do not read, beside it."""


class Listener:
    """The listening sockets and their connections; who is behind them is kept in ``clients``.

    ``handle`` gets each ticket as it comes; ``refuse`` is told of each connection that broke the protocol, and whether
    what came could not be read, ``paused`` of each time that reading stops. At most ``max_in_flight`` bytes of chunks
    are on their way (see `Ticket.cost`), plus the frames that complete before reading stops. ``handshake`` makes the
    server's end of one for each connection where a shared key is set; timeouts are in seconds, 0 where there is none.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        max_frame: int,
        max_in_flight: int,
        clients: Clients,
        handle: Callable[[Ticket], None],
        refuse: Callable[[bool], None],
        paused: Callable[[], None],
        frame_timeout_s: float = 30.0,
        idle_timeout_s: float = 0.0,
        handshake: Callable[[], ServerHandshake] | None = None,
    ) -> None:
        self.clients = clients
        self.max_in_flight = max_in_flight
        self.pool = pool
        self.max_frame = max_frame
        self.frame_timeout_s = frame_timeout_s
        self.idle_timeout_s = idle_timeout_s
        self.handshake = handshake
        self.paused = False
        self._handle = handle
        self._refuse = refuse
        self._paused_reading = paused
        self._connections: set[Connection] = set()
        self._growing: dict[Connection, None] = {}
        self._owed: dict[Connection, int] = {}
        self._owed_in_all = 0
        self._servers: list[asyncio.Server | SecureServer] = []
        self._heartbeats: list[asyncio.BaseTransport] = []
        self._paths: list[Path] = []
        self._in_flight = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._deserted = asyncio.Event()
        self._deserted.set()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None, *, heartbeat: bool = False) -> str:
        """Listen there; returns the address with the port that was given. Raises `OSError`.

        ``heartbeat`` has datagrams to the same port answered, as Fluentd's UDP heartbeat expects it.
        """
        loop = asyncio.get_running_loop()
        sockets = await tcpsocket.bind(host, port)
        for listening in sockets:
            if tls is None:
                self._servers.append(
                    await loop.create_server(lambda: Connection(self), sock=listening, backlog=BACKLOG)
                )
            else:
                listening.listen(BACKLOG)
                self._servers.append(SecureServer(self, listening, tls))
            if heartbeat:
                transport, _ = await loop.create_datagram_endpoint(Heartbeat, listening.getsockname()[:2])
                self._heartbeats.append(transport)
        address, port = sockets[0].getsockname()[:2]
        return f"{'tls://' if tls else ''}{in_brackets(address)}:{port}"

    async def listen_unix(self, path: Path, mode: int) -> str:
        """Listen on a unix socket that only who ``mode`` lets may connect to. Raises `OSError`."""
        listening = unixsocket.bind(path, mode)
        self._paths.append(path)
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(self), sock=listening, backlog=BACKLOG
        )
        self._servers.append(server)
        return f"unix:{path}"

    async def drain(self, timeout_s: float) -> bool:
        """Accept and read no more; wait until all that came is settled. False if that took longer than the timeout."""
        self._draining = True
        for server in self._servers:
            server.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
        for transport in self._heartbeats:
            transport.close()
        for connection in tuple(self._connections):
            connection.finish()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            self.give_up()
        await self._deserted.wait()
        return self._in_flight == 0

    def give_up(self) -> None:
        """Wait for nothing any more: what is on its way is never acked, and comes again."""
        for connection in tuple(self._connections):
            connection.abort()
        self._idle.set()

    def opened(self, connection: Connection) -> None:
        """Called by a connection."""
        self._connections.add(connection)
        self.clients.opened(connection.peer)
        self._deserted.clear()
        if self._draining:  # it was accepted before, and nobody was told
            connection.finish()

    def closed(self, connection: Connection) -> None:
        """Called by a connection."""
        self._connections.discard(connection)
        self.clients.closed(connection.peer)
        if not self._connections:
            self._deserted.set()

    def took(self, ticket: Ticket) -> None:
        """Called by a connection for each chunk."""
        self._idle.clear()
        self.clients.took(ticket.peer, ticket.chunk.size)
        self.weighs(ticket.cost)
        self._handle(ticket)

    def weighs(self, more: int) -> None:
        """Called by a ticket."""
        self._in_flight += more
        if self._in_flight >= self.max_in_flight and not self.paused:
            self._pause(True)
            self._paused_reading()
        elif self.paused and self._in_flight <= self.max_in_flight // 2:
            self._pause(False)
        elif more < 0 and self._growing:
            self._steer_growing()

    def _pause(self, paused: bool) -> None:
        self.paused = paused
        event(log, logging.DEBUG, "reading_paused" if paused else "reading_resumed", in_flight=self._in_flight)
        for connection in self._connections:
            connection.steer()

    def let_go(self, ticket: Ticket) -> None:
        """Called by a connection for each ticket that is settled and out of its queue."""
        self.clients.settled(ticket.peer, safe=bool(ticket.safe))
        self.weighs(-ticket.cost)
        if self._in_flight == 0:
            self._idle.set()

    @property
    def in_flight(self) -> int:
        """Bytes of memory that chunks on their way take."""
        return self._in_flight

    @property
    def is_short(self) -> bool:
        """Whether somebody waits for the memory that a frame of his needs."""
        return bool(self._growing)

    def may_grow(self, connection: Connection, size: int) -> bool:
        """Called by a connection. The first of those that wait gets its memory in any case: somebody has to go on."""
        if not self._growing and self.pool.has_room(size):
            return True
        self._growing[connection] = None
        return connection is next(iter(self._growing)) or self.pool.has_room(size)

    def waits_no_more(self, connection: Connection) -> None:
        """Called by a connection."""
        if self._growing and connection in self._growing:
            del self._growing[connection]
            self._steer_growing()

    def _steer_growing(self) -> None:
        for connection in tuple(self._growing):
            connection.steer()

    def owes(self, connection: Connection, size: int) -> None:
        """Called by a connection. Acks are not what waits for somebody else: who lets most of them lie is given up."""
        self._note_owed(connection, size)
        most_in_all = self.max_in_flight // SHARE
        if self._owed_in_all > most_in_all:
            for each in tuple(self._owed):  # some have read since they told
                self._note_owed(each, each.unread)
        while self._owed_in_all > most_in_all:
            worst = max(self._owed, key=self._owed.__getitem__)
            most = self._owed[worst]
            self._note_owed(worst, 0)
            worst.give_up(f"it leaves {most} bytes of acks unread, and memory for those is short (input.max_in_flight)")

    def _note_owed(self, connection: Connection, size: int) -> None:
        self._owed_in_all += size - self._owed.pop(connection, 0)
        if size:
            self._owed[connection] = size

    def refused(self, peer: Peer, tag: str | None, reason: str, *, unreadable: bool = False) -> None:
        """Called by a connection that has to close because of what its peer sent, which may be no message."""
        self._refuse(unreadable)
        self.clients.refused(peer)
        self._complain("connection_refused", peer, tag, reason)

    def cut_short(self, peer: Peer, tag: str | None) -> None:
        """Called by a connection whose peer ended it inside of a message."""
        self._complain("frame_cut_short", peer, tag, "the client closed the connection in the middle of a message")

    def _complain(self, name: str, peer: Peer, tag: str | None, reason: str) -> None:
        complain(log, logging.WARNING, name, (peer.origin, reason), peer=str(peer), tag=tag, reason=reason)
