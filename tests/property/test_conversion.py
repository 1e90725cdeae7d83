"""Frames for peers that read less, whatever legal encodings came in."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firstseen.forward.conversion import as_v1, with_event_time
from firstseen.forward.messages import Mode
from firstseen.forward.outgoing import Frame, outgoing
from firstseen.forward.times import LAST_SECOND, event_time_of
from firstseen.record.eventtime import read_time_ms
from support import oddpack, peer_frames
from support.frames import MARKER, Sent, sent_frames
from support.oddpack import Ext, Float
from support.wire import chunk_of

END = Ext(0, b"\xff\xff\xff\xfe\0\0\0\0")


def passed_on(sent: Sent) -> Frame:
    return outgoing(chunk_of(sent.frame), require_ack=True, random_bytes=bytes)


def joined(frame: Frame) -> bytes:
    return b"".join(frame.pieces)


def values(data: bytes) -> list[Any]:
    """The msgpack objects in ``data``, down to the width of each float."""
    return [oddpack.read(each)[0] for each in peer_frames.split(data)]


def with_converted_time(time: Any, record: Any) -> list[Any]:
    if isinstance(time, Float):
        time = oddpack.read(event_time_of(peer_frames.unpack(time.data)))[0]
    return [time, record]


def expected(entry: bytes) -> list[Any] | None:
    """What must become of an entry, None for a marker."""
    header, record = oddpack.read(entry)[0]
    time = header[0] if isinstance(header, list) else header
    return None if time in (MARKER, END) else with_converted_time(time, record)


@given(sent_frames([Mode.FORWARD, Mode.PACKED]))
def test_all_but_metadata_markers_and_floats_is_what_came(sent: Sent) -> None:
    """Every record and its time stay, in order; no entry has metadata, a float or a marker for its time."""
    made = chunk_of(joined(as_v1(passed_on(sent), 1 << 20)))
    wanted = [entry for entry in map(expected, sent.entries) if entry is not None]
    assert values(bytes(made.data[made.body : made.body_stop])) == wanted
    assert made.mode is Mode.PACKED or made.count == len(wanted)


@given(sent_frames([Mode.MESSAGE]))
def test_a_message_keeps_its_record_and_its_time(sent: Sent) -> None:
    """A Message is the same with an EventTime in the place of a float, for both kinds of peers."""
    frame = passed_on(sent)
    for made in (as_v1(frame, 1 << 20), with_event_time(frame)):
        _, time, record, *_ = values_of_array(joined(made))
        assert [time, record] == with_converted_time(*values(sent.body))


def values_of_array(array: bytes) -> list[Any]:
    return [oddpack.read(each)[0] for each in peer_frames.elements(array)]


@given(sent_frames())
def test_the_frame_stays_the_same_frame(sent: Sent) -> None:
    """Tag and awaited id stay; doing it again changes nothing; what need not change is the object that it was."""
    frame = passed_on(sent)
    for convert in (lambda each: as_v1(each, 1 << 20), with_event_time):
        made = convert(frame)
        assert (made.chunk, made.tag, made.size) == (frame.chunk, frame.tag, len(joined(made)))
        assert (made is frame) == (joined(made) == joined(frame))
        assert convert(made) is made
        if made.chunk is not None:
            assert peer_frames.unpack(chunk_of(joined(made)).options.chunk or b"\xc0") == made.chunk


@given(st.floats(0, LAST_SECOND + 1, exclude_max=True))
def test_a_float_reads_as_the_same_millisecond_afterwards(seconds: float) -> None:
    """The EventTime of a float is in the millisecond that the float itself is read as, and legal."""
    raw = event_time_of(seconds)
    packed = peer_frames.pack(seconds)
    last = LAST_SECOND * 1000 + 999
    assert read_time_ms(raw, 0, 10) == min(read_time_ms(packed, 0, 9) or 0, last)
    assert int.from_bytes(raw[2:6], "big") <= LAST_SECOND
    assert int.from_bytes(raw[6:], "big") <= 999_999_999
