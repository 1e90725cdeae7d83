from __future__ import annotations

import sys

import msgpack
import msgspec
import pytest

from firstseen.errors import RecordError
from firstseen.forward.entries import MAX_CHUNK_DEPTH
from firstseen.record.spans import (
    MAX_CONTAINERS,
    MAX_DECODED_DEPTH,
    MAX_RECORD,
    MOST_NUMBERED,
    SHORT_RECORD,
    SMALL_RECORD,
    Span,
    decode_record,
    entry_span,
    entry_time_ms,
    message_span,
)


def record_of(raw: bytes) -> dict:
    return decode_record(raw, Span(0, 0, 0, len(raw)))


@pytest.mark.parametrize(
    ("raw", "time", "record"),
    [
        ("92 01 80", 1, 2),
        ("92 01 81 a1 6d 02", 1, 2),
        ("dc 00 02 01 80", 3, 4),
        ("dd 00 00 00 02 cf 00 00 00 00 00 00 00 01 df 00 00 00 00", 5, 14),
        ("92 92 01 80 80", 2, 4),
        ("92 92 01 81 a1 6d 02 81 a1 6d 03", 2, 7),
        ("92 dc 00 02 d7 00 00 00 00 01 00 00 00 00 df 00 00 00 00 de 00 00", 4, 19),
        ("92 c0 80", 1, 2),
        ("92 d7 00 00 00 00 01 00 00 00 00 80", 1, 11),
    ],
)
def test_entry(raw, time, record):
    entry = bytes.fromhex(raw)
    data = b"before" + entry + b"behind"
    for each in (data, bytearray(data), memoryview(data)):
        assert entry_span(each, 6, 6 + len(entry)) == Span(6, 6 + time, 6 + record, 6 + len(entry))


@pytest.mark.parametrize(
    "raw",
    [
        "01",
        "c0",
        "90",
        "91 01",
        "93 01 80 80",
        "82 01 80 02 80",
        "92 01 02",
        "92 01 90",
        "92 01 c0",
        "92 91 01 80",
        "92 93 01 80 80 80",
        "92 90 80",
        "92 92 d7 00 ff ff ff ff 00 00 00 00 80 80",
        "92 92 d7 00 ff ff ff fe 00 00 00 00 80 80",
        "92 d7 00 ff ff ff ff 00 00 00 00 80",
    ],
)
def test_no_entry(raw):
    data = bytes.fromhex(raw)
    assert entry_span(data, 0, len(data)) is None


def test_message():
    data = bytes.fromhex("ff d7 00 00 00 00 02 00 0f 42 40 81 a1 6d 01 ff")
    span = message_span(data, 1, len(data) - 1)
    assert span == Span(1, 1, 11, 15)
    assert (decode_record(data, span), entry_time_ms(data, span)) == ({"m": 1}, 2001)


def test_time_of_v1_and_v2():
    for raw in ("92 02 80", "92 92 02 80 80"):
        data = bytes.fromhex(raw)
        span = entry_span(data, 0, len(data))
        assert span is not None
        assert entry_time_ms(data, span) == 2000


@pytest.mark.parametrize(
    ("raw", "record"),
    [
        (b"\x81\xa1a\xa2\xff\xc3", {"a": "\udcff\udcc3"}),
        (b"\x82\xa1a\x01\xd9\x01a\x02", {"a": 2}),
        (b"\x83\x01\x02\xc0\x03\xc4\x01a\x04", {1: 2, None: 3, b"a": 4}),
        (b"\x81\xa1a\xc4\x02\xff\x00", {"a": b"\xff\x00"}),
        (b"\x81\xa1a\xd4\x05\x06", {"a": msgspec.msgpack.Ext(5, b"\x06")}),
        (b"\x81\xa1a\xca\x3f\xc0\x00\x00", {"a": 1.5}),
        (b"\xdf\x00\x00\x00\x00", {}),
    ],
)
def test_record(raw, record):
    assert record_of(raw) == record


@pytest.mark.parametrize(
    ("odd", "value"),
    [
        (b"\x90\x01", None),
        (b"\x91\x01\x01", None),
        (b"\x80\x01", None),
        (b"\xa1t\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff", ("t", None)),
        (b"\xa1t\xc7\x03\xff\x01\x02\x03", ("t", None)),
        (b"\xd5\xff\x01\x02\x05", (None, 5)),
        (b"\xa1t\x81\x90\x01", ("t", {})),
        (b"\xa1t\x92\x81\x90\x01\xa1x", ("t", [{}, "x"])),
    ],
)
def test_what_the_library_gives_up_on(odd, value):
    raw = (
        b"\xde\x00\x05"
        + b"\xa1a\xa1\xff"
        + b"\xc4\x01b\xca\x3f\xc0\x00\x00"
        + odd
        + b"\xa1c\x93\x01\xc0\xc3"
        + b"\xa1a\x07"
    )
    expected = {"a": 7, b"b": 1.5, "c": [1, None, True]}
    assert record_of(raw) == (expected if value is None else {**expected, value[0]: value[1]})


def test_as_deep_as_the_walk_goes():
    depth = MAX_CHUNK_DEPTH - 1
    record = record_of(b"\x81\xa1a" * depth + b"\x80")
    levels = 0
    while record:
        record, levels = record["a"], levels + 1
    assert levels == depth


def test_what_lies_too_deep_for_the_careful_decoder_reads_as_nothing():
    assert sys.getrecursionlimit() > 2 * MAX_DECODED_DEPTH + 100
    record = record_of(b"\x82\x90\x01\xa1a" + b"\x81\xa1a" * (MAX_CHUNK_DEPTH - 2) + b"\x80")
    levels = 0
    while record:
        record, levels = record["a"], levels + 1
    assert (record, levels) == (None, MAX_DECODED_DEPTH)


def test_what_follows_something_too_deep_is_read():
    deep = b"\x91" * 500 + b"\x01"
    assert record_of(b"\x83\x90\x01\xa1a" + deep + b"\xa1b\x02")["b"] == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"\x81\xa1a\xdd" + (MAX_CONTAINERS + 1).to_bytes(4, "big") + b"\x80" * (MAX_CONTAINERS + 1),
        b"\x81\xa1a\xdd" + (MAX_CONTAINERS + 1).to_bytes(4, "big") + b"\x90" * (MAX_CONTAINERS + 1),
        b"\x81\xa1a\xc6" + MAX_RECORD.to_bytes(4, "big") + bytes(MAX_RECORD),
        b"\x82\x90\xc0\xa1a\xdc\xff\xff" + b"\xc0" * 0xFFFF,
    ],
    ids=["maps", "arrays", "bytes", "a large one with a key that is none"],
)
def test_what_would_take_too_much_is_refused(raw):
    with pytest.raises(RecordError):
        record_of(raw)


@pytest.mark.parametrize(
    ("size", "numbers", "kept"),
    [(0, 2 * MOST_NUMBERED, True), (SHORT_RECORD, MOST_NUMBERED - 1, True), (SHORT_RECORD, MOST_NUMBERED, False)],
    ids=["a short record", "a small map", "a larger one"],
)
def test_keys_that_are_numbers_are_kept_where_they_cannot_be_many(size, numbers, kept):
    """They hash to what senders can work out: each of many that collide is looked for along all others."""
    of_numbers = dict.fromkeys(range(numbers), 0)
    record = record_of(msgpack.packb({"filler": "x" * size, "map": {"text": 1, **of_numbers}}))

    assert record["map"] == ({"text": 1, **of_numbers} if kept else {"text": 1})


def test_keys_that_are_numbers_are_not_looked_at_in_a_large_record():
    with pytest.raises(RecordError, match="a key that is no text"):
        record_of(msgpack.packb({"filler": "x" * SMALL_RECORD, 1: 2}))


def test_a_large_record_is_decoded_like_a_small_one():
    record = {"a": ["x" * 100] * 1_000, "b": [{}] * 1_000}

    assert record_of(msgpack.packb(record)) == record
