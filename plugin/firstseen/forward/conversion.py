"""Frames for peers that read less than Fluent Bit sends: ``[time, record]`` entries only, no float times.

Fluentd up to 1.19 takes an entry with metadata for invalid, and drops it although it acks the chunk; it takes a group
marker for a record of the year 2106, and drops what has a float for a time. Fluent Bit closes the connection on a
Message frame with a float time. What need not change stays byte for byte, chunk id and other options included.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

import msgpack
from msgspec.structs import replace

from firstseen.forward.compression import Algorithm, algorithm, deflate, inflating
from firstseen.forward.entries import Entries, behind, walking
from firstseen.forward.frames import FrameReader
from firstseen.forward.groups import MARKS, is_group_marker
from firstseen.forward.messages import Chunk, Mode, option_pairs, read_tag
from firstseen.forward.outgoing import Body, Frame, outgoing
from firstseen.forward.times import PLAIN_OPENING, event_time_of
from firstseen.packing import Buffer, Head, Kind, read_head
from firstseen.steps import Steps, finished

_EMPTY_METADATA = re.compile(
    rb"\x92\x92(\xd7\x00[^\xff].{7})(?:\xdf\x00\x00\x00\x00|\x80)(?=[\x80-\x8f\xde\xdf])", re.DOTALL
)
"""An entry up to its record as Fluent Bit sends nearly all of them: only the time in it is worth keeping."""

_TIMES = frozenset((Kind.INT, Kind.FLOAT, Kind.EXT))

_BYTES_AT_ONCE = 1 << 18
_ENTRIES_AT_ONCE = 256
"""Of a frame, in one step: what is odd in an entry takes some 15 µs."""

_HEADERS = 16
"""Bytes of a frame's own header, its tag's and its carrier's, at the most."""


def as_v1(frame: Frame, max_decompressed: int) -> Frame:
    """``frame`` with each record as ``[time, record]``: without metadata and group markers, float times as EventTime.

    The same object where that changes nothing. Entries that are none stay as they are, and so do frames that carry no
    logs. Raises `ProtocolError` for entries that cannot be walked, or inflate beyond ``max_decompressed`` bytes.
    """
    return finished(converting(frame, max_decompressed))


def converting(frame: Frame, max_decompressed: int) -> Steps[Frame]:
    """The same in steps."""
    chunk = yield from _reading(frame)
    if chunk.options.signal:
        return frame
    if chunk.mode is Mode.MESSAGE:
        return _message(frame, chunk, "metadata")
    compressed = algorithm(chunk.options.compressed, _blob(chunk)) if chunk.mode is Mode.PACKED else None
    entries = yield from _entries(chunk, compressed, max_decompressed)
    made = yield from _edited(entries)
    if made is None:
        return frame
    if compressed is not None and made.count:
        made = replace(made, pieces=(deflate(compressed, made.pieces),), compressed=True)
    return _rebuilt(frame, chunk, made)


def with_event_time(frame: Frame) -> Frame:
    """``frame`` with an EventTime where it is a Message with a float time; the same object, and quickly, where not."""
    return _message(frame, finished(_reading(frame))) if _carrier_kind(frame) is Kind.FLOAT else frame


def _reading(frame: Frame) -> Steps[Chunk]:
    data = bytearray().join(frame.pieces)
    # It may have a longer tag than it came with (alerts.tag_prefix).
    reader = FrameReader(len(data), longest_name=len(data))
    for stop in range(_BYTES_AT_ONCE, len(data) + _BYTES_AT_ONCE, _BYTES_AT_ONCE):
        chunk = reader.next_frame(data, 0, min(stop, len(data)))
        if chunk is not None:
            return chunk
        yield
    raise AssertionError("a frame that goes out is whole")


def _carrier_kind(frame: Frame) -> Kind | None:
    """The type of the frame's second element, which tells a Message by its time."""
    left = _HEADERS + 4 * len(frame.tag)  # no character has more bytes
    opening = bytearray()
    for piece in frame.pieces:
        opening += piece[: left - len(opening)]
        if len(opening) == left:
            break
    outer = read_head(opening, 0, len(opening))
    tag = read_tag(opening, outer.payload, len(opening)) if outer else None
    head = read_head(opening, tag.payload + tag.size, len(opening)) if tag else None
    return head.kind if head else None


def _message(frame: Frame, chunk: Chunk, *without: str) -> Frame:
    """A Message frame with an EventTime for a float, and no options of these names."""
    present = [] if chunk.option is None else option_pairs(chunk.data, chunk.option, chunk.option_stop)
    unwanted = {name for name, _, _ in present if name in without}
    head = read_head(chunk.data, chunk.body, chunk.body_stop)
    body = None
    if head and head.kind is Kind.FLOAT:
        record = memoryview(chunk.data)[head.payload + head.size : chunk.body_stop]
        body = Body((_float_as_event_time(chunk.data, head), record), 1)
    return _rebuilt(frame, chunk, body, unwanted) if body or unwanted else frame


def _entries(chunk: Chunk, compressed: Algorithm | None, max_decompressed: int) -> Steps[Entries]:
    if chunk.mode is Mode.FORWARD:
        return Entries(chunk.data, chunk.body, chunk.body_stop, chunk.offsets)
    if compressed is None:
        return (yield from walking(chunk.data, chunk.body, chunk.body_stop))
    plain = (yield from inflating(compressed, _blob(chunk), max_decompressed)).data
    return (yield from walking(plain, 0, len(plain)))


def _blob(chunk: Chunk) -> memoryview:
    return memoryview(chunk.data)[chunk.body : chunk.body_stop]


def _edited(entries: Entries) -> Steps[Body | None]:
    """The entries with all that has to change; None where nothing does."""
    view = memoryview(entries.data)
    made = bytearray()
    at, dropped = entries.start, 0
    for number, (start, stop) in enumerate(entries.every(), 1):
        edit = _edit(entries.data, start, stop)
        if edit is not None:
            made += view[at : edit.start]
            made += edit.content
            at = edit.stop
            dropped += not edit.content
        if number % _ENTRIES_AT_ONCE == 0:
            yield
    if at == entries.start:
        return None
    made += view[at : entries.stop]
    return Body((made,), entries.count - dropped, shortened=dropped > 0)


def _rebuilt(frame: Frame, chunk: Chunk, body: Body | None, without: Collection[str] = ()) -> Frame:
    # No ack is asked for here, because the id that the frame waits for is among its options already.
    made = outgoing(chunk, require_ack=False, random_bytes=bytes, body=body, without=without)
    return replace(frame, pieces=made.pieces, size=made.size)


class _Edit(NamedTuple):
    """``data[start:stop]`` becomes ``content``; nothing, where it is an entry that is taken out."""

    start: int
    stop: int
    content: Buffer


def _edit(data: bytes | bytearray, start: int, stop: int) -> _Edit | None:
    """What has to change in the entry ``data[start:stop]``, which may be no entry at all."""
    if data.startswith(PLAIN_OPENING, start) and data[start + 3] != MARKS:
        return None
    usual = _EMPTY_METADATA.match(data, start, stop)
    if usual:
        return _Edit(start + 1, usual.end(), usual[1])
    outer = _pair(data, start, stop)
    if outer is None:
        return None
    inner = _pair(data, outer.payload, stop)
    time = inner.payload if inner else outer.payload
    head = read_head(data, time, stop)
    if head is None or head.kind not in _TIMES:
        return None
    if is_group_marker(data, time, stop):
        return _Edit(start, stop, b"")
    time_stop = head.payload + head.size
    if inner and not _is_map(data, time_stop, stop):
        return None
    record = behind(data, time_stop, stop) if inner else time_stop
    if not _is_map(data, record, stop) or not (inner or head.kind is Kind.FLOAT):
        return None
    content = _float_as_event_time(data, head) if head.kind is Kind.FLOAT else data[time:time_stop]
    return _Edit(outer.payload, record, content)


def _pair(data: Buffer, at: int, stop: int) -> Head | None:
    """The header of an array of two, if it is one that begins at ``at``."""
    head = read_head(data, at, stop)
    return head if head and head.kind is Kind.ARRAY and head.size == 2 else None


def _is_map(data: Buffer, at: int, stop: int) -> bool:
    head = read_head(data, at, stop)
    return head is not None and head.kind is Kind.MAP


def _float_as_event_time(data: Buffer, head: Head) -> bytes:
    return event_time_of(msgpack.unpackb(data[head.payload - 1 : head.payload + head.size]))
