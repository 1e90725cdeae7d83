"""Frames of the Forward protocol, built and taken apart without a line of the agent's own.

What a client would send, in every mode; and what arrived, down to the bytes of each record. `KeepingReader` and
`CountingReader` find the frames in a connection's bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgpack
import zstandard

Mode = Literal["message", "forward", "packed", "compressed"]


def unpacker() -> msgpack.Unpacker:
    """Takes whatever peers send: text that is not UTF-8, keys of any type, frames of any size."""
    return msgpack.Unpacker(
        unicode_errors="surrogateescape", strict_map_key=False, use_list=False, max_buffer_size=1 << 30
    )


def pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value, unicode_errors="surrogateescape")
    return packed


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, unicode_errors="surrogateescape", strict_map_key=False)


# --- frames, as a client builds them


def event_time(time_ns: int) -> msgpack.ExtType:
    return msgpack.ExtType(0, struct.pack(">II", *divmod(time_ns, 1_000_000_000)))


def entry_v1(record: object, time_ns: int) -> bytes:
    return b"\x92" + pack(event_time(time_ns)) + pack(record)


def entry_v2(record: object, time_ns: int, metadata: dict[str, Any] | None = None) -> bytes:
    """As Fluent Bit writes it: the metadata is a map32 however small it is."""
    return b"\x92\x92" + pack(event_time(time_ns)) + wide_map(metadata or {}) + pack(record)


def wide_map(items: dict[str, Any]) -> bytes:
    return b"\xdf" + struct.pack(">I", len(items)) + b"".join(pack(key) + pack(value) for key, value in items.items())


def chunk_id(payload: bytes) -> str:
    """24 characters that follow from the payload, as Fluent Bit makes them: a retry has the same."""
    return base64.b64encode(hashlib.sha512(payload).digest()[:16]).decode()


def message(tag: str, record: object, time_ns: int, **option: object) -> bytes:
    parts = [pack(tag), pack(event_time(time_ns)), pack(record)] + [wide_map(option)] * bool(option)
    return bytes([0x90 + len(parts)]) + b"".join(parts)


def forward(tag: str, entries: Sequence[bytes], **option: object) -> bytes:
    parts = [pack(tag), b"\xdd" + struct.pack(">I", len(entries)), *entries] + [wide_map(option)] * bool(option)
    return (b"\x93" if option else b"\x92") + b"".join(parts)


def packed(tag: str, entries: Iterable[bytes], *, as_str: bool = False, **option: object) -> bytes:
    """The blob is a bin, as from Fluent Bit, or a str32, as from Fluentd."""
    return _with_blob(tag, b"".join(entries), as_str, option)


def compressed(
    tag: str, entries: Sequence[bytes], *, members: int = 1, as_str: bool = False, **option: object
) -> bytes:
    """Gzip, in as many members as are asked for; Fluentd makes many."""
    step = max(1, -(-len(entries) // members))
    parts = [b"".join(entries[at : at + step]) for at in range(0, len(entries), step)]
    blob = b"".join(gzip.compress(part, compresslevel=1, mtime=0) for part in parts)
    return _with_blob(tag, blob, as_str, option | {"compressed": "gzip"})


def _with_blob(tag: str, blob: bytes, as_str: bool, option: dict[str, Any]) -> bytes:
    head = b"\xdb" + struct.pack(">I", len(blob)) if as_str else pack(blob)[: -len(blob) or None]
    return (b"\x93" if option else b"\x92") + pack(tag) + head + blob + (wide_map(option) if option else b"")


# --- frames, as a server reads them


@dataclass(frozen=True, slots=True)
class Entry:
    """One record as it arrived; decoded when asked."""

    tag: str
    raw_time: bytes
    raw_record: bytes

    @property
    def record(self) -> dict[Any, Any]:
        record: dict[Any, Any] = unpack(self.raw_record)
        return record

    @property
    def header(self) -> Any:
        """The time, or time and metadata."""
        return unpack(self.raw_time)

    @property
    def time_ns(self) -> int:
        time = self.header[0] if isinstance(self.header, list) else self.header
        if isinstance(time, msgpack.ExtType):
            seconds, nanoseconds = struct.unpack(">II", time.data)
            return int(seconds * 1_000_000_000 + nanoseconds)
        return int(time * 1_000_000_000)

    @property
    def metadata(self) -> dict[Any, Any]:
        return self.header[1] if isinstance(self.header, list) else {}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. A sink that only counts keeps neither ``raw`` nor ``entries``."""

    connection: int
    mode: Mode
    tag: str
    option: dict[str, Any]
    size: int
    records: int
    raw: bytes = b""
    entries: tuple[Entry, ...] = ()

    @property
    def chunk(self) -> Any:
        return self.option.get("chunk")


def split(data: bytes) -> list[bytes]:
    """The msgpack objects that ``data`` is made of."""
    reader = unpacker()
    reader.feed(data)
    objects, start = [], 0
    while start < len(data):
        reader.skip()
        objects.append(data[start : reader.tell()])
        start = reader.tell()
    return objects


def elements(array: bytes) -> list[bytes]:
    """The elements of a msgpack array, as bytes."""
    reader = unpacker()
    reader.feed(array)
    reader.read_array_header()
    return split(array[reader.tell() :])


def parse(raw: bytes, connection: int = 0) -> Frame:
    """A whole frame, taken apart without decoding any record."""
    raw_tag, second, *rest = elements(raw)
    tag = unpack(raw_tag)
    mode = _mode(second[0])
    option = _option(rest[mode == "message" :])
    if mode == "message":
        pairs = [[second, rest[0]]]
    elif mode == "forward":
        pairs = [elements(each) for each in elements(second)]
    else:
        blob = _blob(second)
        if option.get("compressed", "text") != "text":
            mode, blob = "compressed", _inflated(blob)
        pairs = [elements(each) for each in split(blob)]
    entries = tuple(Entry(tag, time, record) for time, record in pairs)
    return Frame(connection, mode, tag, option, len(raw), len(entries), raw, entries)


def _mode(first: int) -> Mode:
    """What the first byte of a frame's second element says."""
    if first in range(0x90, 0xA0) or first in (0xDC, 0xDD):
        return "forward"
    if first in range(0xA0, 0xC0) or first in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB):
        return "packed"
    return "message"


def _option(rest: Sequence[bytes]) -> dict[str, Any]:
    return unpack(rest[0]) or {} if rest else {}


def _blob(packed_blob: bytes) -> bytes:
    blob = unpack(packed_blob)
    return blob if isinstance(blob, bytes) else blob.encode(errors="surrogateescape")


def _inflated(blob: bytes) -> bytes:
    if blob.startswith(zstandard.FRAME_HEADER):
        with zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True) as reader:
            return bytes(reader.read())
    return gzip.decompress(blob)


class CuttingReader:
    """A connection's bytes to frames as bytes, with nothing known of them."""

    def __init__(self) -> None:
        self._unpacker = unpacker()
        self._rest = bytearray()
        self._start = 0

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        self._rest += data
        self._unpacker.feed(data)
        while True:
            try:
                self._unpacker.skip()
            except msgpack.OutOfData:
                return
            size = self._unpacker.tell() - self._start
            raw = bytes(self._rest[:size])
            del self._rest[:size]
            self._start += size
            if raw != b"\xc0":  # nil between frames is a heartbeat
                yield raw


class KeepingReader:
    """A connection's bytes to frames with everything in them."""

    def __init__(self, connection: int) -> None:
        self._connection = connection
        self._reader = CuttingReader()

    def feed(self, data: memoryview) -> Iterator[Frame]:
        for raw in self._reader.feed(data):
            yield parse(raw, self._connection)


class CountingReader:
    """A connection's bytes to frames of which only tag, option and counts are known; cheap.

    The records of a packed frame are as many as its ``size`` says.
    """

    def __init__(self, connection: int) -> None:
        self._connection = connection
        self._unpacker = unpacker()
        self._data = memoryview(b"")
        self._fed = 0
        self._walk = self._frames()

    def feed(self, data: memoryview) -> Iterator[Frame]:
        self._unpacker.feed(data)
        self._data, self._fed = data, self._fed + len(data)
        while (frame := next(self._walk)) is not None:
            yield frame

    def _frames(self) -> Iterator[Frame | None]:
        """Each frame as it is complete, and None where the bytes end."""
        reader = self._unpacker
        while True:
            start = reader.tell()
            left = yield from self._need(reader.read_array_header)
            tag = yield from self._need(reader.unpack)
            while (at := reader.tell() - self._fed) == 0:
                yield None
            mode = _mode(self._data[at])
            records = 1
            if mode == "forward":
                records = yield from self._need(reader.read_array_header)
                yield from self._skip(records)
            else:
                yield from self._skip(2 if mode == "message" else 1)
            option: dict[str, Any] = {}
            if left > (3 if mode == "message" else 2):
                option = (yield from self._need(reader.unpack)) or {}
            if mode == "packed":
                records = option.get("size", 0)
            yield Frame(self._connection, mode, tag, option, reader.tell() - start, records)

    def _need(self, read: Callable[[], Any]) -> Generator[None, None, Any]:
        while True:
            try:
                return read()
            except msgpack.OutOfData:
                yield None

    def _skip(self, objects: int) -> Iterator[None]:
        skip = self._unpacker.skip
        while objects:
            try:
                while objects:
                    skip()
                    objects -= 1
            except msgpack.OutOfData:
                yield None
