"""Where the parts of one entry lie, and what its record holds once somebody needs to know.

An entry is ``[time, record]`` or ``[[time, metadata], record]``; only entries that a rule may match get here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack
import msgspec

from firstseen.errors import RecordError
from firstseen.forward.entries import behind, head_at
from firstseen.forward.groups import MARKS, is_group_marker
from firstseen.forward.times import PLAIN_OPENING
from firstseen.packing import MAPS, Buffer, Head, Kind
from firstseen.record.eventtime import read_time_ms

MAX_DECODED_DEPTH = 200
"""Levels of nesting up to which the careful decoder follows a record; what lies deeper reads as nothing."""


_decode = msgspec.msgpack.Decoder().decode

MAX_RECORD = 3 << 20
"""Bytes of the largest record that is looked at: of short texts it takes twenty times as much once it is decoded.

CloudTrail's events have at most 256 KiB; a whole log file may be one record, and has seldom more than this."""

MAX_CONTAINERS = 200_000
"""Maps and arrays in a record up to which it is looked at."""

SMALL_RECORD = 1 << 16
"""Bytes up to which a record cannot take much memory, whatever is in it."""

SHORT_RECORD = 1 << 14
"""Bytes up to which it cannot take much time either.

Numbers hash to what anybody can work out. A map with a chain of numbers that collide, and one more that comes again and
again, is walked along the chain each time: seconds for a hundred kilobytes, a minute for seven.
"""

MOST_NUMBERED = 1_000
"""Pairs of a map up to which its keys may be something else than texts."""


class Span(NamedTuple):
    """``data[start:stop]`` is the entry, ``data[record:stop]`` its record, ``time`` the offset of the time itself."""

    start: int
    time: int
    record: int
    stop: int


def entry_span(data: Buffer, start: int, stop: int) -> Span | None:
    """The parts of the entry ``data[start:stop]``; None where it is no ``[time, record]``, or marks a group."""
    if data[start : start + 3] == PLAIN_OPENING and data[start + 3] != MARKS and data[start + 11] in MAPS:
        return Span(start, start + 1, start + 11, stop)  # nearly always; the rest goes the long way
    outer = head_at(data, start, stop)
    if outer.kind is not Kind.ARRAY or outer.size != 2:
        return None
    time = outer.payload
    head = head_at(data, time, stop)
    if head.kind is Kind.ARRAY:
        if head.size != 2:
            return None
        time = head.payload
    if is_group_marker(data, time, stop):
        return None
    record = behind(data, outer.payload, stop)
    if head_at(data, record, stop).kind is not Kind.MAP:
        return None
    return Span(start, time, record, stop)


def message_span(data: Buffer, start: int, stop: int) -> Span:
    """The same for a Message frame, whose time and record lie in ``data[start:stop]`` without an array around them."""
    return Span(start, start, behind(data, start, stop), stop)


def entry_time_ms(data: Buffer, span: Span) -> int | None:
    """The entry's own time in milliseconds since the epoch, None where it is in no known form."""
    return read_time_ms(data, span.time, span.stop)


def decode_record(data: Buffer, span: Span) -> dict[Any, Any]:
    """The record as Python values: text with odd bytes kept by surrogateescape, and the last of duplicate keys.

    Pairs whose key cannot be one (a map, an array) are left out, and so are those without a text for a key in maps of
    more than `MOST_NUMBERED` pairs, where the record is not short. Raises `RecordError` for a record of more than
    `MAX_RECORD` bytes or `MAX_CONTAINERS` maps and arrays, and for one beyond `SMALL_RECORD` with such keys; everything
    else is decoded whatever is in it.
    """
    raw = memoryview(data)[span.record : span.stop]
    if len(raw) > MAX_RECORD:
        raise RecordError(f"a record of {len(raw)} bytes; more than {MAX_RECORD} are not looked at")
    if len(raw) <= SHORT_RECORD:
        try:
            record: dict[Any, Any] = _decode(raw)  # in half the time
        except (ValueError, RecursionError):  # text that is no UTF-8, a time that is none, a key that cannot be one
            pass
        else:
            return record
    counting = {} if len(raw) <= SMALL_RECORD else _counting_hooks()
    try:
        record = msgpack.unpackb(raw, unicode_errors="surrogateescape", strict_map_key=True, **counting)
    except (TypeError, ValueError, OverflowError):
        # A key that is no text, a timestamp that is none: msgpack gives up on the whole, so it is taken apart by hand.
        if len(raw) > SMALL_RECORD:
            reason = f"a record of {len(raw)} bytes with a key that is no text, or a time that is none"
            raise RecordError(reason) from None
        record, _ = _read_map(raw, 0, 0)
    return record


def _counting_hooks() -> dict[str, Callable[[Any], Any]]:
    """Hooks that end a decoding once it made too many containers: an empty map is one byte here and 64 in memory."""
    left = MAX_CONTAINERS

    def count(container: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise RecordError(f"a record of more than {MAX_CONTAINERS} maps and arrays is not looked at")
        return container

    return {"object_hook": count, "list_hook": count}


def _read(raw: Buffer, at: int, depth: int) -> tuple[Any, int]:
    """The value at ``at`` and the offset behind it."""
    head = head_at(raw, at, len(raw))
    if head.kind not in (Kind.MAP, Kind.ARRAY):
        return _read_leaf(raw, at, head)
    if depth >= MAX_DECODED_DEPTH:
        return None, behind(raw, at, len(raw))
    return _read_map(raw, at, depth) if head.kind is Kind.MAP else _read_array(raw, at, depth)


def _read_leaf(raw: Buffer, at: int, head: Head) -> tuple[Any, int]:
    stop = head.payload + head.size
    if head.kind is Kind.EXT:
        return None, stop
    return msgpack.unpackb(raw[at:stop], unicode_errors="surrogateescape"), stop


def _read_array(raw: Buffer, at: int, depth: int) -> tuple[list[Any], int]:
    _, count, at = head_at(raw, at, len(raw))
    values = []
    for _ in range(count):
        value, at = _read(raw, at, depth + 1)
        values.append(value)
    return values, at


def _read_map(raw: Buffer, at: int, depth: int) -> tuple[dict[Any, Any], int]:
    _, count, at = head_at(raw, at, len(raw))
    allowed = (str, bytes) if count > MOST_NUMBERED else (str, bytes, int, float, type(None))
    pairs = {}
    for _ in range(count):
        key, at = _read(raw, at, depth + 1)
        value, at = _read(raw, at, depth + 1)
        if isinstance(key, allowed):
            pairs[key] = value
    return pairs, at
