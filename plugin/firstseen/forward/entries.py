"""Walking msgpack objects that lie one behind the other: how many entries there are, and where to look for one.

`Walk` steps over objects with `msgpack.Unpacker.skip`, which neither builds nor allocates anything, and notes the
offset of every sixteenth: enough to find the entry around any byte by walking at most sixteen again. It is resumable,
so that a Forward frame is walked while it arrives, and each byte once.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as counting

import msgpack

from firstseen.errors import ProtocolError
from firstseen.packing import Buffer

STRIDE = 16
"""Entries between two marks."""

SLICE = 1 << 16
"""Most bytes handed to the unpacker at a time: its own copy of them then stays in the CPU's cache."""

READ_SIZE = 1 << 12
"""Bytes that an unpacker starts with; its own default is a megabyte, which costs more than walking a small frame."""

MAX_DEPTH = 1024
"""Levels of nesting that the msgpack library follows."""

_PAIR_HEADERS = frozenset((0x92, 0xDC, 0xDD))
"""First bytes that an array of two may have."""


class Walk:
    """Steps over ``limit`` objects, or over as many as there are.

    Feed it the bytes in order and `advance` after each feeding. ``count`` objects are then behind; ``marks`` holds the
    offset of every object whose number divides by ``stride``, counted from the first byte fed.
    """

    __slots__ = ("_unpacker", "count", "limit", "marks", "stride")

    def __init__(self, limit: int | None, max_size: int, stride: int = STRIDE) -> None:
        self._unpacker = msgpack.Unpacker(read_size=READ_SIZE, max_buffer_size=max_size + SLICE)
        self.limit = limit
        self.stride = stride
        self.count = 0
        self.marks = array("Q")

    @property
    def position(self) -> int:
        """The offset behind the last object; meaningful only once `advance` has returned True."""
        offset: int = self._unpacker.tell()
        return offset

    def feed(self, data: Buffer) -> None:
        """Take the next bytes, at most `SLICE` of them."""
        self._unpacker.feed(data)

    def advance(self) -> bool:
        """Step over every whole object there is; True once ``limit`` objects are behind.

        Raises `ProtocolError` on bytes that are no msgpack, or nested beyond `MAX_DEPTH`.
        """
        skip, tell, marks, stride = self._unpacker.skip, self._unpacker.tell, self.marks, self.stride
        done = self.count
        numbers = counting(done) if self.limit is None else range(done, self.limit)
        try:
            for done in numbers:
                if not done % stride and len(marks) <= done // stride:
                    marks.append(tell())
                skip()
        except msgpack.OutOfData:
            self.count = done
            return False
        except msgpack.StackError:
            raise ProtocolError(f"nested deeper than {MAX_DEPTH} levels") from None
        except (msgpack.FormatError, ValueError):
            raise ProtocolError("bytes that are no msgpack") from None
        self.count = self.limit or 0
        return True


@dataclass(frozen=True, slots=True)
class Entries:
    """The ``count`` entries in ``data[start:stop]``; ``marks`` holds every sixteenth's offset behind ``start``."""

    data: bytes | bytearray
    start: int
    stop: int
    count: int
    marks: Sequence[int]

    def around(self, offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The (start, stop) of each entry that holds one of the ascending ``offsets``, each entry once, in order."""
        behind = self.start
        for offset in offsets:
            if offset >= behind:
                start, behind = self._around(offset)
                yield start, behind

    def _around(self, offset: int) -> tuple[int, int]:
        unpacker, first, _ = self._behind_mark(bisect_right(self.marks, offset - self.start) - 1)
        skip, tell = unpacker.skip, unpacker.tell
        start = stop = first
        while stop <= offset:
            start = stop
            skip()
            stop = first + tell()
        return start, stop

    def every(self) -> Iterator[tuple[int, int]]:
        """The (start, stop) of every entry, in order."""
        for mark in range(len(self.marks)):
            yield from self._between_marks(mark)

    def last_stride(self) -> Iterator[tuple[int, int]]:
        """The (start, stop) of each entry behind the last mark; raises `msgpack.OutOfData` if the last one is cut."""
        if self.marks:
            yield from self._between_marks(len(self.marks) - 1)

    def _between_marks(self, mark: int) -> Iterator[tuple[int, int]]:
        unpacker, first, end = self._behind_mark(mark)
        start = first
        while start < end:
            unpacker.skip()
            stop = first + unpacker.tell()
            yield start, stop
            start = stop

    def _behind_mark(self, mark: int) -> tuple[msgpack.Unpacker, int, int]:
        """An unpacker that holds the entries from one mark to the next, and where they begin and end."""
        first = self.start + self.marks[mark]
        end = self.start + self.marks[mark + 1] if mark + 1 < len(self.marks) else self.stop
        unpacker = msgpack.Unpacker(read_size=READ_SIZE, max_buffer_size=max(end - first, READ_SIZE))
        unpacker.feed(memoryview(self.data)[first:end])
        return unpacker, first, end


def walk(data: bytes | bytearray, start: int, stop: int) -> Entries:
    """The entries that fill ``data[start:stop]``, as in a PackedForward blob.

    Raises `ProtocolError` where the bytes are no msgpack, end inside an object, or are visibly no entries (only the
    marked ones are looked at here: an entry that is decoded later is checked in full then).
    """
    steps = Walk(None, stop - start)
    view = memoryview(data)
    for at in range(start, stop, SLICE):
        steps.feed(view[at : min(at + SLICE, stop)])
        steps.advance()
    marks = steps.marks
    if marks and marks[-1] == stop - start:
        marks.pop()
    entries = Entries(data, start, stop, steps.count, marks)
    if any(data[start + mark] not in _PAIR_HEADERS for mark in marks):
        raise ProtocolError("something among the entries is no [time, record]")
    try:
        # The unpacker's own position counts the half of an object that it has seen, so the tail is walked once more.
        for _ in entries.last_stride():
            pass
    except msgpack.OutOfData:
        raise ProtocolError("the entries end in the middle of one") from None
    return entries
