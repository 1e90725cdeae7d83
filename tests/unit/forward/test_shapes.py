import gzip
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.content import content_of
from firstseen.forward.outgoing import Frame, derived_id
from firstseen.forward.shapes import PIECE, Edit, Shaper
from support.wire import chunk_of

TIME = msgpack.ExtType(0, bytes.fromhex("6553f100075bcd15"))
START, END = (msgpack.ExtType(0, bytes.fromhex(seconds + "00000000")) for seconds in ("ffffffff", "fffffffe"))
LIMIT = 1 << 26


def entry(number: int, size: int = 0) -> list[Any]:
    return [TIME, {"n": number, "m": "x" * size}]


def packed(entries: Sequence[Any]) -> bytes:
    return b"".join(map(msgpack.packb, entries))


def forward(entries: Sequence[Any], **options: Any) -> bytes:
    return msgpack.packb(["t", entries, {"chunk": "abc", "size": len(entries), **options}])


def raw(frame: Frame) -> bytes:
    return b"".join(bytes(piece) for piece in frame.pieces)


def shaped(data: bytes, edits: Sequence[Edit] = (), **settings: Any) -> Sequence[Frame]:
    shaper = Shaper(**{"max_frame": 10_000, "tag_prefix": "", "require_ack": True, "random_bytes": bytes, **settings})
    frames = shaper.frames(content_of(chunk_of(data), LIMIT), edits)
    assert [frame.size for frame in frames] == [len(raw(frame)) for frame in frames]
    return frames


def edit(data: bytes, number: int, new: Any, *, apart: bool = True) -> Edit:
    start, stop = list(content_of(chunk_of(data), LIMIT).entries.every())[number]
    return Edit(start, stop, b"" if new is None else msgpack.packb(new), apart)


def entries_of(frame: Frame) -> list[Any]:
    _, carrier, *_ = msgpack.unpackb(raw(frame), strict_map_key=False)
    if not isinstance(carrier, bytes):
        return list(carrier)
    unpacker = msgpack.Unpacker()
    unpacker.feed(carrier)
    return list(unpacker)


def ids(frames: Sequence[Frame]) -> list[str | None]:
    assert [msgpack.unpackb(raw(frame))[-1].get("chunk") for frame in frames] == [frame.chunk for frame in frames]
    return [frame.chunk for frame in frames]


@pytest.mark.parametrize("make", [forward, lambda entries: msgpack.packb(["t", packed(entries), {"chunk": "abc"}])])
def test_what_is_too_large_is_cut(make):
    entries = [entry(number, 400) for number in range(100)]
    data = make(entries)

    frames = shaped(data)

    assert [each for frame in frames for each in entries_of(frame)] == entries
    assert all(frame.size <= 10_000 for frame in frames)
    assert len(frames) == 5
    assert ids(frames) == [derived_id("abc", f"part {number}") for number in range(5)]
    assert all("size" not in msgpack.unpackb(raw(frame))[-1] for frame in frames)


def test_what_is_just_small_enough_is_not():
    data = forward([entry(1, 400)] * 20)

    assert [raw(frame) for frame in shaped(data, max_frame=len(data))] == [data]
    assert len(shaped(data, max_frame=len(data) - 1)) == 2


def test_an_entry_that_is_larger_than_a_frame_leaves_alone():
    entries = [entry(1), entry(2, 20_000), entry(3)]

    frames = shaped(forward(entries))

    assert [entries_of(frame) for frame in frames] == [[each] for each in entries]


def test_what_is_cut_takes_a_piece_of_memory_a_part_and_none_an_entry():
    entries = [entry(number) for number in range(1_000)]
    data = forward(entries)

    frames = shaped(data, [edit(data, 500, entry(-1))])

    assert [each for frame in frames for each in entries_of(frame)] == [*entries[:500], entry(-1), *entries[501:]]
    assert sorted(len(frame.pieces) for frame in frames) == [6] * (len(frames) - 1) + [8]


def test_a_tag_and_options_that_would_fill_every_part_are_refused():
    entries = [entry(number, 400) for number in range(100)]

    assert len(shaped(forward(entries, x="y" * 4_000))) > 5
    with pytest.raises(ProtocolError, match=r"its tag and options have 5... bytes, which is too much to repeat"):
        shaped(forward(entries, x="y" * 5_000))


def test_pieces_are_smaller_than_what_passes_whole():
    entries = [entry(number, 50_000) for number in range(100)]

    frames = shaped(forward(entries), max_frame=2 * PIECE)

    assert [each for frame in frames for each in entries_of(frame)] == entries
    assert max(frame.size for frame in frames) <= PIECE


@pytest.mark.parametrize("compression", ["gzip", None])
def test_compressed_entries_that_are_too_large_leave_plain_and_cut(compression):
    entries = [entry(number, 400) for number in range(40_000)]
    options = {"chunk": "abc", "compressed": compression} if compression else {"chunk": "abc"}
    data = msgpack.packb(["t", gzip.compress(packed(entries)), options])

    frames = shaped(data, max_frame=6_000_000)

    assert [each for frame in frames for each in entries_of(frame)] == entries
    assert max(frame.size for frame in frames) <= PIECE
    assert all("compressed" not in msgpack.unpackb(raw(frame))[-1] for frame in frames)


@pytest.mark.parametrize(
    "frame",
    [
        ["t", gzip.compress(packed([entry(1)])), {"chunk": "abc"}],
        ["t", gzip.compress(packed([entry(1)])), {"chunk": "abc", "compressed": "zstd"}],
        ["t", gzip.compress(packed([entry(1)])), {"chunk": "abc", "compressed": b"gzip"}],
        ["t", gzip.compress(packed([entry(1)])), {"chunk": "abc", b"compressed": "gzip"}],
        ["t", gzip.compress(packed([entry(1)])), {"chunk": "abc", "compressed": "gzip"}, None],
        ["t", 2 * gzip.compress(packed([entry(1)])), {"chunk": "abc", "compressed": "gzip"}],
    ],
)
def test_compression_that_a_server_may_not_see_is_taken_off(frame):
    (out,) = shaped(msgpack.packb(frame))

    assert entries_of(out)[:1] == [entry(1)]
    assert "compressed" not in msgpack.unpackb(raw(out))[2]


def test_compression_that_every_server_sees_stays():
    data = msgpack.packb(["t", gzip.compress(packed([entry(1)])), {"chunk": "abc", "compressed": "gzip"}])

    (as_it_came,), (edited,) = shaped(data), shaped(data, [edit(data, 0, entry(2))])

    assert raw(as_it_came) == data
    _, blob, options = msgpack.unpackb(raw(edited))
    assert (gzip.decompress(blob), options) == (packed([entry(2)]), {"chunk": "abc", "compressed": "gzip"})


def test_edits_are_counted_where_it_matters_if_a_frame_is_too_large():
    data = forward([entry(1, 4_000), entry(2, 4_000)])

    frames = shaped(data, [edit(data, 0, entry(3, 8_000))])

    assert [entries_of(frame) for frame in frames] == [[entry(3, 8_000)], [entry(2, 4_000)]]


def test_a_cut_through_a_group_brackets_both_sides():
    opening, closing = [[START, {"schema": "otlp"}], {"resource": 1}], [[END, {}], {}]
    entries = [entry(number, 400) for number in range(50)]

    frames = shaped(forward([opening, *entries, closing]))

    assert len(frames) == 3
    for frame in frames:
        first, *between, last = entries_of(frame)
        assert (first, last) == (opening, closing)
        assert all(each in entries for each in between)
    assert sum(len(entries_of(frame)) - 2 for frame in frames) == 50


def test_edited_entries_leave_apart_under_their_own_tag():
    data = forward([entry(number) for number in range(4)])
    edits = [edit(data, 1, entry(11)), edit(data, 3, entry(13))]

    frames = shaped(data, edits, tag_prefix="alert.")

    assert [(frame.tag, entries_of(frame)) for frame in frames] == [
        ("alert.t", [entry(11), entry(13)]),
        ("t", [entry(0), entry(2)]),
    ]
    assert ids(frames) == [derived_id("abc", "apart 0"), "abc"]


def test_edited_entries_that_are_not_set_apart_stay_where_they_were():
    data = forward([entry(number) for number in range(4)])
    edits = [edit(data, 1, entry(11), apart=False), edit(data, 2, entry(12)), edit(data, 3, entry(13), apart=False)]

    frames = shaped(data, edits, tag_prefix="alert.")
    together = shaped(data, [edits[0], edits[2]], tag_prefix="alert.")

    assert [(frame.tag, entries_of(frame)) for frame in frames] == [
        ("alert.t", [entry(12)]),
        ("t", [entry(0), entry(11), entry(13)]),
    ]
    assert [(frame.tag, entries_of(frame)) for frame in together] == [("t", [entry(0), entry(11), entry(2), entry(13)])]


def test_many_edited_entries_leave_apart_in_several_frames():
    data = forward([entry(number) for number in range(10)])
    edits = [edit(data, number, entry(number, 3_000)) for number in range(10)]

    frames = shaped(data, edits, tag_prefix="alert.")

    assert [frame.tag for frame in frames] == ["alert.t"] * 4
    assert [each for frame in frames for each in entries_of(frame)] == [entry(number, 3_000) for number in range(10)]
    assert len(set(ids(frames))) == 4


def test_without_acks_no_piece_has_an_id():
    entries = [entry(number, 400) for number in range(100)]
    data = msgpack.packb(["t", entries])

    frames = shaped(data, require_ack=False)

    assert [each for frame in frames for each in entries_of(frame)] == entries
    assert {frame.chunk for frame in frames} == {None}
    assert all(len(msgpack.unpackb(raw(frame))) == 2 for frame in frames)


def test_nothing_leaves_where_nothing_came():
    assert shaped(forward([])) == ()


def test_an_id_of_ours_is_part_of_a_frame_s_size():
    entries = [entry(number, 400) for number in range(20)]
    data = msgpack.packb(["t", entries])

    for limit in (len(data) + 10, len(data) + 100):
        frames = shaped(data, max_frame=limit)
        assert max(frame.size for frame in frames) <= limit
        assert [each for frame in frames for each in entries_of(frame)] == entries


@pytest.mark.parametrize("prefix", ["", "alert."])
def test_what_brackets_a_group_anew_is_part_of_a_frame_s_size(prefix):
    entries = []
    for number in range(30):
        entries += [[[START, {"n": number}], {"attributes": "x" * 3_000}], entry(number, 50), [[END, {}], {}]]
    data = forward(entries)
    edits = [edit(data, number, entry(number, 60)) for number in range(1, len(entries), 3)]

    frames = shaped(data, edits, tag_prefix=prefix)

    assert len(frames) > 5
    assert max(frame.size for frame in frames) <= 10_000


def test_entries_that_stay_together_are_one_piece():
    opening = [[START, {"n": 1}], {}]
    entries = [opening, *(entry(number) for number in range(5_000)), [[END, {}], {}]]
    data = forward(entries)

    frames = shaped(data, [edit(data, 100, entry(-1))], max_frame=60_000)

    assert len(frames) == 2
    assert max(len(frame.pieces) for frame in frames) <= 10
    kept = [each for frame in frames for each in entries_of(frame) if each[0] == TIME]
    assert kept == [*entries[1:100], entry(-1), *entries[101:-1]]
