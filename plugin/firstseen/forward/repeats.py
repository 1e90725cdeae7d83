"""Chunks that come again: acked anew where they are delivered, and not delivered twice.

A sender that lost an ack sends the chunk again, with the same id. Ids are made by clients, though, out of the content
or badly: two chunks of one id may differ, and so a chunk counts as the same only if its size and its bytes' checksum
are the same as well. Nobody else in the chain does this; it saves repeats, and must never cost a record.
"""

from __future__ import annotations

import enum
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from isal import isal_zlib

from firstseen.forward.messages import Chunk, text

MOST = 1 << 14
"""Chunks that are remembered; each takes some 400 bytes, whatever its client calls it."""

Waiter = TypeVar("Waiter")


class Identity(NamedTuple):
    """What makes a chunk the same as another: who sent it, and everything about it.

    ``names`` is a digest of its origin, tag and chunk id, which a client may choose as long as a whole message.
    """

    names: bytes
    size: int
    checksum: int


class Arrival(enum.Enum):
    """What to do about a chunk that came."""

    NEW = "new"
    """Deliver it, and tell `Repeats.settled` what became of it."""
    WAITS = "waits"
    """The same one is on its way: this one will be among those that `Repeats.settled` returns."""
    DELIVERED = "delivered"
    """The same one was delivered a short while ago: ack it again."""


def identity(origin: str, chunk: Chunk) -> Identity | None:
    """The identity of a chunk from ``origin``; None without a chunk id, without which nobody sends anything again.

    An id is text, and not empty: of two equal messages with nil or 0 for an id, the second is a message of its own.
    """
    chunk_id = chunk.options.chunk
    if chunk_id is None or not text(chunk_id):
        return None
    sender, tag = origin.encode("utf-8", "surrogateescape"), chunk.tag.encode("utf-8", "surrogateescape")
    names = b"".join((len(sender).to_bytes(8), sender, len(tag).to_bytes(8), tag, chunk_id))
    checksum = isal_zlib.crc32(memoryview(chunk.data)[chunk.start : chunk.stop])
    return Identity(hashlib.blake2b(names, digest_size=16).digest(), chunk.size, checksum)


class Repeats(Generic[Waiter]):
    """Remembers chunks for ``window_ms`` after they were delivered, the latest ``most`` of them; 0 remembers none.

    The clock is the caller's: one that never goes back, in milliseconds.
    """

    __slots__ = ("_delivered", "_most", "_on_their_way", "_window_ms")

    def __init__(self, window_ms: int, most: int = MOST) -> None:
        self._window_ms = window_ms
        self._most = most
        self._on_their_way: dict[Identity, list[Waiter]] = {}  # first the one that is, then those that wait for it
        self._delivered: OrderedDict[Identity, int] = OrderedDict()

    def arrived(self, identity: Identity, waiter: Waiter, now_ms: int) -> Arrival:
        """A chunk came; ``waiter`` stands for it."""
        if not self._window_ms:
            return Arrival.NEW
        waiting = self._on_their_way.get(identity)
        if waiting is not None:
            waiting.append(waiter)
            return Arrival.WAITS
        self._forget(now_ms)
        if identity in self._delivered:
            return Arrival.DELIVERED
        self._on_their_way[identity] = [waiter]
        return Arrival.NEW

    def first(self, identity: Identity) -> Waiter:
        """The one that a chunk that `Arrival.WAITS` waits for."""
        return self._on_their_way[identity][0]

    def settled(self, identity: Identity, *, safe: bool, now_ms: int) -> Sequence[Waiter]:
        """A chunk that was new is delivered (``safe``), or will not be; returns those that waited for it."""
        if not self._window_ms:
            return ()
        _, *waiting = self._on_their_way.pop(identity)
        if safe:
            self._delivered[identity] = now_ms
            self._forget(now_ms)
        return waiting

    def _forget(self, now_ms: int) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        delivered = self._delivered
        while delivered:
            at_ms = next(iter(delivered.values()))
            if len(delivered) <= self._most and now_ms - at_ms < self._window_ms:
                return
            delivered.popitem(last=False)
