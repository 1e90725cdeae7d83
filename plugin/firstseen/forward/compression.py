"""Compressed entries: the whole content, and whether every peer can read the shape it came in.

A compressed body is one gzip member or zstd frame, or many, one behind the other (Fluentd's buffers append them).
Checksums are checked, empty members are members, and nothing inflates beyond the limit: memory grows with what has
been inflated, never with what a header announces. Sources: RFC 1952 (gzip), RFC 8878 (zstd).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import cast

import zstandard
from isal import isal_zlib
from msgspec import Struct

from firstseen.errors import ProtocolError
from firstseen.packing import Buffer
from firstseen.steps import Steps, finished


class Algorithm(enum.Enum):
    """What entries may be compressed with, by the name in the option ``compressed``."""

    GZIP = "gzip"
    ZSTD = "zstd"


GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

SKIPPABLE_MAGICS = frozenset(bytes((first, 0x2A, 0x4D, 0x18)) for first in range(0x50, 0x60))
"""How zstd frames begin that hold no content (RFC 8878, section 3.1.2)."""

MAX_WINDOW = 8 << 20
"""Largest zstd window that is read: the memory that RFC 8878 (section 3.1.1.1.2) recommends to be ready for."""

HARMLESS = 16 << 20
"""Plain bytes up to which no ratio is suspicious: so much is inflated and walked in no time."""

MAX_RATIO = 400
"""Plain bytes to one compressed byte, beyond `HARMLESS`, that are no longer taken for a log.

Both formats reach 1:1000 and zstd much more. Without this, 60 KB that cost a sender nothing would cost 64 MiB and
seconds of walking here; with it, a sender pays at least 160 KB for that. Logs come to 1:10, and rarely to 1:100.
"""

MAX_TRAVELLING = {Algorithm.GZIP: 6_000_000, Algorithm.ZSTD: 1_000_000}
"""Plain bytes up to which a default Fluent Bit reads one member or frame: it drops what inflates to more, and acks."""

MANY_PARTS = 1 << 16
"""Gzip members or zstd blocks that a body may have however small they are: each costs microseconds, empty or not."""

SMALLEST_PART = 64
"""Compressed bytes of a part on average, where there are more than `MANY_PARTS`; most records alone take more."""

PIECE = 1 << 17
"""Bytes inflated at a time: a zstd block at its largest. Larger pieces cost more: each is mapped anew."""

WINDOW = 1 << 14
"""Compressed bytes shown to gzip's inflater at a time: it copies what it leaves over, once for each of many members."""

_GZIP_WBITS = 31
"""zlib's window bits for a gzip header and trailer."""

_RESERVED = 0xE0
"""Bits of a gzip header's flags that RFC 1952 has decompressors refuse: isal reads on, and peers would not."""

_GZIP_LEVEL = isal_zlib.ISAL_BEST_SPEED + 1

_ZSTD_LEVEL = 1

# The library's own types say that its exception is an instance.
_Broken = cast(type[Exception], isal_zlib.error)


class Plain(Struct, frozen=True):
    """Inflated entries, and how many gzip members or zstd frames they came in (skippable frames count)."""

    data: bytearray
    members: int


def algorithm(named: str | None, blob: Buffer) -> Algorithm | None:
    """What ``blob`` is compressed with; None for plain entries.

    Its first bytes tell, as they do at Fluent Bit; where they do not, the name that the option gives is believed. No
    mistake is possible: plain entries begin with 92, dc or dd. Raises `ProtocolError` for a name that nobody knows.
    """
    magic = bytes(blob[:4])
    if magic.startswith(GZIP_MAGIC):
        return Algorithm.GZIP
    if magic == ZSTD_MAGIC or magic in SKIPPABLE_MAGICS:
        return Algorithm.ZSTD
    if named is None:
        return None
    try:
        return Algorithm(named)
    except ValueError:
        raise ProtocolError(f"entries compressed with {named!r}, which is neither gzip nor zstd") from None


def inflate(algorithm: Algorithm, body: Buffer, limit: int) -> Plain:
    """The content of ``body``.

    Raises `ProtocolError` if it is broken, cut short, inflates beyond ``limit`` bytes, or is a bomb (`MAX_RATIO`).
    """
    return finished(inflating(algorithm, body, limit))


def inflating(algorithm: Algorithm, body: Buffer, limit: int) -> Steps[Plain]:
    """The same in steps of about `PIECE` plain bytes or less."""
    content = _Content(algorithm, limit)
    if algorithm is Algorithm.GZIP:
        members = yield from _inflate_gzip(memoryview(body), content)
    else:
        members = yield from _inflate_zstd(memoryview(body), content)
    return Plain(content.data, members)


def deflate(algorithm: Algorithm, pieces: Iterable[Buffer]) -> bytes:
    """One gzip member or one zstd frame with a checksum, the only shapes that every peer reads whole."""
    parts = list(pieces)
    deflater: isal_zlib.Compress | zstandard.ZstdCompressionObj
    if algorithm is Algorithm.GZIP:
        deflater = isal_zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WBITS)
    else:
        settings = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
        deflater = settings.compressobj(size=sum(map(len, parts)))
    return b"".join([*(deflater.compress(part) for part in parts), deflater.flush()])


def travels(algorithm: Algorithm, plain_size: int, members: int) -> bool:
    """Whether a default Fluent Bit reads so many plain bytes whole when they come in so many members or frames.

    It stops at an empty member and at a skippable frame, so that only one is safe.
    """
    return members == 1 and plain_size <= MAX_TRAVELLING[algorithm]


class _Content:
    """What has been inflated so far. One array grows: pieces that are joined at the end take twice the memory."""

    __slots__ = ("_algorithm", "data", "limit", "parts")

    def __init__(self, algorithm: Algorithm, limit: int) -> None:
        self._algorithm = algorithm
        self.limit = limit
        self.data = bytearray()
        self.parts = 0

    def begin(self, at: int) -> None:
        """A part begins behind ``at`` compressed bytes."""
        self.parts += 1
        if self.parts > MANY_PARTS and self.parts * SMALLEST_PART > at:
            raise ProtocolError(f"a {self._algorithm.value} bomb: {at} bytes in {self.parts - 1} parts and more")

    def take(self, piece: bytes, at: int) -> None:
        """Add ``piece``; ``at`` compressed bytes have made all that there is then."""
        size = len(self.data) + len(piece)
        if size > self.limit:
            name = self._algorithm.value
            raise ProtocolError(f"{name} that inflates to more than {self.limit} bytes (input.max_decompressed)")
        if size > HARMLESS and size > MAX_RATIO * at:
            raise ProtocolError(f"a {self._algorithm.value} bomb: {at} bytes inflate to {size} and more")
        self.data += piece


def _inflate_gzip(view: memoryview, content: _Content) -> Steps[int]:
    """Fills ``content``; comes to the number of members."""
    at = 0
    while at < len(view):
        inflater = isal_zlib.decompressobj(_GZIP_WBITS)
        start = at
        content.begin(at)
        if at + 3 < len(view) and view[at + 3] & _RESERVED:
            raise _gzip_fault(view, start, "broken gzip: reserved bits are set in its header")
        while not inflater.eof:
            window = view[at : at + WINDOW]
            room = min(PIECE, content.limit - len(content.data) + 1)  # one byte too many shows that there are more
            try:
                piece = inflater.decompress(window, room)
            except _Broken as error:
                raise _gzip_fault(view, start, f"broken gzip: {error}") from None
            at += len(window) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
            if piece:
                content.take(piece, at)
            elif not window and not inflater.eof:
                raise _gzip_fault(view, start, "gzip that is cut short")
            yield
    return content.parts


def _gzip_fault(view: memoryview, start: int, reason: str) -> ProtocolError:
    """``reason``, unless what begins at ``start`` is no gzip at all."""
    if GZIP_MAGIC.startswith(bytes(view[start : start + 2])):
        return ProtocolError(reason)
    return ProtocolError(f"broken gzip: no member begins at byte {start}")


def _inflate_zstd(view: memoryview, content: _Content) -> Steps[int]:
    """Fills ``content``; comes to the number of frames."""
    inflater = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    at = frames = 0
    while at < len(view):
        frames += 1
        magic = bytes(view[at : at + 4])
        if magic in SKIPPABLE_MAGICS:
            content.begin(at)
            at = _behind_skippable(view, at)
            continue
        if magic != ZSTD_MAGIC:
            raise _no_frame(magic, at)
        frame = inflater.decompressobj()
        for stop in _stops(view, at, content):
            try:
                piece = frame.decompress(view[at:stop])
            except zstandard.ZstdError as error:
                reason = str(error).removeprefix("zstd decompressor error: ")
                raise ProtocolError(f"broken zstd: {reason}") from None
            at = stop
            content.take(piece, at)
            yield
    return frames


def _no_frame(magic: bytes, at: int) -> ProtocolError:
    if any(known.startswith(magic) for known in (ZSTD_MAGIC, *SKIPPABLE_MAGICS)):
        return _cut_short()
    return ProtocolError(f"broken zstd: no frame begins at byte {at}")


def _cut_short() -> ProtocolError:
    return ProtocolError("zstd that is cut short")


def _behind_skippable(view: memoryview, at: int) -> int:
    stop = at + 8 + int.from_bytes(view[at + 4 : at + 8], "little")
    if stop > len(view):
        raise _cut_short()
    return stop


_RAW, _RLE = 0, 1
"""The types of blocks whose header tells their plain size."""

_LARGEST_BLOCK = 1 << 17
"""Plain bytes of a zstd block at most."""


def _stops(view: memoryview, at: int, content: _Content) -> Iterator[int]:
    """The offsets up to which to inflate the frame at ``at``, one after the other; the last one is where it ends.

    The library inflates all that it is given, and a block of four bytes may hold 128 KiB. So the blocks' headers are
    walked here, and it is given about `PIECE` plain bytes at a time, or less.
    """
    stop, trailer = _behind_header(view, at)
    plain = 0
    last = False
    while not last:
        if stop + 3 > len(view):
            raise _cut_short()
        content.begin(stop)
        header = int.from_bytes(view[stop : stop + 3], "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        stop += 3 + (1 if kind == _RLE else size)
        plain += size if kind in (_RAW, _RLE) else _LARGEST_BLOCK
        if plain >= PIECE and not last and stop <= len(view):
            yield stop
            plain = 0
    if stop + trailer > len(view):
        raise _cut_short()
    yield stop + trailer


def _behind_header(view: memoryview, at: int) -> tuple[int, int]:
    """Where the first block of the frame at ``at`` begins, and how many bytes of checksum follow the last one."""
    if at + 6 > len(view):
        raise _cut_short()
    descriptor = view[at + 4]
    single = bool(descriptor & 0x20)
    at_size = at + 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    stop = at_size + (int(single), 2, 4, 8)[descriptor >> 6]
    if stop > len(view):
        raise _cut_short()
    if single:  # the window is as large as the content, and sizes of two bytes count from 256
        window = int.from_bytes(view[at_size:stop], "little") + 256 * (stop - at_size == 2)
    else:
        exponent, mantissa = divmod(view[at + 5], 8)
        window = (8 + mantissa) << (7 + exponent)
    if window > MAX_WINDOW:
        raise ProtocolError(f"zstd with a window of {window} bytes, of which at most {MAX_WINDOW} are read")
    return stop, 4 * bool(descriptor & 4)
