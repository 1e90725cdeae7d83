from __future__ import annotations

import struct

import pytest

from firstseen.forward.times import LAST_SECOND, event_time, event_time_of, read_event_time
from firstseen.packing import read_head


@pytest.mark.parametrize(
    ("seconds", "nanoseconds", "raw"),
    [
        (0, 0, "d7 00 00 00 00 00 00 00 00 00"),
        (1_700_000_000, 123_456_789, "d7 00 65 53 f1 00 07 5b cd 15"),
        (0xFFFFFFFF, 999_999_999, "d7 00 ff ff ff ff 3b 9a c9 ff"),
    ],
)
def test_event_time(seconds, nanoseconds, raw):
    assert event_time(seconds, nanoseconds) == bytes.fromhex(raw)


@pytest.mark.parametrize(
    ("raw", "pair"),
    [
        ("d7 00 65 53 f1 00 07 5b cd 15", (1_700_000_000, 123_456_789)),
        ("c7 08 00 65 53 f1 00 07 5b cd 15", (1_700_000_000, 123_456_789)),
        ("c8 00 08 00 65 53 f1 00 07 5b cd 15", (1_700_000_000, 123_456_789)),
        ("c9 00 00 00 08 00 65 53 f1 00 07 5b cd 15", (1_700_000_000, 123_456_789)),
        ("d7 00 ff ff ff ff ff ff ff ff", (0xFFFFFFFF, 0xFFFFFFFF)),
        ("d7 01 65 53 f1 00 07 5b cd 15", None),
        ("d7 ff 65 53 f1 00 07 5b cd 15", None),
        ("d6 00 65 53 f1 00", None),
        ("c7 09 00 65 53 f1 00 07 5b cd 15 00", None),
        ("d7 00 65 53 f1 00 07 5b cd", None),
        ("c4 08 65 53 f1 00 07 5b cd 15", None),
        ("ce 65 53 f1 00", None),
    ],
)
def test_read(raw, pair):
    data = b"\x92" + bytes.fromhex(raw)
    for each in (data, bytearray(data), memoryview(data)):
        assert read_event_time(each, read_head(each, 1, len(each)), len(each)) == pair


@pytest.mark.parametrize(
    ("value", "seconds", "nanoseconds"),
    [
        (0.0, 0, 0),
        (-0.0, 0, 0),
        (0.29, 0, 290_000_000),
        (1_700_000_000.29, 1_700_000_000, 290_000_000),
        (1_700_000_000.123456789, 1_700_000_000, 123_457_000),
        (1.9999999, 2, 0),
        (LAST_SECOND + 0.5, LAST_SECOND, 500_000_000),
        (LAST_SECOND + 0.9999999, LAST_SECOND, 999_999_000),
        (LAST_SECOND + 1.0, LAST_SECOND, 999_999_000),
        (1e300, LAST_SECOND, 999_999_000),
        (float("inf"), LAST_SECOND, 999_999_000),
        (float("-inf"), 0, 0),
        (-1.5, 0, 0),
        (float("nan"), 0, 0),
    ],
)
def test_of_a_float(value, seconds, nanoseconds):
    assert event_time_of(value) == b"\xd7\x00" + struct.pack(">II", seconds, nanoseconds)
