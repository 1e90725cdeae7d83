"""Fluent Bit's log groups: two marker entries among the others, with the records of one group between them.

A marker is an entry whose time is no time: 0xFFFFFFFF seconds start a group, whose attributes are that entry's metadata
and record, and 0xFFFFFFFE end it; the nanoseconds are 0. A start inside of a group ends it, an end outside of one means
nothing. Source: Fluent Bit's encoder and decoder of log events.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from firstseen.forward.entries import Entries
from firstseen.forward.times import event_time, read_event_time
from firstseen.packing import Buffer, Kind, read_head

GROUP_START = 0xFFFFFFFF
GROUP_END = 0xFFFFFFFE
"""Seconds that mark the start and the end of a group instead of a time; no record belongs to them."""

MARKS = 0xFF
"""The first byte of both, and of the seconds of times that are still a century away."""

END_MARKER = b"\x92\x92" + event_time(GROUP_END, 0) + 2 * b"\xdf\x00\x00\x00\x00"
"""An end marker of our own, as Fluent Bit writes it."""

_START_TIME = event_time(GROUP_START, 0)[1:]
"""The type and the payload of a start marker's time, which are the same in every width of ext."""

_MARKER_TIMES = re.compile(rb"\x00\xff\xff\xff(?=[\xfe\xff]\x00\x00\x00\x00)")
"""The same of both markers, found also where one hit overlaps another."""


class Group(Struct, frozen=True):
    """One group; offsets are into the entries' data.

    ``opening`` is the (start, stop) of the start marker; the records lie from there to ``stop``. ``closing`` is the
    (start, stop) of the end marker, None where the next group's start ends this one, or the end of the chunk.
    """

    opening: tuple[int, int]
    stop: int
    closing: tuple[int, int] | None

    @property
    def brackets(self) -> int:
        """Bytes that it takes to write the start marker again and an end marker behind."""
        return self.opening[1] - self.opening[0] + len(END_MARKER)


def is_group_marker(data: Buffer, at: int, end: int) -> bool:
    """Whether the time at ``at`` brackets a group instead of dating a record."""
    return _marked(data, at, end) is not None


def groups(entries: Entries) -> Sequence[Group]:
    """The groups among ``entries``, in order; where there are none, as nearly always, a search says so quickly.

    Not for Message frames, whose time and record are no entry.
    """
    first = entries.data.find(_START_TIME, entries.start, entries.stop)
    if first < 0:
        return ()
    found: list[Group] = []
    opening: tuple[int, int] | None = None
    for start, stop, mark in _markers(entries, first):
        if opening is not None:
            found.append(Group(opening, start, (start, stop) if mark == GROUP_END else None))
        opening = (start, stop) if mark == GROUP_START else None
    if opening is not None:
        found.append(Group(opening, entries.stop, None))
    return found


def count_markers(entries: Entries) -> int:
    """How many of ``entries`` are markers; ends outside of a group, which mean nothing, are no records either."""
    return sum(1 for _ in _markers(entries, entries.start))


def _markers(entries: Entries, first: int) -> Iterator[tuple[int, int, int]]:
    """The (start, stop, seconds) of each marker behind the offset ``first``."""
    # The bytes of a marker may stand inside of a record: only the time of the entry around them counts.
    hits = array("Q", (hit.start() for hit in _MARKER_TIMES.finditer(entries.data, first, entries.stop)))
    for start, stop in entries.around(hits):
        mark = _entry_marked(entries.data, start, stop)
        if mark is not None:
            yield start, stop, mark


def _entry_marked(data: Buffer, start: int, stop: int) -> int | None:
    """`GROUP_START` or `GROUP_END` if the entry ``data[start:stop]`` is such a marker."""
    at = start
    for _ in range(2):
        head = read_head(data, at, stop)
        if head is None or head.kind is not Kind.ARRAY:
            break
        if head.size != 2:
            return None
        at = head.payload
    return _marked(data, at, stop) if at > start else None


def _marked(data: Buffer, at: int, end: int) -> int | None:
    """What the time at ``at`` marks."""
    head = read_head(data, at, end)
    pair = None if head is None else read_event_time(data, head, end)
    return pair[0] if pair in ((GROUP_START, 0), (GROUP_END, 0)) else None


Kept: TypeAlias = tuple[int, int, Buffer]
"""The start and stop of an entry, or of a run of entries without a gap, and the bytes to write for it."""


class Bracketed(Struct, frozen=True):
    """Entries to write one behind the other; ``added`` of them are markers that were not among those kept."""

    pieces: Sequence[Buffer]
    added: int


def bracketed(data: bytes | bytearray, found: Sequence[Group], kept: Iterable[Kept]) -> Bracketed:
    """What to write for the ``kept`` entries of a chunk so that each record is in the group that it was in.

    ``data`` is the entries' and ``found`` its `groups`; ``kept`` ascends. Kept markers are written like any entry and
    do their work; where they do not, the start marker is written again or an `END_MARKER` is, once for all records of a
    group that follow each other. A group never stays open at the end. The bytes to write for a run must hold the
    markers of the run itself.
    """
    view = memoryview(data)
    pieces: list[Buffer] = []
    added = 0
    current: Group | None = None  # the group that is open behind the pieces so far
    for start, stop, content in kept:
        wanted = group_at(found, start)
        if wanted is not current and not (wanted and start == wanted.stop):  # what begins at a stop is itself a marker
            around = ([END_MARKER] if current else []) + ([view[slice(*wanted.opening)]] if wanted else [])
            pieces += around
            added += len(around)
        pieces.append(content)
        current = group_at(found, stop)
    if current:
        pieces.append(END_MARKER)
        added += 1
    return Bracketed(pieces, added)


def group_at(found: Sequence[Group], offset: int) -> Group | None:
    """The group that is open in front of the entry at ``offset``, which may be the marker that ends it."""
    number = bisect_right(found, offset, key=lambda group: group.opening[1]) - 1
    return found[number] if number >= 0 and offset <= found[number].stop else None
