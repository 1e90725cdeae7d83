from __future__ import annotations

import pytest

from firstseen.forward.entries import Entries, walk
from firstseen.forward.groups import (
    END_MARKER,
    GROUP_END,
    GROUP_START,
    Bracketed,
    Group,
    bracketed,
    groups,
    is_group_marker,
)
from firstseen.forward.times import event_time

START = b"\x92\x92" + event_time(GROUP_START, 0) + b"\x80\x81\xa1s\x01"
RECORD = b"\x92\x01\x81\xa1m\x01"
LOOKALIKE = b"\x92\x01\x81\xa1m\xc4\x14" + event_time(GROUP_START, 0) + event_time(GROUP_END, 0)


def found(*entries: bytes) -> list[tuple[int, int, int, int | None]]:
    """The groups among ``entries``, by the numbers of entries: opening, first record, stop and closing."""
    data = b"".join(entries)
    number = {len(b"".join(entries[:count])): count for count in range(len(entries) + 1)}
    result = []
    for group in groups(walk(data, 0, len(data))):
        assert number[group.opening[1]] == number[group.opening[0]] + 1
        assert group.closing is None or number[group.closing[1]] == number[group.closing[0]] + 1
        closing = group.closing and number[group.closing[0]]
        result.append((number[group.opening[0]], number[group.opening[1]], number[group.stop], closing))
    return result


MARKERS = [
    (event_time(GROUP_START, 0), True),
    (event_time(GROUP_END, 0), True),
    (b"\xc7\x08" + event_time(GROUP_START, 0)[1:], True),
    (b"\xc9\x00\x00\x00\x08" + event_time(GROUP_END, 0)[1:], True),
    (event_time(GROUP_START, 1), False),
    (event_time(GROUP_END - 1, 0), False),
    (event_time(0, 0), False),
    (b"\xd7\x01\xff\xff\xff\xff\x00\x00\x00\x00", False),
    (b"\xce\xff\xff\xff\xff", False),
    (b"\xc4\x08\xff\xff\xff\xff\x00\x00\x00\x00", False),
    (b"\xc0", False),
]


@pytest.mark.parametrize(("raw", "marker"), [*MARKERS, (b"", False), (event_time(GROUP_START, 0)[:-1], False)])
def test_group_marker(raw, marker):
    assert is_group_marker(raw, 0, len(raw)) is marker


def test_our_own_end_marker_is_the_one_of_fluent_bit():
    assert bytes.fromhex("9292d700fffffffe00000000df00000000df00000000") == END_MARKER


@pytest.mark.parametrize("array", [b"\x92", b"\xdc\x00\x02", b"\xdd\x00\x00\x00\x02"])
@pytest.mark.parametrize("ext", [b"\xd7", b"\xc7\x08", b"\xc8\x00\x08", b"\xc9\x00\x00\x00\x08"])
def test_every_form_of_a_marker(array, ext):
    start, end = (ext + event_time(seconds, 0)[1:] for seconds in (GROUP_START, GROUP_END))
    assert found(2 * array + start + b"\x80\x80", RECORD, 2 * array + end + b"\x80\x80", RECORD) == [(0, 1, 2, 2)]
    assert found(array + start + b"\x80", RECORD, array + end + b"\x80", RECORD) == [(0, 1, 2, 2)]


@pytest.mark.parametrize("time", [raw for raw, marker in MARKERS if not marker])
def test_times_that_are_nearly_markers(time):
    for entry in (b"\x92" + time + b"\x80", b"\x92\x92" + time + b"\x80\x80"):
        assert found(entry, START, entry, END_MARKER, entry) == [(1, 2, 3, 3)]


def test_none():
    assert found() == []
    assert found(RECORD, RECORD) == []
    assert found(RECORD, END_MARKER, RECORD, END_MARKER) == []


def test_nothing_is_walked_where_no_start_marker_can_be():
    class Unwalked(Entries):
        def around(self, offsets):
            raise AssertionError(offsets)

    data = END_MARKER + RECORD
    assert groups(Unwalked(data, 0, len(data), [0, len(END_MARKER), len(data)])) == ()


def test_only_the_entries_are_searched():
    data = START + RECORD + START
    assert groups(walk(data, len(START), len(START + RECORD))) == ()


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([START, RECORD, RECORD, END_MARKER, RECORD], [(0, 1, 3, 3)]),
        ([START, END_MARKER], [(0, 1, 1, 1)]),
        ([START], [(0, 1, 1, None)]),
        ([RECORD, START, RECORD], [(1, 2, 3, None)]),
        ([START, RECORD, START, RECORD, END_MARKER], [(0, 1, 2, None), (2, 3, 4, 4)]),
        ([START, END_MARKER, END_MARKER, START, RECORD, END_MARKER], [(0, 1, 1, 1), (3, 4, 5, 5)]),
        ([END_MARKER, START, RECORD], [(1, 2, 3, None)]),
        ([LOOKALIKE, START, LOOKALIKE, END_MARKER, LOOKALIKE], [(1, 2, 3, 3)]),
        ([LOOKALIKE], []),
        ([b"\x92\x93" + event_time(GROUP_START, 0) + b"\x80\x80\x80"], []),
        ([RECORD, b"\x93" + event_time(GROUP_START, 0) + b"\x80\x80"], []),
        ([START, *[RECORD] * 3 * 16, END_MARKER], [(0, 1, 1 + 3 * 16, 1 + 3 * 16)]),
    ],
)
def test_groups(entries, expected):
    assert found(*entries) == expected


def test_a_time_on_its_own_is_no_entry():
    data = RECORD + event_time(GROUP_START, 0) + START
    at = len(data) - len(START)
    assert list(groups(walk(data, 0, len(data)))) == [Group((at, len(data)), len(data), None)]


def test_what_stays_is_a_view_of_the_chunk():
    data = bytearray(START + RECORD + END_MARKER)
    record = memoryview(data)[len(START) : len(START + RECORD)]
    group = Group((0, len(START)), len(START + RECORD), (len(START + RECORD), len(data)))
    result = bracketed(data, [group], [(len(START), len(START + RECORD), record)])
    assert isinstance(result.pieces[0], memoryview)
    assert [bytes(piece) for piece in result.pieces] == [START, RECORD, END_MARKER]
    assert result.pieces[0].obj is data
    assert result.pieces[1] is record
    assert result.added == 2


def test_nothing_kept():
    assert bracketed(START, groups(walk(START, 0, len(START))), []) == Bracketed([], 0)
