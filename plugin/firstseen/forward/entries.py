"""Walking msgpack objects that lie one behind the other: how many entries there are, where they are, and if they are.

`Walk` steps over objects with `msgpack.Unpacker.skip`, which neither builds nor allocates anything, and notes where
each ends. It is resumable, so that a Forward frame is walked while it arrives, and each byte once. `check` then looks
at the first bytes of every entry: a chunk with something else among its entries must not go on, since some servers take
what lies before it, drop what lies behind it, and acknowledge the whole.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise, repeat
from typing import TypeVar

import msgpack
from ahocorasick_rs import BytesAhoCorasick
from msgspec import Struct

from firstseen.errors import ProtocolError
from firstseen.forward.times import read_event_time
from firstseen.packing import MAPS, Buffer, Head, Kind, read_head
from firstseen.steps import Steps, finished

What = TypeVar("What")

SLICE = 1 << 16
"""Most bytes handed to the unpacker at a time: its own copy of them then stays in the CPU's cache."""

READ_SIZE = 1 << 12
"""Bytes that an unpacker starts with; its own default is a megabyte, which costs more than walking a small frame."""

MAX_CHUNK_DEPTH = 1024
"""Levels of nesting that the msgpack library follows."""

BATCH = 1 << 12
"""Entries that are checked at a time, so that millions of them in one chunk take no memory."""


MAX_ENTRIES = 1 << 21
"""Entries of a chunk. The smallest that a log has take 30 bytes, so that no frame of the default size has as many."""

SMALLEST_ENTRY = 3
"""Bytes of ``[0, {}]``: no entry is shorter, so there are at most a third as many entries as bytes."""

SEARCHED = 1 << 16
"""Bytes that are searched at a time: each of the hits, of which four bytes may be one, takes 150 until it is passed."""

LARGEST = (1 << 32) - 1
"""Bytes up to which what is walked may reach."""


_LONGEST_EXT = b"\xc9\xff\xff\xff\xff"
"""An ext of 4 GiB less one byte. The library adds the byte of its type, and takes the sum for nothing at all.

It is shown one that is a byte shorter: that is as far from ever being whole, and inside of a text it changes nothing.
"""

_LONGEST_EXTS = BytesAhoCorasick([_LONGEST_EXT])
"""A search for it that takes an eighth of the time that `bytes.find` takes, which is as much as all else of a walk."""


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

    def feed(self, data: bytes | bytearray, start: int, stop: int) -> None:
        """Take the next bytes, ``data[start:stop]``, at most `SLICE` of them; those before must be there still."""
        before = max(start - len(_LONGEST_EXT) + 1, 0)
        found = _LONGEST_EXTS.find_matches_as_indexes(memoryview(data)[before:stop])
        if not found:
            self._unpacker.feed(memoryview(data)[start:stop])
            return
        shortened = bytearray(memoryview(data)[start:stop])
        for _, _, behind in found:
            shortened[before + behind - 1 - start] = 0xFE
        self._unpacker.feed(shortened)

    def advance(self) -> bool:
        """Step over every whole object there is; True once ``limit`` objects are behind.

        Raises `ProtocolError` on bytes that are no msgpack, or nested beyond `MAX_CHUNK_DEPTH`.
        """
        skip, tell, add = self._unpacker.skip, self._unpacker.tell, self.offsets.append
        try:
            for _ in range(self.count, self._limit):
                skip()
                add(tell())
        except msgpack.OutOfData:
            return False
        except msgpack.StackError:
            raise ProtocolError(f"nested deeper than {MAX_CHUNK_DEPTH} levels") from None
        except (msgpack.FormatError, ValueError):
            raise ProtocolError("bytes that are no msgpack") from None
        return True


class Entries(Struct, frozen=True):
    """The entries that fill ``data[start:stop]``; ``offsets`` are those of `Walk`, counted from ``start``."""

    data: bytes | bytearray
    start: int
    stop: int
    offsets: Sequence[int]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.offsets) - 1

    def at(self, number: int) -> int:
        """Where in ``data`` the entry of that number begins; behind the last one, where it ends."""
        return self.start + self.offsets[number]

    def around(self, places: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The (start, stop) of each entry that holds one of the ascending ``places``, each entry once, in order."""
        number = 0
        while number < len(places):
            entry = bisect_right(self.offsets, places[number] - self.start)
            behind = self.start + self.offsets[entry]
            yield self.start + self.offsets[entry - 1], behind
            number = bisect_left(places, behind, number + 1)

    def around_hits(
        self,
        search: Callable[[int, int], Sequence[tuple[int, What]]],
        most: What | None = None,
        first: int = 0,
        behind_last: int | None = None,
    ) -> Iterator[tuple[int, int, Collection[What]]]:
        """The (start, stop) of each entry with hits in it, in order, and what was hit.

        They are those from the entry ``first`` to the one before ``behind_last``, or to the last one.
        ``search`` gives what it finds to begin between two offsets: ascending offsets, each with what is there. What is
        there is no news where ``most`` was hit as well: of such an entry not all need be found.
        """
        at, end = self.at(first), self.stop if behind_last is None else self.at(behind_last)
        while at < end:
            behind = min(at + SEARCHED, end)
            hits = search(at, behind)
            number = 0
            while number < len(hits):
                entry = bisect_right(self.offsets, hits[number][0] - self.start)
                start, stop = self.start + self.offsets[entry - 1], self.start + self.offsets[entry]
                found = {hits[number][1]}
                number += 1
                while number < len(hits) and hits[number][0] < stop:
                    found.add(hits[number][1])
                    number += 1
                if behind < stop:
                    hits, number = (), 0  # they are all in this entry, and are many where it is one of harm
                while behind < stop and most not in found:
                    more = min(behind + SEARCHED, stop)
                    found.update(what for _, what in search(behind, more))
                    behind = more
                behind = max(behind, stop)
                yield start, stop, found
            at = behind

    def every(self) -> Iterator[tuple[int, int]]:
        """The (start, stop) of every entry, in order."""
        start = self.start
        return ((start + here, start + behind) for here, behind in pairwise(self.offsets))


def walk(data: bytes | bytearray, start: int, stop: int) -> Entries:
    """The objects that fill ``data[start:stop]``, as the entries of a PackedForward blob do.

    Raises `ProtocolError` where the bytes are no msgpack, end inside an object, or are more than `MAX_ENTRIES` objects.
    """
    return finished(walking(data, start, stop))


def walking(data: bytes | bytearray, start: int, stop: int) -> Steps[Entries]:
    """The same in steps."""
    most = (stop - start) // SMALLEST_ENTRY
    walk = Walk(min(most, MAX_ENTRIES) + 1, stop - start)
    for at in range(start, stop, SLICE):
        walk.feed(data, at, min(at + SLICE, stop))
        if walk.advance():
            if most > MAX_ENTRIES:
                raise ProtocolError(f"more than {MAX_ENTRIES} entries")
            raise ProtocolError("something among the entries is too short for a [time, record]")
        yield
    if start + walk.position != stop:
        raise ProtocolError("the entries end in the middle of one")
    return Entries(data, start, stop, walk.offsets)


_V1 = struct.Struct("=I7xB")
"""What tells most entries of version 1: ``[EventTime as fixext8, map]``; of the time only its first byte.

In few numbers, since each takes time, and in the order of bytes that this machine reads best.
"""

_V2 = struct.Struct("=IB7xIH")
"""The same for ``[[EventTime, metadata], map]`` with empty metadata in the width in which Fluent Bit writes it."""

_SECONDS = (0x00, *range(0x40, 0x90))
"""First bytes of the times from 2004 to 2046, and of those that a host without a clock has.

With all that there are the shapes below would take a megabyte. Those of what marks a log group begin with FF.
"""

_USUAL_V1 = frozenset(
    _V1.unpack(bytes((0x92, 0xD7, 0x00, second, *bytes(7), header))) for second in _SECONDS for header in MAPS
)
_USUAL_V2 = frozenset(
    _V2.unpack(bytes((0x92, 0x92, 0xD7, 0x00, second, *bytes(7), 0xDF, *bytes(4), header)))
    for second in _SECONDS
    for header in MAPS
)


def check(entries: Entries) -> bool:
    """Raises `ProtocolError` for the first that is no ``[time, record]`` and no ``[[time, metadata], record]``.

    A time is an integer, a float or an EventTime; metadata and record are maps. Source: the Forward protocol, 1.5.
    Returns whether all of them look alike in one of the two usual ways; what marks a log group never does.
    """
    return finished(checking(entries))


def checking(entries: Entries) -> Steps[bool]:
    """The same in steps."""
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
        yield
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
    return f"{head.kind.words} of {head.size}" if head.kind is Kind.ARRAY else head.kind.words
