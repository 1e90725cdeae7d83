"""Compressed entries: the whole content, and whether every peer can read the shape it came in.

A compressed body is one gzip member or many, one behind the other (Fluentd's buffers append members). Checksums are
checked, empty members are members, and nothing inflates beyond the limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from isal import isal_zlib

from firstseen.errors import ProtocolError
from firstseen.packing import Buffer

_GZIP = 31
"""zlib's window bits for a gzip header and trailer."""

_LEVEL = isal_zlib.ISAL_BEST_SPEED + 1

# The library's own types say that its exception is an instance.
_Broken = cast(type[Exception], isal_zlib.error)

PIECE = 1 << 20
"""Bytes inflated at a time."""

WINDOW = 1 << 14
"""Compressed bytes shown to the inflater at a time: it copies what it leaves over, once for each of many members."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Inflated entries, and how many gzip members they came in."""

    data: bytes
    members: int


def gunzip(body: Buffer, limit: int) -> Plain:
    """The content of ``body``; raises `ProtocolError` if it is broken, cut short or inflates beyond ``limit`` bytes."""
    pieces: list[bytes] = []
    view = memoryview(body)
    at = size = members = 0
    while at < len(view):
        inflater = isal_zlib.decompressobj(_GZIP)
        members += 1
        while not inflater.eof:
            window = view[at : at + WINDOW]
            try:
                piece = inflater.decompress(window, min(PIECE, limit - size + 1))
            except _Broken as error:
                raise ProtocolError(f"broken gzip: {error}") from None
            at += len(window) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
            size += len(piece)
            if size > limit:
                raise ProtocolError(f"gzip that inflates to more than {limit} bytes (input.max_decompressed)")
            if piece:
                pieces.append(piece)
            elif not window and not inflater.eof:
                raise ProtocolError("gzip that is cut short")
    return Plain(b"".join(pieces), members)


def gzip(pieces: Iterable[Buffer]) -> bytes:
    """One gzip member, the only shape that every peer reads whole."""
    deflater = isal_zlib.compressobj(_LEVEL, wbits=_GZIP)
    return b"".join([*(deflater.compress(piece) for piece in pieces), deflater.flush()])
