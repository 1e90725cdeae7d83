"""A compressed body inflates to what zlib or libzstd make of it as a stream, or raises ProtocolError.

Never is more inflated than the limit and one piece, and what the other reader takes within our limits is not refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import zstandard

from firstseen.errors import ProtocolError
from firstseen.forward import compression
from firstseen.forward.compression import MAX_WINDOW, PIECE, Algorithm, inflate

ALLOWED = (ProtocolError,)

LIMIT = 1 << 20
STEP = 64
"""Compressed bytes that the other reader is given at a time."""

OURS = ("window of", "bomb", "more than")
"""Words of the refusals that are no fault of the body."""


def test_one_input(data: bytes) -> None:
    for algorithm in Algorithm:
        if data[:2] == b"\x1f\x8b" and algorithm is Algorithm.ZSTD:
            continue
        expected, _ = (gunzip if algorithm is Algorithm.GZIP else unzstd)(data, LIMIT)
        found, reason = _inflated(algorithm, data)
        assert found is None or found == expected
        assert found is not None or expected is None or any(words in reason for words in OURS), reason


def _inflated(algorithm: Algorithm, data: bytes) -> tuple[bytes | None, str]:
    """The content, or why there is none."""
    with _watched():
        try:
            return bytes(inflate(algorithm, data, LIMIT).data), ""
        except ALLOWED as error:
            return None, error.reason


@contextmanager
def _watched() -> Iterator[None]:
    """Asserts that no piece is taken that is larger than one piece may be."""
    take = compression._Content.take

    def watched(content: compression._Content, piece: bytes, at: int) -> None:
        assert len(piece) <= PIECE + compression._LARGEST_BLOCK
        assert len(content.data) <= LIMIT
        take(content, piece, at)

    with patch.object(compression._Content, "take", watched):
        yield


def gunzip(data: bytes, limit: int) -> tuple[bytes | None, int]:
    """The content, None where it is broken, cut or more than ``limit``; and the number of members."""
    plain, members = b"", 0
    while data:
        inflater = zlib.decompressobj(31)
        try:
            plain += inflater.decompress(data, limit + 1)
        except zlib.error:
            return None, members
        if not inflater.eof or len(plain) > limit:
            return None, members
        members += 1
        data = inflater.unused_data
    return plain, members


def unzstd(data: bytes, limit: int) -> tuple[bytes | None, int]:
    """The same of zstd frames."""
    plain, frames = bytearray(), 0
    while data:
        frame = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
        at = 0
        while not frame.eof:
            if at >= len(data) or len(plain) > limit:
                return None, frames
            try:
                plain += frame.decompress(data[at : at + STEP])
            except zstandard.ZstdError:
                return None, frames
            at += STEP
        if len(plain) > limit:
            return None, frames
        frames += 1
        data = frame.unused_data + data[at:]
    return bytes(plain), frames
