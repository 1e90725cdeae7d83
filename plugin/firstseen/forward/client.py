"""The sending end of a Forward connection without its socket: what was sent and waits, and what the acks say.

Acks are matched by value, never by position; they may arrive in any splitting, glued together or out of order. A reply
that is no ack, or an ack for nothing that waits, means that the two ends no longer agree: the connection must be closed
and everything that waits sent again, with the same chunk ids.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgpack

from firstseen.errors import ProtocolError
from firstseen.packing import Buffer

Item = TypeVar("Item")

MAX_REPLY = 1 << 16
"""Bytes that a reply may have; an ack has some 30."""


class AckReader:
    """Reads the chunk ids out of a stream of acks, for one connection."""

    __slots__ = ("_fed", "_read", "_unpacker")

    def __init__(self) -> None:
        self._fed = 0
        self._read = 0
        self._unpacker = msgpack.Unpacker(
            unicode_errors="surrogateescape",
            strict_map_key=False,
            max_buffer_size=2 * MAX_REPLY,
            max_array_len=16,
            max_map_len=16,
            max_str_len=MAX_REPLY,
            max_bin_len=MAX_REPLY,
            max_ext_len=MAX_REPLY,
        )

    def feed(self, data: Buffer) -> Iterator[str]:
        """The chunk id of each ack that is now complete; raises `ProtocolError` on anything that is no ack."""
        for at in range(0, len(data), MAX_REPLY):
            piece = data[at : at + MAX_REPLY]
            self._fed += len(piece)
            self._unpacker.feed(piece)
            try:
                for reply in self._unpacker:
                    self._check_size(self._unpacker.tell())
                    self._read = self._unpacker.tell()
                    yield _chunk_id(reply)
            except (msgpack.StackError, msgpack.FormatError, ValueError, TypeError):
                raise ProtocolError("a reply that is no msgpack") from None
            self._check_size(self._fed)

    def _check_size(self, upto: int) -> None:
        if upto - self._read > MAX_REPLY:
            raise ProtocolError(f"a reply of more than {MAX_REPLY} bytes")


def _chunk_id(reply: object) -> str:
    if isinstance(reply, list) and reply[:1] == ["HELO"]:
        raise ProtocolError("the server asks for a shared key, but none is set (output.shared_key)")
    if not isinstance(reply, dict) or "ack" not in reply:
        raise ProtocolError("a reply that is no ack")
    chunk_id = reply["ack"]
    if isinstance(chunk_id, bytes):
        return chunk_id.decode("utf-8", "surrogateescape")
    if not isinstance(chunk_id, str):
        raise ProtocolError("an ack whose chunk id is no text")
    return chunk_id


class Unsettled(Generic[Item]):
    """What is written on one connection and not settled yet, in the order in which it was written."""

    __slots__ = ("_by_id", "_items", "_next")

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._by_id: dict[str, deque[int]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item, chunk_id: str | None) -> None:
        """``item`` was written; its ack will carry ``chunk_id``, if there will be one."""
        self._items[self._next] = item
        if chunk_id is not None:
            self._by_id.setdefault(chunk_id, deque()).append(self._next)
        self._next += 1

    def waiting(self, chunk_id: str) -> Item:
        """What an ack would be for: of several with one id, the first. Raises `ProtocolError` if there is nothing."""
        numbers = self._by_id.get(chunk_id)
        if not numbers:
            raise ProtocolError("an ack for a chunk that was not sent, or was acked before")
        return self._items[numbers[0]]

    def acked(self, chunk_id: str) -> Item:
        """What the ack is for, as `waiting`, and it is settled."""
        self.waiting(chunk_id)
        numbers = self._by_id[chunk_id]
        number = numbers.popleft()
        if not numbers:
            del self._by_id[chunk_id]
        return self._items.pop(number)

    def oldest(self) -> Item | None:
        """What was written first, None when nothing waits."""
        return next(iter(self._items.values()), None)

    def pop_oldest(self) -> Item:
        """Settle what was written first, where there are no acks to wait for."""
        return self._items.pop(next(iter(self._items)))

    def take_all(self) -> list[Item]:
        """Everything, in order, and nothing is left: what must be sent again on another connection."""
        items = list(self._items.values())
        self._items.clear()
        self._by_id.clear()
        return items
