from __future__ import annotations

import msgpack
import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.frames import FIRST_SLICE, MAX_ELEMENTS, MAX_NAME, FrameReader
from firstseen.forward.messages import Mode, Options

FRAME = msgpack.packb(["app.log", [[1, {"m": "hi"}], [2, {}]], {"chunk": "abc", "size": 2}])


def test_a_frame_and_where_its_parts_are():
    data = bytearray(b".." + FRAME + b"..")
    chunk = FrameReader(100).next_frame(data, 2, len(data))
    assert chunk is not None
    assert (chunk.start, chunk.stop, chunk.size) == (2, 2 + len(FRAME), len(FRAME))
    assert (chunk.mode, chunk.tag, chunk.elements, chunk.count) == (Mode.FORWARD, "app.log", 3, 2)
    assert data[chunk.carrier : chunk.body] == b"\x92"
    assert data[chunk.body : chunk.body_stop] == b"\x92\x01\x81\xa1m\xa2hi\x92\x02\x80"
    assert chunk.option == chunk.body_stop
    assert msgpack.unpackb(data[chunk.option : chunk.option_stop]) == {"chunk": "abc", "size": 2}
    assert chunk.options == Options(chunk=b"\xa3abc")
    assert list(chunk.offsets) == [0, 8, 11]
    assert chunk.data is data


@pytest.mark.parametrize(
    ("frame", "body", "option", "behind"),
    [
        ("93 a1 74 01 80", "01 80", "", ""),
        ("94 a1 74 01 80 c0", "01 80", "c0", ""),
        ("95 a1 74 01 80 81 01 02 c3", "01 80", "81 01 02", "c3"),
        ("92 a1 74 90", "", "", ""),
        ("95 a1 74 91 92 01 80 80 c3 c2", "92 01 80", "80", "c3 c2"),
        ("92 a1 74 a3 92 01 80", "92 01 80", "", ""),
        ("94 a1 74 c5 00 03 92 01 80 df 00 00 00 00 90", "92 01 80", "df 00 00 00 00", "90"),
    ],
)
def test_parts_in_every_mode(frame, body, option, behind):
    data = bytearray.fromhex(frame)
    chunk = FrameReader(100).next_frame(data, 0, len(data))
    assert chunk is not None
    parts = (data[chunk.body : chunk.body_stop], data[chunk.body_stop : chunk.option_stop], data[chunk.option_stop :])
    assert parts == tuple(map(bytes.fromhex, (body, option, behind)))
    assert chunk.option == (chunk.body_stop if option else None)


def test_the_unread_bytes_may_move_between_calls():
    reader = FrameReader(100)
    for stop in range(len(FRAME)):
        data = bytearray(stop) + FRAME[:stop]
        assert reader.next_frame(data, stop, 2 * stop) is None
    chunk = reader.next_frame(bytearray(FRAME), 0, len(FRAME))
    assert chunk is not None
    assert (chunk.tag, chunk.count, chunk.stop) == ("app.log", 2, len(FRAME))


def test_one_frame_at_a_time_and_the_next_one_anew():
    reader = FrameReader(100)
    data = bytearray(FRAME + b"\x92\xa1t\x90")
    assert [reader.next_frame(data, at, len(data)).tag for at in (0, len(FRAME))] == ["app.log", "t"]


def test_the_tag_is_known_once_it_is_there():
    reader = FrameReader(100)
    tags = []
    for stop in range(len(FRAME)):
        reader.next_frame(bytearray(FRAME), 0, stop)
        tags.append(reader.tag_in(bytearray(FRAME), 0))
    carrier = FRAME.index(b"\x92")
    assert tags == [None] * (carrier + 1) + ["app.log"] * (len(FRAME) - carrier - 1)
    reader.next_frame(bytearray(FRAME), 0, len(FRAME))
    assert reader.tag_in(bytearray(FRAME), 0) is None


@pytest.mark.parametrize(
    "frame", ["92 a1 74 a4 92 01 80 c0", "92 a1 74 c6 00 00 00 03 92 01 80", "92 a1 74 da 00 03 92 01 80"]
)
def test_a_blob_with_nothing_behind_it_is_waited_for(frame):
    data = bytearray.fromhex(frame)
    reader = FrameReader(100)
    assert [reader.next_frame(data, 0, stop) for stop in range(len(data))] == [None] * len(data)
    assert reader.next_frame(data, 0, len(data)) is not None


@pytest.mark.parametrize("size", [FIRST_SLICE - 1, FIRST_SLICE, FIRST_SLICE + 1, 20 * FIRST_SLICE])
def test_frames_larger_than_a_slice(size):
    frame = msgpack.packb(["t", [[1, {"m": "x" * size}], [2, {}]], {"other": "x" * size}])
    data = bytearray(frame + FRAME)
    reader = FrameReader(1 << 20)
    first = reader.next_frame(data, 0, len(data))
    assert first is not None
    assert (first.stop, first.count) == (len(frame), 2)
    assert reader.next_frame(data, first.stop, len(data)).stop == len(data)


def test_many_entries_have_their_offsets():
    data = bytearray(msgpack.packb(["t", [[1, {}]] * 40]))
    chunk = FrameReader(1000).next_frame(data, 0, len(data))
    assert chunk is not None
    assert list(chunk.offsets) == list(range(0, 121, 3))


def test_elements_without_end_are_not_waited_for():
    most = bytearray(b"\xdc\x00" + bytes((MAX_ELEMENTS,)) + b"\xa1t\x90\x80" + bytes(MAX_ELEMENTS - 3))
    assert FrameReader(1000).next_frame(most, 0, len(most)).elements == MAX_ELEMENTS
    with pytest.raises(ProtocolError, match="at most 16 elements"):
        FrameReader(1 << 24).next_frame(bytearray(b"\xdd\x00\x00\x00\x11"), 0, 5)


@pytest.mark.parametrize(
    ("frame", "tag"),
    [
        ("92 c4 01 74", None),
        ("92 a1 74 c3", "t"),
        ("92 a1 74 01", "t"),
        ("92 a1 74 91 c1", "t"),
        ("93 a1 74 90 01", "t"),
        ("92 a1 74 dd ff ff ff ff", "t"),
    ],
)
def test_errors_name_the_tag_where_it_is_known(frame, tag):
    data = bytearray.fromhex(frame)
    with pytest.raises(ProtocolError) as raised:
        FrameReader(100).next_frame(data, 0, len(data))
    assert raised.value.tag == tag


@pytest.mark.parametrize(
    ("named", "most"),
    [
        (lambda size: ["t" * size, [], {}], MAX_NAME),
        (lambda size: ["t", [], {"chunk": "c" * size}], MAX_NAME - len(b"\xda\xff\xff")),
        (lambda size: ["t", [], {"chunk": b"c" * size}], MAX_NAME - len(b"\xc5\xff\xff")),
        (lambda size: ["t", [], {"chunk": ["c" * size]}], MAX_NAME - len(b"\x91\xda\xff\xff")),
    ],
    ids=["tag", "id", "id that is a bin", "id in an array"],
)
def test_tags_and_chunk_ids_have_a_length(named, most):
    data = bytearray(msgpack.packb(named(most)))
    assert FrameReader(1 << 20).next_frame(data, 0, len(data)) is not None
    data = bytearray(msgpack.packb(named(most + 1)))
    with pytest.raises(ProtocolError, match=rf"has at most {MAX_NAME} bytes, not {MAX_NAME + 1}\b"):
        FrameReader(1 << 20).next_frame(data, 0, len(data))


def test_a_tag_that_is_too_long_is_not_waited_for():
    with pytest.raises(ProtocolError, match="a tag has at most 65536 bytes, not 65537"):
        FrameReader(1 << 20).next_frame(bytearray(b"\x93\xdb\x00\x01\x00\x01"), 0, 6)


@pytest.mark.parametrize("limit", range(1, len(FRAME)))
def test_the_limit_holds_whatever_is_there_already(limit):
    data = bytearray(FRAME + FRAME)
    reasons = set()
    for stop in (limit + 1, len(FRAME), len(data)):
        with pytest.raises(ProtocolError) as raised:
            FrameReader(limit).next_frame(data, 0, stop)
        reasons.add(str(raised.value))
    assert len(reasons) == 1
    assert FrameReader(len(FRAME)).next_frame(data, 0, len(data)) is not None
