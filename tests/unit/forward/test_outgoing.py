from __future__ import annotations

import base64

import msgpack
import pytest

from firstseen.forward.compression import Algorithm, deflate, inflate
from firstseen.forward.messages import Mode
from firstseen.forward.outgoing import MAX_CHUNK_ID, Body, Frame, derived_id, forward_frame, new_chunk_id, outgoing
from support import wire

ENTRIES = [[1, {"m": "one"}], [2, {"m": "two"}]]
BLOB = b"".join(map(msgpack.packb, ENTRIES))


def counted(size: int) -> bytes:
    return bytes(range(size))


NEW_ID = base64.b64encode(counted(16)).decode()


def passed(frame: bytes, **how) -> Frame:
    how = {"require_ack": True, "random_bytes": counted, **how}
    return outgoing(wire.chunk_of(frame), **how)


def sent(frame: Frame) -> bytes:
    return b"".join(frame.pieces)


def test_new_ids_are_128_bits_in_base64():
    assert new_chunk_id(counted) == "AAECAwQFBgcICQoLDA0ODw=="


def test_an_untouched_frame_is_one_piece_of_the_memory_it_came_in():
    frame = msgpack.packb(["t", ENTRIES, {"chunk": "abc"}])
    chunk = wire.chunk_of(frame)
    (piece,) = outgoing(chunk, require_ack=True, random_bytes=counted).pieces
    assert isinstance(piece, memoryview)
    assert piece.obj is chunk.data
    assert piece == frame


def test_what_stays_of_a_changed_frame_is_not_copied():
    entry = msgpack.packb([1, {"m": "x" * 10_000}])
    chunk = wire.chunk_of(b"\x92\xa1t\x91" + entry)
    frame = outgoing(chunk, require_ack=True, random_bytes=counted)
    assert [len(piece) for piece in frame.pieces if isinstance(piece, memoryview)] == [2, 1 + len(entry), 0]
    assert sum(len(piece) for piece in frame.pieces if not isinstance(piece, memoryview)) < 100


@pytest.mark.parametrize(
    ("chunk_id", "kept"),
    [
        (b"\xa3abc", "abc"),
        (b"\xb9EkdrZdFrnvozrbNwuU1Qqg==\n", "EkdrZdFrnvozrbNwuU1Qqg==\n"),
        (b"\xda" + MAX_CHUNK_ID.to_bytes(2, "big") + b"a" * MAX_CHUNK_ID, "a" * MAX_CHUNK_ID),
        (b"\xda" + (MAX_CHUNK_ID + 1).to_bytes(2, "big") + b"a" * (MAX_CHUNK_ID + 1), None),
        (b"\xa0", None),
        (b"\xa2\xc3\xa9", None),
        (b"\xa1\xff", None),
        (b"\xc4\x03abc", None),
        (b"\xc0", None),
        (b"\x07", None),
        (b"\x81\x01\x02", None),
    ],
)
def test_ids_are_kept_where_every_peer_can_echo_them(chunk_id, kept):
    original = b"\x93\xa1t\x90\x81\xa5chunk" + chunk_id
    frame = passed(original)
    assert frame.chunk == (kept or NEW_ID)
    assert (sent(frame) == original) == (kept is not None)
    assert wire.chunk_of(sent(frame)).options.chunk == (chunk_id if kept else msgpack.packb(NEW_ID))
    assert sent(passed(original, require_ack=False)) == original


def test_no_ack_no_id():
    frame = passed(msgpack.packb(["t", ENTRIES, {"chunk": "abc"}]), require_ack=False)
    assert frame.chunk is None


def test_a_frame_knows_its_size_and_tag():
    frame = passed(msgpack.packb(["t", ENTRIES]), tag="\udcffalert.é")
    assert frame.size == len(sent(frame))
    assert frame.tag == wire.chunk_of(sent(frame)).tag == "\udcffalert.é"


def test_new_entries_in_every_mode():
    new = msgpack.packb([3, {"m": "three"}])
    body = Body((new[:4], new[4:]), 1)
    assert body.size == len(new)
    assert msgpack.unpackb(sent(passed(msgpack.packb(["t", ENTRIES, {"chunk": "a"}]), body=body))) == [
        "t",
        [[3, {"m": "three"}]],
        {"chunk": "a"},
    ]
    assert msgpack.unpackb(sent(passed(msgpack.packb(["t", BLOB, {"chunk": "a"}]), body=body))) == [
        "t",
        new,
        {"chunk": "a"},
    ]
    message = Body((msgpack.packb(3) + msgpack.packb({"m": "three"}),), 1)
    assert msgpack.unpackb(sent(passed(msgpack.packb(["t", 1, {"m": 1}, {"chunk": "a"}]), body=message))) == [
        "t",
        3,
        {"m": "three"},
        {"chunk": "a"},
    ]


@pytest.mark.parametrize("size", [255, 256, 65_535, 65_536])
def test_blobs_of_every_width(size):
    frame = passed(msgpack.packb(["t", BLOB]), body=Body((b"\xc0" * size,), size))
    chunk = wire.chunk_of(sent(frame))
    assert (chunk.mode, chunk.body_stop - chunk.body) == (Mode.PACKED, size)


@pytest.mark.parametrize("count", [15, 16, 65_535, 65_536])
def test_arrays_that_grow_out_of_their_width(count):
    frame = passed(msgpack.packb(["t", ENTRIES]), body=Body((b"\x92\x01\x80" * count,), count))
    assert wire.chunk_of(sent(frame)).count == count


@pytest.mark.parametrize("kind", list(Algorithm))
def test_compressed_entries_anew(kind):
    name = kind.value
    original = msgpack.packb(["t", deflate(kind, [BLOB]), {"compressed": name, "chunk": "abc", "size": 2, "x": 1}])
    plain = wire.chunk_of(sent(passed(original, body=Body((BLOB,), 2))))
    assert (plain.options.compressed, bytes(plain.data[plain.body : plain.body_stop])) == (None, BLOB)
    body = Body((deflate(kind, [BLOB[:12]]),), 1, compressed=True, shortened=True)
    again = wire.chunk_of(sent(passed(original, body=body)))
    assert again.options.compressed == name
    assert inflate(kind, memoryview(again.data)[again.body : again.body_stop], 1000).data == BLOB[:12]
    assert msgpack.unpackb(again.data[again.option : again.option_stop]) == {
        "compressed": name,
        "chunk": "abc",
        "x": 1,
    }


@pytest.mark.parametrize(
    "pairs",
    [b"\x82\xaacompressed\xa4gzip\xaacompressed\xa4text", b"\x81\xc4\x0acompressed\xa4gzip", b"\x81\xaacompressed\xa0"],
)
def test_plain_entries_name_no_compression_whatever_was_named(pairs):
    original = b"\x93\xa1t" + msgpack.packb(BLOB) + pairs
    (_, blob, options) = msgpack.unpackb(sent(passed(original, body=Body((BLOB,), 2))), strict_map_key=False)
    assert (blob, list(options)) == (BLOB, ["chunk"])


def test_text_that_says_it_is_not_compressed_may_go_on_saying_so():
    original = msgpack.packb(["t", BLOB, {"compressed": "text", "chunk": "abc"}])
    chunk = wire.chunk_of(sent(passed(original, body=Body((BLOB,), 2))))
    assert chunk.options.compressed is None


def test_a_frame_of_our_own():
    frame = forward_frame("alert.t", Body((b"\x92\x01\x80",) * 16, 16), "an id")
    assert msgpack.unpackb(sent(frame)) == ["alert.t", [[1, {}]] * 16, {"chunk": "an id", "size": 16}]
    assert (frame.chunk, frame.size) == ("an id", len(sent(frame)))
    assert msgpack.unpackb(sent(forward_frame("t", Body((), 0), None))) == ["t", [], {"size": 0}]


def test_another_chunk_id():
    for options in ({"chunk": "abc", "x": 1}, {"x": 1}):
        frame = passed(msgpack.packb(["t", ENTRIES, options]), chunk_id="another")
        assert frame.chunk == "another"
        assert msgpack.unpackb(sent(frame))[-1] == {"chunk": "another", "x": 1}
    assert passed(msgpack.packb(["t", ENTRIES]), chunk_id="another").chunk == "another"


def test_derived_ids_are_the_same_each_time_and_differ():
    ids = [derived_id(chunk_id, what) for chunk_id in ("a", "ab", "\udcff") for what in ("part 0", "part 1", "bpart 0")]
    assert len(set(ids)) == len(ids)
    assert ids[0] == derived_id("a", "part 0")
    assert {len(each) for each in ids} == {24}


def test_nil_for_options_of_a_blob_becomes_a_map():
    frame = msgpack.packb(["t", BLOB, None])
    assert sent(passed(frame, require_ack=False)) == msgpack.packb(["t", BLOB, {}])
    assert sent(passed(msgpack.packb(["t", ENTRIES, None]), require_ack=False)) == msgpack.packb(["t", ENTRIES, None])


def test_options_that_stay_behind():
    frame = msgpack.packb(["t", ENTRIES, {"chunk": "abc", "metadata": {}, "fmt": 1}])
    made = passed(frame, without=("metadata", "absent"))
    assert sent(made) == msgpack.packb(["t", ENTRIES, {"chunk": "abc", "fmt": 1}])
    assert made.chunk == "abc"


def test_where_there_are_no_options_there_are_none_to_leave_behind():
    frame = msgpack.packb(["t", ENTRIES])
    assert sent(passed(frame, require_ack=False, without=("metadata",))) == frame
    body = Body((msgpack.packb(ENTRIES[0]),), 1, shortened=True)
    assert sent(passed(frame, require_ack=False, body=body)) == msgpack.packb(["t", ENTRIES[:1]])


@pytest.mark.parametrize("options", [{"chunk": "abc"}, {"chunk": "abc", "compressed": "gzip"}])
def test_a_blob_that_lost_all_its_entries_is_an_empty_array(options):
    frame = msgpack.packb(["t", BLOB, options])
    assert sent(passed(frame, body=Body((), 0, shortened=True))) == msgpack.packb(["t", [], {"chunk": "abc"}])
