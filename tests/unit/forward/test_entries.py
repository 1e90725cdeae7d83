from __future__ import annotations

import msgpack
import pytest

import firstseen.forward.entries as entries_module
from firstseen.errors import ProtocolError
from firstseen.forward.entries import BATCH, MAX_CHUNK_DEPTH, SLICE, Entries, Walk, behind, check, walk

ENTRY = b"\x92\x01\x80"


def feed(steps: Walk, data: bytes) -> None:
    steps.feed(data, 0, len(data))


def test_walk_steps_over_whole_objects_only():
    steps = Walk(3, 100)
    assert not steps.advance()
    feed(steps, ENTRY + ENTRY[:2])
    assert (steps.advance(), steps.count) == (False, 1)
    feed(steps, ENTRY[2:] + ENTRY + b"the rest")
    assert (steps.advance(), steps.count, steps.position) == (True, 3, 9)


def test_walk_over_nothing_is_done():
    steps = Walk(0, 100)
    assert (steps.advance(), steps.count, steps.position, list(steps.offsets)) == (True, 0, 0, [0])


def test_walk_notes_where_each_object_begins_wherever_the_bytes_are_cut():
    data = ENTRY * 10
    for cut in range(len(data)):
        steps = Walk(10, 100)
        for piece in (data[:cut], data[cut:]):
            feed(steps, piece)
            steps.advance()
        assert (steps.count, list(steps.offsets)) == (10, list(range(0, 31, 3))), cut


def test_walk_is_not_stopped_by_an_object_larger_than_a_slice():
    data = msgpack.packb([1, {"m": "x" * 3 * SLICE}]) + ENTRY
    steps = Walk(2, len(data))
    done = [steps.advance()]
    for at in range(0, len(data), SLICE):
        feed(steps, data[at : at + SLICE])
        done.append(steps.advance())
    assert done == [False, False, False, False, True]
    assert steps.position == len(data)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_walk_names_what_is_no_msgpack(stop):
    steps = Walk(9, 100)
    feed(steps, (ENTRY + b"\x92\x01\xc1")[stop:])
    with pytest.raises(ProtocolError, match="no msgpack"):
        steps.advance()


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\x01"])
def test_walk_names_what_is_too_deep(opening):
    steps = Walk(1, 1 << 16)
    feed(steps, opening * MAX_CHUNK_DEPTH + b"\x01")
    assert steps.advance()
    steps = Walk(1, 1 << 16)
    feed(steps, opening * (MAX_CHUNK_DEPTH + 1))
    with pytest.raises(ProtocolError, match="deeper than 1024"):
        steps.advance()


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_entries_of_a_blob(count):
    data = b"..." + ENTRY * count + b"..."
    entries = walk(data, 3, len(data) - 3)
    spans = [(at, at + 3) for at in range(3, len(data) - 3, 3)]
    assert (entries.count, list(entries.every())) == (count, spans)
    assert list(entries.around(range(3, len(data) - 3))) == spans


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


@pytest.mark.parametrize("count", [0, 1, 40])
@pytest.mark.parametrize("half", [b"\x92", b"\x92\x01", b"\x92\x01\xdf\x00", b"\xdd\xff\xff\xff\xff"])
def test_a_blob_that_ends_inside_an_entry(count, half):
    data = ENTRY * count + half
    with pytest.raises(ProtocolError, match="in the middle"):
        walk(data, 0, len(data))


def test_entries_of_a_forward_frame_need_no_blob():
    data = bytearray(b"\x92\xa1t\x92" + ENTRY * 2)
    assert list(Entries(data, 4, 10, [0, 3, 6]).every()) == [(4, 7), (7, 10)]


TIME = b"\xd7\x00\x6a" + bytes(7)
V1 = b"\x92" + TIME + b"\x80"
V2 = b"\x92\x92" + TIME + b"\xdf\x00\x00\x00\x00" + b"\x80"


@pytest.mark.parametrize("entry", [V1, V2, b"\x92" + TIME + b"\xdf\x00\x00\x00\x00"])
@pytest.mark.parametrize("count", [1, 2, BATCH, BATCH + 1])
def test_entries_that_look_alike_are_fine(entry, count):
    data = entry * count + bytes(8)
    assert check(walk(data, 0, len(entry) * count))


@pytest.mark.parametrize(
    ("first", "usual"), [(0x00, True), (0x01, False), (0x40, True), (0x8F, True), (0x90, False), (0xFE, False)]
)
def test_entries_of_any_year_are_fine_and_those_of_a_few_decades_are_usual(first, usual):
    entry = V1.replace(b"\x6a", bytes((first,)))
    assert check(walk(entry * 3, 0, len(entry) * 3)) is usual


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY,
        b"\x92\x92" + TIME + b"\x80\x80",
        b"\xdc\x00\x02\x01\x80",
        b"\xdd\x00\x00\x00\x02\xd3" + bytes(8) + b"\x80",
        b"\x92\xcb" + bytes(8) + b"\x81\x01\x02",
        b"\x92\xca" + bytes(4) + b"\x80",
        b"\x92\xff\x80",
        b"\x92\xc7\x08\x00" + bytes(8) + b"\x80",
        b"\x92\xdc\x00\x02\x01\x81\xa1m\x81\x01\x02\xde\x00\x00",
    ],
)
@pytest.mark.parametrize("before", [b"", V1, V2, V1 * BATCH])
def test_entries_of_every_other_form_are_fine_too(entry, before):
    data = before + entry + V1
    assert not check(walk(data, 0, len(data)))


FAULTS = {
    b"\x01": "int",
    b"\x80": "map",
    b"\x91\x01": "array of 1",
    b"\x93\x01\x80\x80": "array of 3",
    b"\xc0": "nil",
    b"\x92\xc0\x80": "its time is nil",
    b"\x92\xa1t\x80": "its time is str",
    b"\x92\xd7\x01" + bytes(8) + b"\x80": "its time is ext",
    b"\x92\xd6\x00" + bytes(4) + b"\x80": "its time is ext",
    b"\x92" + TIME + b"\x05": "its record is int",
    b"\x92" + TIME + b"\xc0": "its record is nil",
    b"\x92\x91\x01\x80": "its header is array of 1",
    b"\x92\x92\xc0\x80\x80": "its time is nil",
    b"\x92\x92\x01\x02\x80": "its metadata is int",
    b"\x92\x92\x92\x01\x80\x80\x80": "its time is array of 2",
    b"\x92\x92" + TIME + b"\x80\x90": "its record is array of 0",
}


@pytest.mark.parametrize("entry", FAULTS, ids=FAULTS.values())
@pytest.mark.parametrize("before", [0, 1, BATCH - 1, BATCH, 2 * BATCH + 5])
@pytest.mark.parametrize("usual", [V1, V2])
def test_what_is_no_entry_is_named_with_its_place(entry, before, usual):
    data = usual * before + entry + usual
    with pytest.raises(ProtocolError) as caught:
        check(walk(data, 0, len(data)))
    assert str(caught.value) == f"entry {before + 1} of {before + 2} is no [time, record]: {FAULTS[entry]}"


@pytest.mark.parametrize(
    "raw",
    ["c0", "07", "cf 00 00 00 00 00 00 00 01", "a0", "a1 61", "c4 01 00", "90", "df 00 00 00 00", "92 81 01 02 90"],
)
def test_behind_an_object(raw):
    data = b"before" + bytes.fromhex(raw)
    for each in (data + b"\x80", bytearray(data + b"\x80"), memoryview(data + b"\x80")):
        assert behind(each, 6, len(each)) == len(data)


def test_behind_a_large_object():
    data = msgpack.packb([0] * 10_000)
    assert behind(data + data, 0, 2 * len(data)) == len(data)


def test_behind_nothing():
    with pytest.raises(AssertionError, match="walked"):
        behind(b"\xd9", 0, 1)


LONGEST_EXT = b"\xc9\xff\xff\xff\xff"


@pytest.mark.parametrize("cut", range(6))
def test_the_longest_ext_is_not_taken_for_nothing_wherever_it_is_cut(cut):
    data = b"\x00" + LONGEST_EXT + b"\x00" * 9
    steps = Walk(9, 100)
    for start, stop in ((0, 1 + cut), (1 + cut, len(data))):
        steps.feed(data, start, stop)
        assert not steps.advance()
    assert steps.count == 1


@pytest.mark.parametrize("cut", range(13))
def test_its_bytes_may_stand_in_a_text(cut):
    data = b"\xab" + LONGEST_EXT + LONGEST_EXT + b"x" + b"\x07"
    steps = Walk(2, 100)
    steps.feed(data, 0, cut)
    steps.advance()
    steps.feed(data, cut, len(data))
    assert (steps.advance(), list(steps.offsets)) == (True, [0, 12, 13])


def test_entries_are_searched_window_by_window_and_each_to_its_end(monkeypatch):
    monkeypatch.setattr(entries_module, "SEARCHED", 10)
    data = ENTRY * 5 + msgpack.packb([1, {"m": "x" * 40}]) + ENTRY * 5
    found = walk(data, 0, len(data))
    asked = []

    def search(start, behind):
        asked.append((start, behind))
        hits = ((0, "a"), (1, "b"), (7, "a"), (20, "c"), (30, "d"), (50, "c"), (61, "e"), (75, "a"))
        return [hit for hit in hits if start <= hit[0] < behind]

    assert list(found.around_hits(search)) == [
        (0, 3, {"a", "b"}),
        (6, 9, {"a"}),
        (15, 62, {"c", "d", "e"}),
        (74, 77, {"a"}),
    ]
    assert asked == [(0, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 60), (60, 62), (62, 72), (72, 77)]
    asked.clear()
    assert list(found.around_hits(search, first=2, behind_last=6)) == [(6, 9, {"a"}), (15, 62, {"c", "d", "e"})]
    assert asked == [(6, 16), (16, 26), (26, 36), (36, 46), (46, 56), (56, 62)]
    asked.clear()
    assert list(found.around_hits(search, "d")) == [
        (0, 3, {"a", "b"}),
        (6, 9, {"a"}),
        (15, 62, {"c", "d"}),
        (74, 77, {"a"}),
    ]
    assert asked == [(0, 10), (10, 20), (20, 30), (30, 40), (62, 72), (72, 77)]
