from __future__ import annotations

import msgpack
import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.compression import MAX_TRAVELLING, Algorithm, deflate
from firstseen.forward.content import Content, content_of, inflates
from support.wire import chunk_of

BLOB = b"\x92\x01\x80\x92\x02\x80"
LIMIT = 1 << 24
NAME = msgpack.packb("compressed")
BIN_NAME = msgpack.packb(b"compressed")
BOTH = pytest.mark.parametrize("kind", list(Algorithm))


def frame(blob: bytes, *pairs: bytes, elements: int = 3) -> bytes:
    """A PackedForward frame with the given keys and values in its option, and nils behind it."""
    option = bytes((0x80 | len(pairs) // 2,)) + b"".join(pairs) if elements > 2 else b""
    return bytes((0x90 | elements,)) + b"\xa1t" + msgpack.packb(blob) + option + b"\xc0" * (elements - 3)


def content(sent: bytes) -> Content:
    return content_of(chunk_of(sent), LIMIT)


def sized(size: int) -> bytes:
    """One entry of ``size`` bytes."""
    return b"\x92\x01\x81\xa1m" + b"\xc6" + (size - 10).to_bytes(4, "big") + bytes(size - 10)


@BOTH
def test_one_member_that_is_called_by_its_name_travels(kind):
    read = content(frame(deflate(kind, [BLOB]), NAME, msgpack.packb(kind.value)))
    assert (bytes(read.entries.data), read.entries.count) == (BLOB, 2)
    assert (read.algorithm, read.travels) == (kind, True)


@BOTH
@pytest.mark.parametrize("options", ["none", "text", "other", "bin", "bin key", "twice", "two names", "number"])
def test_what_is_not_called_by_its_name_leaves_plain(kind, options):
    name = msgpack.packb(kind.value)
    other = msgpack.packb({"gzip": "zstd", "zstd": "gzip"}[kind.value])
    pairs = {
        "none": [],
        "text": [NAME, b"\xa4text"],
        "other": [NAME, other],
        "bin": [NAME, msgpack.packb(kind.value.encode())],
        "bin key": [BIN_NAME, name],
        "twice": [NAME, name, NAME, name],
        "two names": [NAME, other, NAME, name],
        "number": [NAME, b"\x05"],
    }[options]
    chunk = chunk_of(frame(deflate(kind, [BLOB]), *pairs))
    read = content_of(chunk, LIMIT)
    assert (bytes(read.entries.data), read.algorithm, read.travels) == (BLOB, kind, False)


@BOTH
@pytest.mark.parametrize("elements", [2, 4])
def test_only_frames_of_three_elements_leave_compressed(kind, elements):
    chunk = chunk_of(frame(deflate(kind, [BLOB]), NAME, msgpack.packb(kind.value), elements=elements))
    read = content_of(chunk, LIMIT)
    assert (bytes(read.entries.data), read.algorithm, read.travels) == (BLOB, kind, False)


@BOTH
def test_several_members_do_not_travel(kind):
    chunk = chunk_of(frame(deflate(kind, [BLOB]) * 2, NAME, msgpack.packb(kind.value)))
    read = content_of(chunk, LIMIT)
    assert (read.travels, read.is_named, read.members, read.held) == (False, True, 2, 2 * len(BLOB))


@BOTH
def test_what_is_too_large_leaves_plain(kind):
    most = MAX_TRAVELLING[kind]
    for size, expected in ((most, True), (most + 1, False)):
        chunk = chunk_of(frame(deflate(kind, [sized(size)]), NAME, msgpack.packb(kind.value)))
        read = content_of(chunk, LIMIT)
        assert (len(read.entries.data), read.travels) == (size, expected)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], True),
        ([NAME, b"\xa4text"], True),
        ([NAME, b"\xc0"], True),
        ([NAME, b"\xa4gzip", NAME, b"\xa4text"], False),
        ([BIN_NAME, b"\xa4text"], False),
    ],
)
def test_plain_entries_travel_unless_somebody_may_try_to_inflate_them(pairs, expected):
    chunk = chunk_of(frame(BLOB, *pairs))
    read = content_of(chunk, LIMIT)
    assert (read.entries.count, read.algorithm, read.travels) == (2, None, expected)


@pytest.mark.parametrize("value", [[[1, {}], [2, {}]], 1])
def test_entries_that_are_no_blob_are_what_they_are(value):
    rest = [value] if isinstance(value, list) else [value, {"m": 1}]
    read = content(msgpack.packb(["t", *rest, {"compressed": "gzip"}]))
    assert (read.algorithm, read.travels) == (None, True)


@pytest.mark.parametrize(
    ("blob", "name", "reason"),
    [
        (deflate(Algorithm.GZIP, [BLOB])[:-1], b"\xa4gzip", "cut short"),
        (BLOB, b"\xa4zstd", "no frame begins at byte 0"),
        (BLOB, b"\xa3lz4", "neither gzip nor zstd"),
        (deflate(Algorithm.ZSTD, [bytes(LIMIT + 1)]), b"\xa4zstd", "more than"),
    ],
)
def test_what_cannot_be_read(blob, name, reason):
    with pytest.raises(ProtocolError, match=reason):
        content(frame(blob, NAME, name))


START, END = b"\xd7\x00\xff\xff\xff\xff\0\0\0\0", b"\xd7\x00\xff\xff\xff\xfe\0\0\0\0"
V1_START, V1_END = b"\x92" + START + b"\x80", b"\x92" + END + b"\x80"
V2_START, V2_END = b"\x92\x92" + START + b"\x80\x80", b"\x92\x92" + END + b"\xdf\0\0\0\0\x80"


@pytest.mark.parametrize(
    ("blob", "markers", "found"),
    [
        (V2_START + BLOB + V2_END, 2, 1),
        (V1_START + BLOB + V1_END, 2, 1),
        (V2_START + V2_START + BLOB, 2, 2),
        (BLOB + V2_END, 1, 0),
        (V2_END + b"\x92\x92\xd7\0" + bytes(8) + b"\xdf\0\0\0\0\x80", 1, 0),
        (V1_END + b"\x92\xd7\0" + bytes(8) + b"\x80", 1, 0),
        (V1_END, 1, 0),
    ],
)
def test_what_marks_a_group_is_no_record_even_where_no_group_is(blob, markers, found):
    read = content(frame(blob))
    assert (read.markers, len(read.found)) == (markers, found)
    assert read.records == read.entries.count - markers


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (frame(deflate(Algorithm.GZIP, [BLOB])), True),
        (frame(deflate(Algorithm.ZSTD, [BLOB]), NAME, b"\xa4text"), True),
        (frame(BLOB, NAME, b"\xa3lz4"), True),
        (frame(BLOB, NAME, b"\xa4text"), False),
        (frame(BLOB), False),
        (msgpack.packb(["t", [[1, {}]], {"compressed": "gzip"}]), False),
        (msgpack.packb(["t", 1, {}]), False),
    ],
)
def test_what_takes_memory_beside_its_own(sent, expected):
    assert inflates(chunk_of(sent)) is expected
