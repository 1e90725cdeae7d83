from __future__ import annotations

import msgpack
import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.messages import (
    MAX_OPTIONS,
    NO_OPTIONS,
    UNKNOWN_SIGNAL,
    Options,
    decoded,
    option_pairs,
    read_options,
    read_tag,
    text,
)
from support import wire

CHUNK, COMPRESSED, SIGNAL = (msgpack.packb(key) for key in ("chunk", "compressed", "fluent_signal"))


@pytest.mark.parametrize(
    ("raw", "tag"),
    [
        (b"\xa0", ""),
        (b"\xa7app.log", "app.log"),
        (b"\xd9\x01t", "t"),
        (b"\xda\x00\x01t", "t"),
        (b"\xdb\x00\x00\x00\x01t", "t"),
        (b"\xa2\xff\x00", "\udcff\x00"),
        (b"\xa2\xc3\xa9", "é"),
    ],
)
def test_tag(raw, tag):
    data = b"\x92" + raw + b"\x90"
    head = read_tag(data, 1, len(data))
    assert head is not None
    stop = head.payload + head.size
    assert (decoded(data[head.payload : stop]), stop) == (tag, len(data) - 1)
    assert [read_tag(data, 1, end) for end in range(1, head.payload)] == [None] * (head.payload - 1)


@pytest.mark.parametrize("raw", [b"\xc4\x01t", b"\x01", b"\x90", b"\xc0", b"\xc1", b"\xd4\x00t"])
def test_no_tag(raw):
    with pytest.raises(ProtocolError, match="not str"):
        read_tag(raw, 0, len(raw))


def options(*pairs: bytes) -> Options:
    raw = bytes((0x80 | len(pairs) // 2,)) + b"".join(pairs)
    data = b"before" + raw + b"behind"
    return read_options(data, 6, 6 + len(raw))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((), NO_OPTIONS),
        ((CHUNK, b"\xa3abc"), Options(chunk=b"\xa3abc")),
        ((CHUNK, b"\xdb\x00\x00\x00\x01a"), Options(chunk=b"\xdb\x00\x00\x00\x01a")),
        ((CHUNK, b"\xc0"), Options(chunk=b"\xc0")),
        ((b"\xda\x00\x05chunk", b"\xa1a"), Options(chunk=b"\xa1a")),
        ((b"\xc4\x05chunk", b"\xa1a"), Options(chunk=b"\xa1a", id_in_doubt=True)),
        ((CHUNK, b"\xa1a", CHUNK, b"\xa1b"), Options(chunk=b"\xa1b", id_in_doubt=True)),
        ((b"\xc4\x05chunk", b"\xa1a", CHUNK, b"\xa1b"), Options(chunk=b"\xa1b", id_in_doubt=True)),
        ((CHUNK, b"\xc0", CHUNK, b"\xa1b"), Options(chunk=b"\xa1b", id_in_doubt=True)),
        ((COMPRESSED, b"\xa4gzip"), Options(compressed="gzip")),
        ((COMPRESSED, b"\xc4\x04gzip"), Options(compressed="gzip", compression_in_doubt=True)),
        ((b"\xc4\x0acompressed", b"\xa4gzip"), Options(compressed="gzip", compression_in_doubt=True)),
        ((COMPRESSED, b"\xa4gzip", COMPRESSED, b"\xa4zstd"), Options(compressed="zstd", compression_in_doubt=True)),
        ((COMPRESSED, b"\xa4gzip", COMPRESSED, b"\xa4text"), Options(compression_in_doubt=True)),
        ((COMPRESSED, b"\xc0", COMPRESSED, b"\xa4gzip"), Options(compressed="gzip", compression_in_doubt=True)),
        ((COMPRESSED, b"\x05"), Options(compression_in_doubt=True)),
        ((COMPRESSED, b"\xa4zstd"), Options(compressed="zstd")),
        ((COMPRESSED, b"\xa4text"), NO_OPTIONS),
        ((COMPRESSED, b"\xa4GZIP"), Options(compressed="GZIP")),
        ((COMPRESSED, b"\xc0"), NO_OPTIONS),
        ((SIGNAL, b"\x00"), NO_OPTIONS),
        ((SIGNAL, b"\xcd\x00\x02"), Options(signal=2)),
        ((SIGNAL, b"\xff"), Options(signal=-1)),
        ((SIGNAL, b"\xca\x00\x00\x00\x00"), Options(signal=UNKNOWN_SIGNAL)),
        ((SIGNAL, b"\xc2"), Options(signal=UNKNOWN_SIGNAL)),
        ((b"\x01", b"\x02", b"\xc0", b"\x90", b"\x81\x01\x02", b"\x03", b"\xa1\xff", b"\x04"), NO_OPTIONS),
    ],
)
def test_options(pairs, expected):
    assert options(*pairs) == expected


@pytest.mark.parametrize("raw", [b"\xc0", b"\x80", b"\xde\x00\x00", b"\xdf\x00\x00\x00\x00"])
def test_no_options(raw):
    assert read_options(raw, 0, len(raw)) == NO_OPTIONS


def test_of_a_compression_that_nobody_knows_the_beginning_is_kept():
    for name in ("gzip".ljust(64, "x"), "é" * 32):
        raw = msgpack.packb({"compressed": name})
        assert read_options(raw, 0, len(raw)) == Options(compressed=name)
        raw = msgpack.packb({"compressed": name + "x" * 100_000})
        assert read_options(raw, 0, len(raw)) == Options(compressed=name + "…")


@pytest.mark.parametrize("raw", [b"\x01", b"\x90", b"\xa0", b"\xc2"])
def test_what_is_no_option_map(raw):
    with pytest.raises(ProtocolError, match="neither a map nor nil"):
        read_options(raw, 0, len(raw))


def test_pairs_as_they_lie():
    raw = b"\xdf\x00\x00\x00\x03\xd9\x01a\xd3\x00\x00\x00\x00\x00\x00\x00\x01\x01\x90\xc4\x01\xff\xc7\x00\x05"
    assert list(option_pairs(raw, 0, len(raw))) == [
        ("a", b"\xd9\x01a", b"\xd3\x00\x00\x00\x00\x00\x00\x00\x01"),
        (None, b"\x01", b"\x90"),
        ("\udcff", b"\xc4\x01\xff", b"\xc7\x00\x05"),
    ]


def test_as_many_pairs_as_anybody_needs():
    most = b"\xde" + MAX_OPTIONS.to_bytes(2, "big") + b"\xc0\xc0" * MAX_OPTIONS
    assert read_options(most, 0, len(most)) == NO_OPTIONS
    more = b"\xde" + (MAX_OPTIONS + 1).to_bytes(2, "big") + b"\xc0\xc0" * (MAX_OPTIONS + 1)
    with pytest.raises(ProtocolError, match="at most 1024 pairs"):
        read_options(more, 0, len(more))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\xa1a", "a"),
        (b"\xc5\x00\x01a", "a"),
        (b"\xa2a\xff", "a\udcff"),
        (b"\xa0", ""),
        (b"\x01", None),
        (b"\xc0", None),
        (b"\x90", None),
        (b"\xd4\x00a", None),
        (b"", None),
    ],
)
def test_text(raw, expected):
    assert text(raw) == expected


def test_the_size_of_a_chunk_is_its_frame():
    assert wire.chunk_of(b"\x92\xa1t\x90").size == 4
