from __future__ import annotations

import msgpack
import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.entries import MAX_DEPTH, SLICE, STRIDE, Entries, Walk, walk

ENTRY = b"\x92\x01\x80"


def test_walk_steps_over_whole_objects_only():
    steps = Walk(3, 100)
    assert not steps.advance()
    steps.feed(ENTRY + ENTRY[:2])
    assert (steps.advance(), steps.count) == (False, 1)
    steps.feed(ENTRY[2:] + ENTRY + b"the rest")
    assert (steps.advance(), steps.count, steps.position) == (True, 3, 9)


def test_walk_over_nothing_is_done():
    steps = Walk(0, 100)
    assert (steps.advance(), steps.count, steps.position, list(steps.marks)) == (True, 0, 0, [])


def test_walk_marks_every_stride_wherever_the_bytes_are_cut():
    data = ENTRY * 10
    for cut in range(len(data)):
        steps = Walk(10, 100, stride=4)
        for piece in (data[:cut], data[cut:]):
            steps.feed(piece)
            steps.advance()
        assert (steps.count, list(steps.marks)) == (10, [0, 12, 24]), cut


def test_walk_is_not_stopped_by_an_object_larger_than_a_slice():
    data = msgpack.packb([1, {"m": "x" * 3 * SLICE}]) + ENTRY
    steps = Walk(2, len(data))
    done = [steps.advance()]
    for at in range(0, len(data), SLICE):
        steps.feed(data[at : at + SLICE])
        done.append(steps.advance())
    assert done == [False, False, False, False, True]
    assert steps.position == len(data)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_walk_names_what_is_no_msgpack(stop):
    steps = Walk(None, 100)
    steps.feed((ENTRY + b"\x92\x01\xc1")[stop:])
    with pytest.raises(ProtocolError, match="no msgpack"):
        steps.advance()


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\x01"])
def test_walk_names_what_is_too_deep(opening):
    steps = Walk(1, 1 << 16)
    steps.feed(opening * MAX_DEPTH + b"\x01")
    assert steps.advance()
    steps = Walk(1, 1 << 16)
    steps.feed(opening * (MAX_DEPTH + 1))
    with pytest.raises(ProtocolError, match="deeper than 1024"):
        steps.advance()


@pytest.mark.parametrize("count", [0, 1, STRIDE - 1, STRIDE, STRIDE + 1, 3 * STRIDE])
def test_entries_of_a_blob(count):
    data = b"..." + ENTRY * count + b"..."
    entries = walk(data, 3, len(data) - 3)
    spans = [(at, at + 3) for at in range(3, len(data) - 3, 3)]
    assert (entries.count, list(entries.every())) == (count, spans)
    assert list(entries.marks) == list(range(0, 3 * count, 3 * STRIDE))
    assert list(entries.around(range(3, len(data) - 3))) == spans
    assert list(entries.last_stride()) == spans[(count - 1) // STRIDE * STRIDE :]


def test_entries_around_a_few_offsets():
    data = msgpack.packb([1, {"m": 1}]) * 40
    entries = walk(data, 0, len(data))
    assert list(entries.around([])) == []
    assert list(entries.around([0, 1, 5, 6, 100, 101, len(data) - 1])) == [(0, 6), (6, 12), (96, 102), (234, 240)]


def test_a_blob_larger_than_a_slice():
    entry = msgpack.packb([1, {"m": "x" * 1000}])
    data = entry * (3 * SLICE // len(entry))
    entries = walk(data, 0, len(data))
    assert entries.count * len(entry) == len(data)
    assert list(entries.around([len(data) - 1])) == [(len(data) - len(entry), len(data))]


@pytest.mark.parametrize("count", [0, 1, STRIDE - 1, STRIDE, 2 * STRIDE])
@pytest.mark.parametrize("half", [b"\x92", b"\x92\x01", b"\x92\x01\xdf\x00", b"\xdd\xff\xff\xff\xff"])
def test_a_blob_that_ends_inside_an_entry(count, half):
    data = ENTRY * count + half
    with pytest.raises(ProtocolError, match="in the middle"):
        walk(data, 0, len(data))


@pytest.mark.parametrize("count", [0, STRIDE, 2 * STRIDE])
@pytest.mark.parametrize("other", [b"\x01", b"\x80", b"\x91\x01", b"\x93\x01\x80\x80", b"\xa1x", b"\xc0"])
def test_a_blob_of_what_is_visibly_no_entry(count, other):
    data = ENTRY * count + other
    with pytest.raises(ProtocolError, match="no \\[time, record\\]"):
        walk(data, 0, len(data))


def test_pairs_may_have_any_header():
    data = b"\x92\x01\x80" + b"\xdc\x00\x02\x01\x80" + b"\xdd\x00\x00\x00\x02\x01\x80"
    assert [stop for _, stop in walk(data, 0, len(data)).every()] == [3, 8, 15]


def test_entries_of_a_forward_frame_need_no_blob():
    data = bytearray(b"\x92\xa1t\x92" + ENTRY * 2)
    assert list(Entries(data, 4, 10, 2, [0]).every()) == [(4, 7), (7, 10)]
