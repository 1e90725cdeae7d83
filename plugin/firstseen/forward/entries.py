"""Walking msgpack objects that lie one behind the other: how many entries there are, where they are, and if they are.

`Walk` steps over objects with `msgpack.Unpacker.skip`, which neither builds nor allocates anything, and notes where
each ends. It is resumable, so that a Forward frame is walked while it arrives, and each byte once. `check` then looks
at the first bytes of every entry: a chunk with something else among its entries must not go on, since some servers take
what lies before it, drop what lies behind it, and acknowledge the whole.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat

import msgpack

from firstseen.errors import ProtocolError
from firstseen.forward.times import read_event_time
from firstseen.packing import Buffer, Head, Kind, read_head

SLICE = 1 << 16
"""Most bytes handed to the unpacker at a time: its own copy of them then stays in the CPU's cache."""

READ_SIZE = 1 << 12
"""Bytes that an unpacker starts with; its own default is a megabyte, which costs more than walking a small frame."""

MAX_DEPTH = 1024
"""Levels of nesting that the msgpack library follows."""

BATCH = 1 << 12
"""Entries that are checked at a time, so that millions of them in one chunk take no memory."""


SMALLEST_ENTRY = 3
"""Bytes of ``[0, {}]``: no entry is shorter, so there are at most a third as many entries as bytes."""

LARGEST = (1 << 32) - 1
"""Bytes up to which what is walked may reach."""


class Walk:
    """Steps over up to ``limit`` objects in at most `LARGEST` bytes.

    Feed it the bytes in order and `advance` after each feeding. ``offsets`` holds where each object begins that was
    reached, counted from the first byte fed, and behind the last whole one where it ends.
    """

    __slots__ = ("_limit", "_unpacker", "offsets")

    def __init__(self, limit: int, max_size: int) -> None:
        self._unpacker = msgpack.Unpacker(read_size=READ_SIZE, max_buffer_size=max_size + SLICE)
        self._limit = limit
        self.offsets = array("I", (0,))  # four bytes each: no frame is larger than they can say

    @property
    def count(self) -> int:
        """How many whole objects are behind."""
        return len(self.offsets) - 1

    @property
    def position(self) -> int:
        """The offset behind the last whole object."""
        return self.offsets[-1]

    def feed(self, data: Buffer) -> None:
        """Take the next bytes, at most `SLICE` of them."""
        self._unpacker.feed(data)

    def advance(self) -> bool:
        """Step over every whole object there is; True once ``limit`` objects are behind.

        Raises `ProtocolError` on bytes that are no msgpack, or nested beyond `MAX_DEPTH`.
        """
        skip, tell, add = self._unpacker.skip, self._unpacker.tell, self.offsets.append
        try:
            for _ in range(self.count, self._limit):
                skip()
                add(tell())
        except msgpack.OutOfData:
            return False
        except msgpack.StackError:
            raise ProtocolError(f"nested deeper than {MAX_DEPTH} levels") from None
        except (msgpack.FormatError, ValueError):
            raise ProtocolError("bytes that are no msgpack") from None
        return True


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries that fill ``data[start:stop]``; ``offsets`` are those of `Walk`, counted from ``start``."""

    data: bytes | bytearray
    start: int
    stop: int
    offsets: Sequence[int]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.offsets) - 1

    def around(self, places: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The (start, stop) of each entry that holds one of the ascending ``places``, each entry once, in order."""
        behind = self.start
        for place in places:
            if place >= behind:
                number = bisect_right(self.offsets, place - self.start)
                behind = self.start + self.offsets[number]
                yield self.start + self.offsets[number - 1], behind

    def every(self) -> Iterator[tuple[int, int]]:
        """The (start, stop) of every entry, in order."""
        start = self.start
        return ((start + here, start + behind) for here, behind in pairwise(self.offsets))


def walk(data: bytes | bytearray, start: int, stop: int) -> Entries:
    """The objects that fill ``data[start:stop]``, as the entries of a PackedForward blob do.

    Raises `ProtocolError` where the bytes are no msgpack, or end inside an object.
    """
    steps = Walk((stop - start) // SMALLEST_ENTRY + 1, stop - start)
    view = memoryview(data)
    for at in range(start, stop, SLICE):
        steps.feed(view[at : min(at + SLICE, stop)])
        if steps.advance():
            raise ProtocolError("something among the entries is too short for a [time, record]")
    if start + steps.position != stop:
        raise ProtocolError("the entries end in the middle of one")
    return Entries(data, start, stop, steps.offsets)


_V1 = struct.Struct(">HB8xB")
"""What tells most entries of version 1: ``[EventTime as fixext8, map]``, with the time itself left out."""

_V2 = struct.Struct(">HH8xBIB")
"""The same for ``[[EventTime, metadata], map]`` with empty metadata in the width in which Fluent Bit writes it."""

_MAPS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
_USUAL_V1 = frozenset((0x92D7, 0x00, header) for header in _MAPS)
_USUAL_V2 = frozenset((0x9292, 0xD700, 0xDF, 0, header) for header in _MAPS)


def check(entries: Entries) -> bool:
    """Raises `ProtocolError` for the first that is no ``[time, record]`` and no ``[[time, metadata], record]``.

    A time is an integer, a float or an EventTime; metadata and record are maps. Source: the Forward protocol, 1.5.
    Returns whether all of them look alike in one of the two usual ways; the start of a log group never does.
    """
    view = memoryview(entries.data)[entries.start : entries.stop]
    all_usual = True
    for first in range(0, entries.count, BATCH):
        batch = entries.offsets[first : min(first + BATCH, entries.count)]
        if _usual(view, batch):
            continue
        all_usual = False
        for number in range(first, first + len(batch)):
            fault = _fault(view, entries.offsets[number], entries.offsets[number + 1])
            if fault:
                raise ProtocolError(f"entry {number + 1} of {entries.count} is no [time, record]: {fault}")
    return all_usual


def _usual(view: memoryview, offsets: Sequence[int]) -> bool:
    """Whether all entries there look alike in one of the two usual ways; costs a sixth of looking at each."""
    v2 = bytes(view[offsets[0] : offsets[0] + 2]) == b"\x92\x92"
    shape, usual = (_V2, _USUAL_V2) if v2 else (_V1, _USUAL_V1)
    try:
        return usual.issuperset(map(shape.unpack_from, repeat(view), offsets))
    except struct.error:  # the last one is too short to be one of those
        return False


def _fault(view: memoryview, at: int, stop: int) -> str | None:
    """What is wrong with the entry ``view[at:stop]``; None if nothing is."""
    outer = head_at(view, at, stop)
    if outer.kind is not Kind.ARRAY or outer.size != 2:
        return _in_words(outer)
    head = head_at(view, outer.payload, stop)
    if head.kind is not Kind.ARRAY:
        return time_fault(view, outer.payload, stop) or record_fault(view, behind(view, outer.payload, stop), stop)
    if head.size != 2:
        return f"its header is {_in_words(head)}"
    metadata = behind(view, head.payload, stop)
    if head_at(view, metadata, stop).kind is not Kind.MAP:
        return f"its metadata is {_in_words(head_at(view, metadata, stop))}"
    return time_fault(view, head.payload, stop) or record_fault(view, behind(view, metadata, stop), stop)


def time_fault(data: Buffer, at: int, stop: int) -> str | None:
    """Why the object at ``at`` is no time; None if it is one."""
    head = head_at(data, at, stop)
    if head.kind in (Kind.INT, Kind.FLOAT):
        return None
    if read_event_time(data, head, stop) is not None:
        return None
    return f"its time is {_in_words(head)}"


def record_fault(data: Buffer, at: int, stop: int) -> str | None:
    """Why the object at ``at`` is no record; None if it is one."""
    head = head_at(data, at, stop)
    return None if head.kind is Kind.MAP else f"its record is {_in_words(head)}"


def behind(data: Buffer, at: int, stop: int) -> int:
    """The offset behind the object at ``at``, which ends before ``stop``."""
    head = head_at(data, at, stop)
    if head.kind is not Kind.ARRAY and head.kind is not Kind.MAP:
        return head.payload + head.size
    if not head.size:
        return head.payload
    unpacker = msgpack.Unpacker(read_size=READ_SIZE, max_buffer_size=max(stop - at, READ_SIZE))
    unpacker.feed(memoryview(data)[at:stop])
    unpacker.skip()
    position: int = unpacker.tell()
    return at + position


def head_at(data: Buffer, at: int, stop: int) -> Head:
    """The header at ``at``, which ends before ``stop``."""
    head = read_head(data, at, stop)
    if head is None:
        raise AssertionError("an entry is walked, and so known to be whole, before it is looked at")
    return head


def _in_words(head: Head) -> str:
    name = head.kind.name.lower()
    return f"{name} of {head.size}" if head.kind is Kind.ARRAY else name
