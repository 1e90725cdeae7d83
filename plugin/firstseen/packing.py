"""msgpack headers, read and written by hand: what is needed to cut and patch messages without decoding them.

Source: the msgpack format specification. Every legal width of every header is read; what is written is minimal unless
the caller asks to keep a width. Nothing here looks behind a header; `firstseen.forward.entries` walks whole objects.
"""

from __future__ import annotations

import enum
from typing import NamedTuple, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

NIL = 0xC0
"""The one byte of a nil."""

MAPS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
"""First bytes that a map may have."""


class Kind(enum.IntEnum):
    """The families of msgpack objects."""

    NEVER = 0
    NIL = 1
    BOOL = 2
    INT = 3
    FLOAT = 4
    STR = 5
    BIN = 6
    ARRAY = 7
    MAP = 8
    EXT = 9

    @property
    def words(self) -> str:
        """What to call it where it should not be."""
        return "the byte c1" if self is Kind.NEVER else self.name.lower()


class Head(NamedTuple):
    """A header: ``size`` is the payload's bytes (str, bin, ext, numbers) or the items (array) or pairs (map).

    ``payload`` is the offset just behind the header; for ext it is behind the type byte.
    """

    kind: Kind
    size: int
    payload: int


def _table() -> tuple[tuple[Kind, int, int], ...]:
    """Per first byte: the family, how many bytes of length follow it, and the size where the byte itself says it."""
    rows: list[tuple[Kind, int, int]] = [(Kind.INT, 0, 0)] * 256
    for byte in range(256):
        if 0x80 <= byte <= 0x8F:
            rows[byte] = (Kind.MAP, 0, byte & 0x0F)
        elif 0x90 <= byte <= 0x9F:
            rows[byte] = (Kind.ARRAY, 0, byte & 0x0F)
        elif 0xA0 <= byte <= 0xBF:
            rows[byte] = (Kind.STR, 0, byte & 0x1F)
    rows[NIL] = (Kind.NIL, 0, 0)
    rows[0xC1] = (Kind.NEVER, 0, 0)
    rows[0xC2] = rows[0xC3] = (Kind.BOOL, 0, 0)
    for first, kind in ((0xC4, Kind.BIN), (0xC7, Kind.EXT), (0xD9, Kind.STR)):
        for power in range(3):
            rows[first + power] = (kind, 1 << power, 0)
    rows[0xCA], rows[0xCB] = (Kind.FLOAT, 0, 4), (Kind.FLOAT, 0, 8)
    for power in range(4):
        rows[0xCC + power] = rows[0xD0 + power] = (Kind.INT, 0, 1 << power)
    for power in range(5):
        rows[0xD4 + power] = (Kind.EXT, 0, 1 << power)
    rows[0xDC], rows[0xDD] = (Kind.ARRAY, 2, 0), (Kind.ARRAY, 4, 0)
    rows[0xDE], rows[0xDF] = (Kind.MAP, 2, 0), (Kind.MAP, 4, 0)
    return tuple(rows)


_HEADS = _table()


def read_head(data: Buffer, at: int, end: int) -> Head | None:
    """The header that starts at ``at``, or None where ``data`` ends (at ``end``) before the header does."""
    if at >= end:
        return None
    kind, width, size = _HEADS[data[at]]
    payload = at + 1 + width + (kind is Kind.EXT)
    if payload > end:
        return None
    if width:
        size = int.from_bytes(data[at + 1 : at + 1 + width], "big")
    return Head(kind, size, payload)


def array_header(count: int) -> bytes:
    """The minimal header of an array of ``count`` items."""
    return _container(count, 0x90, 0xDC)


def map_header(count: int) -> bytes:
    """The minimal header of a map of ``count`` pairs."""
    return _container(count, 0x80, 0xDE)


def _container(count: int, fix: int, wide: int) -> bytes:
    if count < 16:
        return bytes((fix | count,))
    if count < 1 << 16:
        return bytes((wide,)) + count.to_bytes(2, "big")
    return bytes((wide + 1,)) + count.to_bytes(4, "big")


def bin_header(size: int) -> bytes:
    """The minimal header of a bin of ``size`` bytes."""
    if size < 1 << 8:
        return bytes((0xC4, size))
    if size < 1 << 16:
        return b"\xc5" + size.to_bytes(2, "big")
    return b"\xc6" + size.to_bytes(4, "big")


def str_header(size: int) -> bytes:
    """The minimal header of a str of ``size`` bytes."""
    if size < 32:
        return bytes((0xA0 | size,))
    if size < 1 << 8:
        return bytes((0xD9, size))
    if size < 1 << 16:
        return b"\xda" + size.to_bytes(2, "big")
    return b"\xdb" + size.to_bytes(4, "big")


def resized(header: Buffer, size: int) -> bytes:
    """``header`` (of an array, map, str or bin) with another size, in its own width while the size fits.

    Kept widths keep what a sender chose: Fluent Bit writes map32 even for no pairs at all.
    """
    kind, width, _ = _HEADS[header[0]]
    if width and size < 1 << (8 * width):
        return bytes(header[:1]) + size.to_bytes(width, "big")
    return _MINIMAL[kind](size)


_MINIMAL = {Kind.ARRAY: array_header, Kind.MAP: map_header, Kind.STR: str_header, Kind.BIN: bin_header}
