from __future__ import annotations

import struct

import pytest

from firstseen.forward.times import event_time
from firstseen.record.eventtime import read_time_ms


@pytest.mark.parametrize(
    ("raw", "ms"),
    [
        ("d7 00 65 53 f1 00 07 5b cd 15", 1_700_000_000_123),
        ("c7 08 00 65 53 f1 00 07 5b cd 15", 1_700_000_000_123),
        ("c9 00 00 00 08 00 65 53 f1 00 07 5b cd 15", 1_700_000_000_123),
        ("d7 00 00 00 00 01 00 0f 42 3f", 1000),
        ("d7 00 00 00 00 01 ff ff ff ff", 5294),
        ("00", 0),
        ("7f", 127_000),
        ("ff", -1000),
        ("cc 80", 128_000),
        ("ce 65 53 f1 00", 1_700_000_000_000),
        ("d2 65 53 f1 00", 1_700_000_000_000),
        ("cf 00 00 00 00 65 53 f1 00", 1_700_000_000_000),
        ("d3 ff ff ff ff ff ff ff ff", -1000),
        ("ca 3f c0 00 00", 1500),
        ("ce ff ff ff ff", 4_294_967_295_000),
        ("cf 00 00 00 3a ff f4 41 7f", 253_402_300_799_000),
        ("cf 00 00 00 3a ff f4 41 80", None),
        ("cf ff ff ff ff ff ff ff ff", None),
        ("d3 80 00 00 00 00 00 00 00", None),
        ("cb 42 70 00 00 00 00 00 00", None),
        ("c0", None),
        ("c2", None),
        ("c3", None),
        ("a1 31", None),
        ("c4 08 65 53 f1 00 07 5b cd 15", None),
        ("90", None),
        ("80", None),
        ("d7 01 65 53 f1 00 07 5b cd 15", None),
        ("d7 ff 65 53 f1 00 07 5b cd 15", None),
        ("d6 00 65 53 f1 00", None),
        ("c7 07 00 65 53 f1 00 07 5b cd", None),
        ("c7 09 00 65 53 f1 00 07 5b cd 15 00", None),
        ("ca 7f 80 00 00", None),
        ("ca 7f c0 00 00", None),
        ("cb ff f0 00 00 00 00 00 00", None),
        ("cb 7f ef ff ff ff ff ff ff", None),
    ],
)
def test_time(raw, ms):
    data = b"\x92" + bytes.fromhex(raw) + b"\x80"
    for each in (data, bytearray(data), memoryview(data)):
        assert read_time_ms(each, 1, len(data)) == ms


@pytest.mark.parametrize(
    ("value", "ms"), [(0.29, 290), (1_700_000_000.29, 1_700_000_000_290), (0.0019994, 1), (-0.0015, -2), (-1.5, -1500)]
)
def test_floats_are_rounded_down_but_not_below_what_they_say(value, ms):
    assert read_time_ms(b"\xcb" + struct.pack(">d", value), 0, 9) == ms


def test_no_time_where_the_bytes_end():
    assert read_time_ms(b"", 0, 0) is None
    assert read_time_ms(event_time(1, 0), 0, 9) is None
