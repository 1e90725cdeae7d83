from __future__ import annotations

import gzip

import msgpack
import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.conversion import as_v1, converting, with_event_time
from firstseen.forward.frames import MAX_NAME
from firstseen.forward.groups import END_MARKER
from firstseen.forward.outgoing import Frame, outgoing
from firstseen.forward.times import event_time
from firstseen.steps import Steps
from support import peer_frames, wire

NOW = 1_700_000_000_123_456_789
PLAIN = [peer_frames.entry_v1({"n": number}, NOW) for number in range(40)]
WITH_METADATA = [peer_frames.entry_v2({"n": number}, NOW, {"k": number}) for number in range(40)]
LIMIT = 1 << 20


def frame_of(raw: bytes, **how) -> Frame:
    return outgoing(wire.chunk_of(raw), **{"require_ack": True, "random_bytes": bytes, **how})


def parsed(frame: Frame) -> peer_frames.Frame:
    raw = b"".join(frame.pieces)
    assert frame.size == len(raw)
    return peer_frames.parse(raw)


def entries(frame: Frame) -> list[bytes]:
    return [b"\x92" + entry.raw_time + entry.raw_record for entry in parsed(frame).entries]


@pytest.mark.parametrize("build", [peer_frames.forward, peer_frames.packed, peer_frames.compressed])
def test_every_mode(build):
    for chunk in ("c-1", None):
        frame = frame_of(build("t", WITH_METADATA, fmt="x", **({"chunk": chunk} if chunk else {})))
        made = as_v1(frame, LIMIT)
        assert entries(made) == PLAIN
        assert (made.chunk, made.tag) == (frame.chunk, "t")
        assert parsed(made).option == parsed(frame).option
        assert parsed(made).mode == parsed(frame).mode
        assert as_v1(made, LIMIT) is made


@pytest.mark.parametrize("empty", ["80", "de 00 00", "df 00 00 00 00"])
@pytest.mark.parametrize("record", ["80", "81 a1 6d 01", "de 00 00", "df 00 00 00 01 a1 6d 01"])
@pytest.mark.parametrize("time", ["d7 00 65 53 f1 00 0a 0a 0a 0a", "d7 00 ff ff ff fe 00 00 00 01", "01"])
def test_empty_metadata_of_every_width(empty, record, time):
    entry = bytes.fromhex("92" + "92" + time + empty + record)
    made = as_v1(frame_of(peer_frames.forward("t", [entry])), LIMIT)
    assert entries(made) == [bytes.fromhex("92" + time + record)]


@pytest.mark.parametrize("record", ["01", "90", "c0"])
def test_an_entry_without_a_record_stays_beside_others(record):
    broken = bytes.fromhex("92 92 d7 00 65 53 f1 00 00 00 00 00 df 00 00 00 00" + record)
    made = as_v1(frame_of(peer_frames.forward("t", [broken, WITH_METADATA[0]])), LIMIT)
    assert broken + PLAIN[0] in b"".join(made.pieces)


@pytest.mark.parametrize("build", [peer_frames.forward, peer_frames.packed, peer_frames.compressed])
def test_nothing_to_do(build):
    frame = frame_of(build("t", PLAIN, chunk="c-1"))
    assert as_v1(frame, LIMIT) is frame
    assert with_event_time(frame) is frame


@pytest.mark.parametrize("build", [peer_frames.forward, peer_frames.packed, peer_frames.compressed])
def test_the_size_goes_where_markers_go(build):
    made = as_v1(frame_of(build("t", [*PLAIN, END_MARKER], chunk="c-1", size=41)), LIMIT)
    assert entries(made) == PLAIN
    assert {name: parsed(made).option.get(name) for name in ("chunk", "size")} == {"chunk": "c-1", "size": None}
    made = as_v1(frame_of(build("t", WITH_METADATA, chunk="c-1", size=40)), LIMIT)
    assert parsed(made).option["size"] == 40


def test_a_compressed_chunk_of_markers_leaves_an_empty_array():
    frame = frame_of(peer_frames.compressed("t", [END_MARKER], chunk="c-1", size=1))
    made = as_v1(frame, LIMIT)
    assert b"".join(made.pieces) == b"\x93\xa1t\x90" + msgpack.packb({"chunk": "c-1"})
    assert made.chunk == "c-1"


def test_a_frame_in_many_pieces():
    frame = frame_of(peer_frames.forward("t" * 300, WITH_METADATA), tag="another.tag")
    raw = b"".join(frame.pieces)
    bytewise = Frame(frame.tag, tuple(raw[at : at + 1] for at in range(len(raw))), len(raw), frame.chunk)
    made = as_v1(bytewise, LIMIT)
    assert (made.tag, made.chunk, entries(made)) == ("another.tag", frame.chunk, PLAIN)


@pytest.mark.parametrize(
    "raw", [msgpack.packb(["t" * MAX_NAME, [[0.5, {}]]]), msgpack.packb(["t" * MAX_NAME, 0.5, {}])]
)
def test_a_tag_may_have_become_longer_than_any_that_comes_in(raw):
    tag = "alert." + "t" * MAX_NAME
    frame = outgoing(wire.chunk_of(raw), require_ack=False, random_bytes=bytes, tag=tag)
    for made in (as_v1(frame, LIMIT), with_event_time(frame)):
        assert (made.tag, parsed(made).tag) == (tag, tag)


def test_what_was_held_in_the_receivers_memory_is_let_go():
    chunk = wire.chunk_of(peer_frames.forward("t", WITH_METADATA, chunk="c-1"))
    made = as_v1(outgoing(chunk, require_ack=True, random_bytes=bytes), LIMIT)
    assert not any(isinstance(piece, memoryview) and piece.obj is chunk.data for piece in made.pieces)


def test_a_message_with_a_float_time():
    raw = msgpack.packb(["t", 1_700_000_000.25, {"m": 1}, {"chunk": "c-1", "metadata": {"k": 1}}])
    frame = frame_of(raw)
    for made, option in (
        (with_event_time(frame), {"chunk": "c-1", "metadata": {"k": 1}}),
        (as_v1(frame, LIMIT), {"chunk": "c-1"}),
    ):
        assert (made.chunk, parsed(made).option) == ("c-1", option)
        assert [(entry.time_ns, entry.record) for entry in parsed(made).entries] == [
            (1_700_000_000_250_000_000, {"m": 1})
        ]
        assert with_event_time(made) is made


@pytest.mark.parametrize("tag", ["t", "t" * 31, "t" * 32, "\U0001f511" * 70, "\udcff" * 65_536, ""], ids=len)
def test_a_float_is_seen_behind_any_tag(tag):
    opening = b"\x93" + msgpack.packb(tag, unicode_errors="surrogateescape")
    raw = opening + msgpack.packb(0.5) + b"\x80"
    frame = frame_of(raw, require_ack=False)
    bytewise = Frame(frame.tag, tuple(raw[at : at + 1] for at in range(len(raw))), len(raw), None)
    for each in (frame, bytewise):
        assert b"".join(with_event_time(each).pieces) == opening + event_time(0, 500_000_000) + b"\x80"


@pytest.mark.parametrize(
    "raw",
    [
        peer_frames.message("t", {"m": 1}, NOW, chunk="c-1"),
        msgpack.packb(["t", 1, {"m": 0.5}]),
        msgpack.packb(["t", [[0.5, {}]]]),
        msgpack.packb(["t", b""]),
    ],
)
def test_other_frames_are_only_glanced_at(raw):
    frame = frame_of(raw, require_ack=False)
    broken = Frame("t", (raw[:16],), 16, None)
    assert with_event_time(frame) is frame
    assert with_event_time(broken) is broken


@pytest.mark.parametrize("signal", [1, 2, 7])
def test_frames_that_carry_no_logs_stay(signal):
    for raw in (
        peer_frames.packed("t", WITH_METADATA, fluent_signal=signal),
        peer_frames.message("t", {}, NOW, fluent_signal=signal, metadata={}),
    ):
        frame = frame_of(raw)
        assert as_v1(frame, LIMIT) is frame


def test_content_is_bounded():
    frame = frame_of(peer_frames.compressed("t", WITH_METADATA))
    with pytest.raises(ProtocolError, match="more than 100 bytes"):
        as_v1(frame, 100)


@pytest.mark.parametrize(
    ("blob", "options", "reason"),
    [
        (b"\xc1", {}, "no msgpack"),
        (gzip.compress(b"\x92\x00", mtime=0), {"compressed": "gzip"}, "middle"),
        (b"nonsense" * 9, {"compressed": "gzip"}, "broken gzip"),
        (b"\x28\xb5\x2f\xfd", {}, "zstd"),
        (b"nonsense", {"compressed": "snappy"}, "snappy"),
    ],
)
def test_content_that_cannot_be_walked(blob, options, reason):
    with pytest.raises(ProtocolError, match=reason):
        as_v1(frame_of(msgpack.packb(["t", blob, options])), LIMIT)


def test_half_a_frame_is_a_mistake_of_ours():
    with pytest.raises(AssertionError, match="whole"):
        as_v1(Frame("t", (b"\x92\xa1t\x91",), 4, None), LIMIT)


def test_many_odd_entries_are_many_steps():
    """One of them takes some 15 µs, and there is room for hundreds of thousands in a chunk of a few kilobytes."""
    count = 20_000
    frame = frame_of(peer_frames.compressed("t", [peer_frames.entry_v2({}, NOW, {"a": 1})] * count))
    made: list[Frame] = []

    def all_of_them() -> Steps[None]:
        made.append((yield from converting(frame, 1 << 22)))

    assert sum(1 for _ in all_of_them()) >= count // 256
    assert entries(made[0]) == [peer_frames.entry_v1({}, NOW)] * count
