"""One client's connection. Acks leave it in the order in which its chunks came."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol, cast

from firstseen.errors import ProtocolError
from firstseen.forward.buffers import Pool
from firstseen.forward.handshake import ServerHandshake
from firstseen.forward.server import Receiver
from firstseen.logs import event
from firstseen.net import tcpsocket
from firstseen.net.own import own
from firstseen.net.peers import Peer
from firstseen.net.ticket import Scales, Ticket
from firstseen.timers import SECOND_LOOK_S

log = logging.getLogger(__name__)

LINGER_S = 1.0
"""How long a connection that is being closed drops what its peer still sends."""

_DISCARDED = memoryview(bytearray(1 << 16))
"""Where bytes go that nobody will read."""


class Host(Scales, Protocol):
    """Where connections live, and what they all share. The timeouts are in seconds."""

    pool: Pool
    max_frame: int
    frame_timeout_s: float
    idle_timeout_s: float
    handshake: Callable[[], ServerHandshake] | None
    paused: bool

    @property
    def is_short(self) -> bool:
        """Whether somebody waits for the memory that a frame of his needs."""

    def opened(self, connection: Connection) -> None:
        """A client connected."""

    def closed(self, connection: Connection) -> None:
        """It is gone."""

    def took(self, ticket: Ticket) -> None:
        """A chunk came."""

    def let_go(self, ticket: Ticket) -> None:
        """A ticket is settled and out of its connection's queue."""

    def may_grow(self, connection: Connection, size: int) -> bool:
        """Whether the connection may take that much memory for a frame; if not, it is steered when it may."""

    def waits_no_more(self, connection: Connection) -> None:
        """The connection needs no more memory for its frame, which is there, or does not go on."""

    def owes(self, connection: Connection, size: int) -> None:
        """So many bytes of acks wait here for the connection's client to read them; 0 where it reads, or is gone."""

    def refused(self, peer: Peer, tag: str | None, reason: str, *, unreadable: bool = False) -> None:
        """A connection has to close because of what its peer sent, which may be no message, or did not."""

    def cut_short(self, peer: Peer, tag: str | None) -> None:
        """A client ended its connection inside of a message."""


class Connection(asyncio.BufferedProtocol):
    """One client."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.source: Hashable = object()
        self.peer = Peer.unknown()
        self._receiver = Receiver(host.pool, host.max_frame)
        self._handshake = host.handshake() if host.handshake is not None else None
        self._tickets: deque[Ticket] = deque()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._progress_s = self._began_s = self._loop.time()
        self._finishing = False
        self._ended = False
        self._choking: asyncio.TimerHandle | None = None
        self._replied = self._read_by_peer = 0
        self._overdue = False
        self._reading = False
        self._turn: asyncio.Handle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected, and agreed on TLS where that is asked for."""
        self._transport = cast(asyncio.Transport, transport)
        self.peer = Peer.of(transport)
        self.host.opened(self)
        if self._handshake is not None:
            self._transport.write(self._handshake.helo)
        self._keep_watch()
        self._loop.call_soon(self.steer)  # not now: uvloop starts to read behind this call

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go; straight into the memory of the frame."""
        return self._receiver.buffer() if self._lingering is None else _DISCARDED

    @own
    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        if self._lingering is not None:
            return
        self._progress_s = self._loop.time()
        if self._handshake is not None:
            self._greet(self._handshake, bytes(self._receiver.buffer()[:nbytes]))
        else:
            self._take(nbytes)
        self._keep_watch()
        self.steer()

    def _take(self, nbytes: int) -> None:
        for received in self._receiver.received(nbytes):
            self._began_s = self._loop.time()
            ticket = Ticket(self, received)
            self._tickets.append(ticket)
            self.host.took(ticket)
        if not self._receiver.inside_frame:
            self._began_s = self._loop.time()
            self.host.waits_no_more(self)
        if self._receiver.error is not None and not self._finishing:
            self._refuse(self._receiver.error, unreadable=True)

    def _greet(self, handshake: ServerHandshake, data: bytes) -> None:
        """Go on with the handshake; no frame is read before it is over."""
        greeting = handshake.feed(data)
        if greeting is None or self._transport is None:
            return
        self._transport.write(greeting.reply)
        if greeting.refusal is not None:
            self._refuse(ProtocolError(greeting.refusal))
            return
        self._handshake = None
        event(log, logging.DEBUG, "client_greeted", peer=str(self.peer), hostname=greeting.hostname, user=greeting.user)
        self._take(0)  # an idle connection holds no memory, and may be idle from now on
        rest = handshake.rest
        while rest:
            buffer = self._receiver.buffer()
            part = len(buffer[: len(rest)])
            buffer[:part] = rest[:part]
            self._take(part)
            rest = rest[part:]

    def _refuse(self, error: ProtocolError, *, unreadable: bool = False) -> None:
        self.host.refused(self.peer, error.tag, error.reason, unreadable=unreadable)
        self.finish()

    def _go_on(self) -> None:
        """Look at the rest of what was read, everybody else having been served."""
        self._turn = None
        if self._may_go_on():
            self._take(0)
            self.steer()

    def pause_writing(self) -> None:
        """The client does not read its acks: it has to before it may send more."""
        self._read_by_peer = self._gone()
        self._choking = self._loop.call_later(self.host.frame_timeout_s, self._check_reading)
        self._tell_what_waits()
        self.steer()

    @own
    def resume_writing(self) -> None:
        """The client read its acks."""
        if self._choking is not None:
            self._choking.cancel()
            self._choking = None
        self.host.owes(self, 0)
        self.steer()

    def _check_reading(self) -> None:
        """Give the client up where it reads none of its acks: they take memory, and what it sent is delivered."""
        if self._transport is None:
            return
        before, self._read_by_peer = self._read_by_peer, self._gone()
        limit_s = self.host.frame_timeout_s
        if self._read_by_peer > before:
            self._choking = self._loop.call_later(limit_s, self._check_reading)
            return
        self.give_up(f"its acks were not read for {limit_s:g}s (input.frame_timeout)")

    def give_up(self, reason: str) -> None:
        """Close at once, for a reason that is the client's."""
        self.host.refused(self.peer, None, reason)
        self.abort()

    @property
    def unread(self) -> int:
        """Bytes of acks that wait here for the client to read them."""
        if self._transport is None or self._transport.is_closing():
            return 0
        return self._transport.get_write_buffer_size()

    def _tell_what_waits(self) -> None:
        self.host.owes(self, self.unread)

    def _gone(self) -> int:
        """Bytes of acks that the client's end has."""
        if self._transport is None:
            return self._replied
        return self._replied - self._transport.get_write_buffer_size() - tcpsocket.unsent(self._transport)

    @own
    def eof_received(self) -> bool:
        """The client will send no more, but may still wait for acks; not so under TLS, which ends as a whole."""
        self._ended = True
        if self._lingering is not None:
            return False
        while self._receiver.has_more and not self._finishing:  # under TLS the end may come with the last of the data
            self._take(0)
        if self._receiver.inside_frame and self._handshake is None:
            self.host.cut_short(self.peer, self._receiver.tag)
        self.finish()
        if not any(ticket.reply for ticket in self._tickets):
            self._close()  # nobody waits for anything, and a client may connect for each of its chunks
        return not self.peer.secure

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; chunks on their way go on, nobody hears of them."""
        self._transport = None
        for timer in (self._lingering, self._watch, self._choking):
            if timer is not None:
                timer.cancel()
        self._receiver.close()
        self.host.waits_no_more(self)
        self.host.owes(self, 0)
        self.host.closed(self)

    def settled(self, *, safe: bool) -> None:
        """One of the tickets was settled: ack all that are safe and have nothing unsettled before them."""
        if not safe:  # what comes behind it would overtake it: it will come again
            self._finishing = True
            self.steer()
        while self._tickets and self._tickets[0].safe is not None:
            ticket = self._tickets.popleft()
            self.host.let_go(ticket)
            if not ticket.safe:
                self._close()
            elif ticket.reply is not None:
                self._write(ticket.reply)
        self._tell_what_waits()
        self._progress_s = self._loop.time()
        if self._finishing and not self._tickets:
            self._close()

    def _write(self, reply: bytes) -> None:
        """Write an ack, unless the connection is over, also where that is told only in the loop's next turn."""
        if self._transport is not None and self._lingering is None and not self._transport.is_closing():
            self._replied += len(reply)
            self._transport.write(reply)

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
        self._lingering = self._loop.call_later(LINGER_S, self._transport.abort)
        if self._ended or self.peer.secure:
            self._transport.close()  # which waits until the peer has read its acks, or until the linger ends
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
        reading = self._may_go_on()
        if self._finishing or self._choking is not None:
            self.host.waits_no_more(self)  # or others would wait behind it for as long as it stands still
        if reading and self._receiver.has_more:
            if self._turn is None:
                self._turn = self._loop.call_soon(self._go_on)
            reading = False
        if reading:
            if not self._reading:
                self._progress_s = self._began_s = self._loop.time()  # that nothing came was our doing
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
        self._reading = reading

    def _may_go_on(self) -> bool:
        stopped = self._transport is None or self._finishing or self._choking is not None
        return not stopped and not self.host.paused and self._may_grow()

    def _may_grow(self) -> bool:
        needs = self._receiver.needs
        return not needs or self.host.may_grow(self, needs)

    def _keep_watch(self) -> None:
        """See to it that somebody looks whether the peer stands still, where it must not."""
        limit_s = self._limit_s()
        if not limit_s:
            return
        if self._watch is not None:
            if self._watch.when() <= self._loop.time() + limit_s:
                return
            self._watch.cancel()  # it waits for an idle connection, and half a message may not stand for so long
        self._watch = self._loop.call_later(limit_s, self._check_progress)

    def _limit_s(self) -> float:
        """How long nothing may come; 0 for as long as may be."""
        if self._handshake is not None or self._receiver.inside_frame:
            return self.host.frame_timeout_s
        return self.host.idle_timeout_s

    def _must_hurry(self) -> bool:
        """Whether a byte now and then is not enough: a handshake is short, and half a frame may keep others waiting."""
        return self._handshake is not None or (self._receiver.inside_frame and self.host.is_short)

    def _check_progress(self) -> None:
        self._watch = None
        limit_s = self._limit_s()
        if self._transport is None or self._lingering is not None or not limit_s:
            return
        since_s = self._began_s if self._must_hurry() else self._progress_s
        left_s = since_s + limit_s - self._loop.time()
        if left_s > 0 or not self._reading or self._tickets:
            self._overdue = False
            self._watch = self._loop.call_later(max(left_s, limit_s / 2), self._check_progress)
        elif not self._overdue:
            self._overdue = True
            self._watch = self._loop.call_later(SECOND_LOOK_S, self._check_progress)
        elif self._handshake is not None:
            self._refuse(ProtocolError(f"no handshake within {limit_s:g}s (input.frame_timeout)"))
        elif self._receiver.inside_frame:
            reason = f"half a message and then nothing for {limit_s:g}s (input.frame_timeout)"
            if self._must_hurry():
                reason = f"a message that takes longer than {limit_s:g}s (input.frame_timeout), while memory is short"
            self._refuse(ProtocolError(reason, tag=self._receiver.tag))
        else:
            event(log, logging.DEBUG, "connection_idle", peer=str(self.peer))
            self.finish()
