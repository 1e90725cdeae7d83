"""The time of an entry, in every form that senders use.

Source: the Forward protocol, version 1.5 (EventTime is ext type 0: seconds and nanoseconds, both unsigned 32-bit
big-endian), and what clients really send: seconds as any integer, or as a float.
"""

from __future__ import annotations

from struct import Struct

import msgpack

from firstseen.forward.times import read_event_time
from firstseen.packing import Buffer, Kind, read_head
from firstseen.record.instant import FIRST_MS, LAST_MS

_USUAL = b"\xd7\x00"
"""How an EventTime begins as fixext8."""

_PAIR = Struct(">II")


def read_time_ms(data: Buffer, at: int, end: int) -> int | None:
    """Milliseconds since 1970 of the time at ``at``; None where there is no time, or none of the years 1 to 9999."""
    if data[at : at + 2] == _USUAL and at + 10 <= end:
        seconds, nanoseconds = _PAIR.unpack_from(data, at + 2)  # nearly always; the rest goes the long way
        return int(seconds * 1000 + nanoseconds // 1_000_000)
    head = read_head(data, at, end)
    if head is None:
        return None
    if head.kind is Kind.EXT:
        pair = read_event_time(data, head, end)
        return None if pair is None else pair[0] * 1000 + pair[1] // 1_000_000
    if head.kind is Kind.INT or head.kind is Kind.FLOAT:
        value = msgpack.unpackb(data[at : head.payload + head.size])
        try:
            ms = value * 1000 if isinstance(value, int) else round(value * 1_000_000) // 1000  # 0.29 s is not 289 ms
        except (OverflowError, ValueError):  # infinity, not a number
            return None
        return ms if FIRST_MS <= ms <= LAST_MS else None
    return None
