"""What one Forward frame says: its mode, its tag, where its entries lie, and its options.

Source: the Forward protocol, versions 1 and 1.5. A frame is ``[tag, entries, option?]`` (Forward), ``[tag, blob,
option?]`` (PackedForward, compressed or not) or ``[tag, time, record, option?]`` (Message); the type of the second
element tells which. Offsets are into ``data``; nothing is copied out of it but the tag and the options.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence

import msgpack
from msgspec import Struct

from firstseen.errors import ProtocolError
from firstseen.packing import Buffer, Head, Kind, read_head

MAX_OPTIONS = 1024
"""Pairs that an option map may have; taken apart, each takes many times the two bytes that it may have come in."""

LONGEST_USUAL = 128
"""Bytes of options up to which they may be `usual_options`; nearly nobody's are as long."""

LONGEST_COMPRESSION = 64
"""Bytes of the name of a compression that are kept, to tell of it: no name that is known is as long."""

TLS_RECORD = b"\x16"
"""What a client sends first that begins with TLS."""

IS_TLS = "; it looks like TLS: is tls:// missing in input.listen?"


class Mode(enum.Enum):
    """The carriage modes; a compressed PackedForward frame is PACKED with ``options.compressed`` set."""

    MESSAGE = "message"
    FORWARD = "forward"
    PACKED = "packed"


MODES = {
    Kind.ARRAY: Mode.FORWARD,
    Kind.STR: Mode.PACKED,
    Kind.BIN: Mode.PACKED,
    Kind.INT: Mode.MESSAGE,
    Kind.EXT: Mode.MESSAGE,
    Kind.FLOAT: Mode.MESSAGE,
}
"""The mode by the type of the second element; any other type breaks the protocol."""


class Options(Struct, frozen=True):
    """The options that mean something to us; all others pass through unread.

    ``chunk`` is the chunk id's own msgpack bytes, header and all, so that the ack echoes it exactly. ``compressed`` is
    the compression that is named, cut where it is too long for one, None if there is none or it is "text". ``signal``
    is 0 for logs; anything else (metrics, traces, unknown) holds no records. ``id_in_doubt`` says that other readers
    may see another chunk id, or none: its key stands twice, or is a bin. ``compression_in_doubt`` says the same of
    ``compressed``, and is also set where the name is no str.
    """

    chunk: bytes | None = None
    compressed: str | None = None
    signal: int = 0
    id_in_doubt: bool = False
    compression_in_doubt: bool = False


NO_OPTIONS = Options()
"""What a frame without an option element, or with nil for one, says."""


class Chunk(Struct, frozen=True):
    """One frame, found and not decoded: ``data[start:stop]``.

    ``elements`` is the length of the frame's array and ``carrier`` the offset of its second element. ``body`` to
    ``body_stop`` are the entries' bytes: behind the carrier's header in Forward and PackedForward mode, from the time
    to the record's end in Message mode. ``option`` is where the option element begins, None without one, and
    ``option_stop`` where it ends; elements that mean nothing may follow. ``offsets`` are those of the entries, as in
    `firstseen.forward.entries.Entries`; there are none but in Forward mode, where finding the frame's end finds them.
    """

    data: bytes | bytearray
    start: int
    stop: int
    mode: Mode
    tag: str
    elements: int
    carrier: int
    body: int
    body_stop: int
    option: int | None
    option_stop: int
    options: Options
    offsets: Sequence[int]

    @property
    def size(self) -> int:
        """The frame's bytes."""
        return self.stop - self.start

    @property
    def count(self) -> int:
        """How many records it holds, as far as that is known before its entries are walked; else 0."""
        return 1 if self.mode is Mode.MESSAGE else max(len(self.offsets) - 1, 0)


def read_tag(data: Buffer, at: int, end: int) -> Head | None:
    """The header of the tag at ``at``, None where more bytes are needed; raises `ProtocolError` where it is no str."""
    head = read_head(data, at, end)
    if head is not None and head.kind is not Kind.STR:
        raise ProtocolError(f"the tag is {head.kind.words}, not str")
    return head


def read_options(data: Buffer, at: int, stop: int) -> Options:
    """The options in the option element ``data[at:stop]``.

    Nil counts as no options (old Docker clients). Keys that are no text are skipped. Raises `ProtocolError` where the
    option is neither nil nor a map, without which the sender could never be acked, or where it has too many pairs.
    """
    chunk: bytes | None = None
    compressed: str | None = None
    signal = 0
    id_in_doubt = named = compression_in_doubt = False
    for key, raw_key, value in option_pairs(data, at, stop):
        if key == "chunk":
            id_in_doubt = chunk is not None or raw_key[0] in _BIN_HEADERS
            chunk = value
        elif key == "compressed":
            compressed = _compression(value)
            compression_in_doubt = named or raw_key[0] in _BIN_HEADERS or not _is_str_or_nil(value)
            named = True
        elif key == "fluent_signal":
            signal = _signal(value)
    return Options(chunk, None if compressed == "text" else compressed, signal, id_in_doubt, compression_in_doubt)


def usual_options(data: Buffer, at: int, stop: int) -> tuple[Options, int] | None:
    """The options in the element at ``at``, and where it ends, if they are written as nearly all senders do that.

    That is a map of few bytes, whose keys are texts that differ, every one of them and every value in the shortest of
    its forms. None for any other, and where it is not all there before ``stop``: then `read_options` has to say.
    """
    raw = bytes(data[at : min(at + LONGEST_USUAL, stop)])
    unpacker = msgpack.Unpacker(max_buffer_size=LONGEST_USUAL)
    unpacker.feed(raw)
    try:
        found = unpacker.unpack()
        packed = msgpack.packb(found)
    except (msgpack.OutOfData, ValueError):
        return None
    size = unpacker.tell()
    header = size - len(packed) + 1
    if not isinstance(found, dict) or raw[:header] not in _HEADERS_OF_MAPS.get(len(found), ()):
        return None
    if raw[header:size] != packed[1:] or not all(isinstance(key, str) for key in found):
        return None
    chunk, compressed, signal = found.get("chunk", ""), found.get("compressed", ""), found.get("fluent_signal", 0)
    if type(chunk) is not str or type(compressed) is not str or type(signal) is not int:
        return None
    if len(compressed) > LONGEST_COMPRESSION // 4:  # which is to be cut, or may be: it counts in bytes
        return None
    chunk_id = msgpack.packb(chunk) if "chunk" in found else None
    named = compressed if "compressed" in found and compressed != "text" else None
    return Options(chunk_id, named, signal), at + size


def option_pairs(data: Buffer, at: int, stop: int) -> Iterator[tuple[str | None, bytes, bytes]]:
    """Each pair of an option map as (key if it is text, the key's bytes, the value's bytes); none of nil."""
    head = read_head(data, at, stop)
    if head is None or head.kind not in (Kind.MAP, Kind.NIL):
        raise ProtocolError("the option is neither a map nor nil")
    if head.kind is Kind.NIL:
        return
    if head.size > MAX_OPTIONS:
        raise ProtocolError(f"an option map has at most {MAX_OPTIONS} pairs, not {head.size}")
    raw = bytes(data[head.payload : stop])
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(raw), 1))
    unpacker.feed(raw)
    for _ in range(head.size):
        key_at = unpacker.tell()
        unpacker.skip()
        value_at = unpacker.tell()
        unpacker.skip()
        key = raw[key_at:value_at]
        yield text(key), key, raw[value_at : unpacker.tell()]


def text(raw: Buffer) -> str | None:
    """The text of a whole msgpack str or bin, odd bytes kept by surrogateescape; None for anything else."""
    head = read_head(raw, 0, len(raw))
    if head is None or head.kind not in (Kind.STR, Kind.BIN):
        return None
    return decoded(raw[head.payload : head.payload + head.size])


def decoded(raw: Buffer) -> str:
    """Bytes as text, odd ones kept by surrogateescape."""
    return bytes(raw).decode("utf-8", "surrogateescape")


def _compression(raw: bytes) -> str | None:
    head = read_head(raw, 0, len(raw))
    if head is None or head.size <= LONGEST_COMPRESSION or head.kind not in (Kind.STR, Kind.BIN):
        return text(raw)
    return decoded(raw[head.payload : head.payload + LONGEST_COMPRESSION]) + "…"


def _is_str_or_nil(raw: bytes) -> bool:
    head = read_head(raw, 0, len(raw))
    return head is not None and head.kind in (Kind.STR, Kind.NIL)


def _signal(raw: bytes) -> int:
    head = read_head(raw, 0, len(raw))
    if head is None or head.kind is not Kind.INT:
        return UNKNOWN_SIGNAL
    value: int = msgpack.unpackb(raw)
    return value


_HEADERS_OF_MAPS = {
    count: (bytes((0x80 | count,)), b"\xde" + count.to_bytes(2), b"\xdf" + count.to_bytes(4)) for count in range(16)
}
"""How maps of so many pairs may begin: Fluent Bit takes the longest header for all of its own."""

_BIN_HEADERS = frozenset((0xC4, 0xC5, 0xC6))

UNKNOWN_SIGNAL = -1
"""Stands for a ``fluent_signal`` that is no integer: such a frame passes, and no rule looks at it."""
