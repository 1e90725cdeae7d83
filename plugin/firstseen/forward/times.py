"""EventTime, the ext type 0 of the Forward protocol: seconds and nanoseconds since 1970, each unsigned, in 32 bits.

Source: the Forward protocol, version 1. Senders write it as fixext8; every width of ext is read.
"""

from __future__ import annotations

import struct

from firstseen.packing import Buffer, Head, Kind

LAST_SECOND = 0xFFFFFFFD
"""The last second that is a time; the two behind it mark Fluent Bit's log groups."""

PLAIN_OPENING = b"\x92\xd7\x00"
"""How nearly all entries begin: an array of two, with an EventTime as fixext8."""

_PAIR = struct.Struct(">II")
_EVENT_TIME = 0
_MICROSECONDS = 1_000_000


def event_time(seconds: int, nanoseconds: int) -> bytes:
    """An EventTime as fixext8, the form every peer reads."""
    return b"\xd7\x00" + _PAIR.pack(seconds, nanoseconds)


def read_event_time(data: Buffer, head: Head, end: int) -> tuple[int, int] | None:
    """Seconds and nanoseconds of the EventTime whose header is ``head``; None where it is something else, or cut."""
    if head.kind is not Kind.EXT or head.size != 8 or head.payload + 8 > end:
        return None
    if data[head.payload - 1] != _EVENT_TIME:
        return None
    seconds, nanoseconds = _PAIR.unpack_from(data, head.payload)
    return seconds, nanoseconds


def event_time_of(seconds: float) -> bytes:
    """The EventTime nearest to a float of seconds, in whole microseconds: a float holds today's time no finer.

    What lies outside becomes the first or the last time there is; what is no number becomes the first.
    """
    if not seconds > 0:
        return event_time(0, 0)
    if seconds >= LAST_SECOND + 1:
        return event_time(LAST_SECOND, 999_999_000)
    microseconds = min(round(seconds * _MICROSECONDS), (LAST_SECOND + 1) * _MICROSECONDS - 1)
    whole, rest = divmod(microseconds, _MICROSECONDS)
    return event_time(whole, rest * 1000)
