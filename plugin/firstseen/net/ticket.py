"""A chunk on its way: whoever settles its ticket says whether it is safe, and only then the sender hears of it."""

from __future__ import annotations

from collections.abc import Hashable
from sys import getsizeof
from typing import Protocol

from msgspec.structs import replace

from firstseen.forward.messages import Chunk
from firstseen.forward.server import Received, ack
from firstseen.net.peers import Peer

CHUNK_COST = 9 << 8
"""Bytes that a chunk on its way takes beside its own; most of the memory, where chunks are small."""

LIGHT_COST = 1 << 10
"""Bytes that one takes that only waits for another, and has given its own back."""

OFFSET_COST = 8
"""Bytes for each entry of a chunk whose place is known."""


class Scales(Protocol):
    """Where the memory of chunks is counted."""

    def weighs(self, more: int) -> None:
        """What is on its way takes that many bytes more, or less."""


class Origin(Protocol):
    """The connection that a chunk came on."""

    source: Hashable

    @property
    def host(self) -> Scales:
        """Where connections live."""

    @property
    def peer(self) -> Peer:
        """Who is at its other end."""

    def settled(self, *, safe: bool) -> None:
        """One of its tickets was settled."""


class Ticket:
    """One chunk from one connection, until it is settled, exactly once."""

    __slots__ = ("_connection", "_extra", "_light", "_names", "_own", "_received", "safe")

    def __init__(self, connection: Origin, received: Received) -> None:
        self._connection = connection
        self._received = received
        chunk = received.chunk
        self._names = getsizeof(chunk.tag) + len(chunk.options.chunk or b"")  # as text, 1 to 4 bytes a character
        self._own = chunk.size + self._names + CHUNK_COST + OFFSET_COST * len(chunk.offsets)
        self._extra = 0
        self._light = False
        self.safe: bool | None = None

    @property
    def chunk(self) -> Chunk:
        """The chunk; its bytes may be read until the ticket is settled."""
        return self._received.chunk

    @property
    def peer(self) -> Peer:
        """Who sent it."""
        return self._connection.peer

    @property
    def source(self) -> Hashable:
        """What it came on, or what that goes on with (`follow`); chunks of one source keep their order."""
        return self._connection.source

    def follow(self, earlier: Ticket) -> None:
        """It is the same chunk as that one: what comes behind it, on a new connection, may not overtake that."""
        self._connection.source = earlier.source

    @property
    def cost(self) -> int:
        """Bytes of memory that it takes until it is settled."""
        return LIGHT_COST + self._names if self._light else self._own + self._extra

    @property
    def extra(self) -> int:
        """Bytes that it takes beside the chunk's own."""
        return self._extra

    def weighs(self, more: int) -> None:
        """It takes so many bytes more: content that was inflated, and goes on so."""
        self._extra += more
        self._connection.host.weighs(more)

    def lighten(self) -> None:
        """Give its memory back: nobody will read the chunk's bytes, and only its ack is waited for."""
        before = self.cost
        self._light = True
        chunk, slab = self._received.chunk, self._received.slab
        slab.release()
        # Memory is free when nobody has it any more, whatever its slab says.
        self._received = Received(replace(chunk, data=b"", offsets=()), slab)
        self._connection.host.weighs(self.cost - before)

    def settle(self, *, safe: bool) -> None:
        """The chunk is delivered and what it changed is durable (``safe``), or it will not be: then it is never acked.

        The sender of a chunk that is not safe loses its connection, and so learns that it must send it again.
        """
        if self.safe is not None:
            raise AssertionError("a ticket is settled once")
        self.safe = safe
        if not self._light:
            self._received.slab.release()
        self._connection.settled(safe=safe)

    @property
    def reply(self) -> bytes | None:
        """The ack, if the sender asked for one."""
        chunk_id = self._received.chunk.options.chunk
        return None if chunk_id is None else ack(chunk_id)
