"""The time of an entry, in every form that senders use.

Source: the Forward protocol, version 1.5 (EventTime is ext type 0: seconds and nanoseconds, both unsigned 32-bit
big-endian), and what clients really send: seconds as any integer, or as a float.
"""

from __future__ import annotations

import struct

import msgpack

from firstseen.packing import Buffer, Head, Kind, read_head
from firstseen.record.instant import FIRST_MS, LAST_MS

GROUP_START = 0xFFFFFFFF
GROUP_END = 0xFFFFFFFE
"""Seconds that mark the start and the end of a Fluent Bit log group instead of a time; no record belongs to them."""

_EVENT_TIME = struct.Struct(">II")


def event_time(seconds: int, nanoseconds: int) -> bytes:
    """An EventTime as fixext8, the form every peer reads."""
    return b"\xd7\x00" + _EVENT_TIME.pack(seconds, nanoseconds)


def read_time_ms(data: Buffer, at: int, end: int) -> int | None:
    """Milliseconds since 1970 of the time at ``at``; None where there is no time, or none of the years 1 to 9999."""
    head = read_head(data, at, end)
    if head is None:
        return None
    if head.kind is Kind.EXT:
        pair = _pair(data, head, end)
        return None if pair is None else pair[0] * 1000 + pair[1] // 1_000_000
    if head.kind is Kind.INT or head.kind is Kind.FLOAT:
        value = msgpack.unpackb(data[at : head.payload + head.size])
        try:
            ms = value * 1000 if isinstance(value, int) else round(value * 1_000_000) // 1000  # 0.29 s is not 289 ms
        except (OverflowError, ValueError):  # infinity, not a number
            return None
        return ms if FIRST_MS <= ms <= LAST_MS else None
    return None


def is_group_marker(data: Buffer, at: int, end: int) -> bool:
    """Whether the time at ``at`` brackets a group instead of dating a record."""
    head = read_head(data, at, end)
    pair = _pair(data, head, end) if head is not None and head.kind is Kind.EXT else None
    return pair in ((GROUP_START, 0), (GROUP_END, 0))


def _pair(data: Buffer, head: Head, end: int) -> tuple[int, int] | None:
    if head.size != 8 or head.payload + 8 > end or data[head.payload - 1] != 0:
        return None
    seconds, nanoseconds = _EVENT_TIME.unpack_from(data, head.payload)
    return seconds, nanoseconds
