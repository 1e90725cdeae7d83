from __future__ import annotations

import tracemalloc

import msgpack
import pytest

from firstseen.forward.buffers import SMALLEST, Pool
from firstseen.forward.messages import Mode
from firstseen.forward.server import MOST_FOUND, Receiver, ack
from support import wire

FRAME = msgpack.packb(["t", [[1, {"m": "hi"}]]])
MAX_FRAME = 1 << 22


def tags(found):
    return [received.chunk.tag for received in found]


def test_ack():
    assert msgpack.unpackb(ack(b"\xa3abc")) == {"ack": "abc"}
    assert ack(b"\xdb\x00\x00\x00\x01a") == b"\x81\xa3ack\xdb\x00\x00\x00\x01a"


def test_frames_in_one_read():
    pool = Pool()
    receiver = Receiver(pool, MAX_FRAME)
    found = wire.feed(receiver, b"\xc0" + FRAME + b"\xc0\xc0" + FRAME + FRAME[:3])
    assert (tags(found), receiver.inside_frame, receiver.error) == (["t", "t"], True, None)
    assert all(received.slab.data is received.chunk.data for received in found)
    assert tags(wire.feed(receiver, FRAME[3:])) == ["t"]
    assert not receiver.inside_frame


def test_between_frames_a_connection_holds_no_memory():
    pool = Pool()
    receiver = Receiver(pool, MAX_FRAME)
    (received,) = wire.feed(receiver, FRAME)
    assert pool.lent == SMALLEST
    received.slab.release()
    assert pool.lent == 0
    wire.feed(receiver, b"\xc0" * 10)
    assert pool.lent == 0
    wire.feed(receiver, FRAME[:5])
    assert pool.lent == SMALLEST
    receiver.close()
    receiver.close()
    assert (pool.lent, receiver.inside_frame) == (0, False)


def test_the_buffer_is_never_empty():
    receiver = Receiver(Pool(), MAX_FRAME)
    blob = msgpack.packb(["t", bytes(3 * SMALLEST)])
    for at in range(0, len(blob) - 1, 1000):
        assert len(receiver.buffer()) > 0
        wire.feed(receiver, blob[at : min(at + 1000, len(blob) - 1)])
    (received,) = wire.feed(receiver, blob[-1:])
    chunk = received.chunk
    assert bytes(chunk.data[chunk.start : chunk.stop]) == blob


def test_asking_twice_for_a_buffer_changes_nothing():
    receiver = Receiver(Pool(), MAX_FRAME)
    receiver.buffer()[:4] = FRAME[:4]
    receiver.received(4)
    receiver.buffer()
    receiver.buffer()[: len(FRAME) - 4] = FRAME[4:]
    assert tags(receiver.received(len(FRAME) - 4)) == ["t"]


def test_what_is_read_later_does_not_touch_what_waits():
    receiver = Receiver(Pool(), MAX_FRAME)
    held = [wire.feed(receiver, msgpack.packb(["t", bytes((number,)) * 5000]))[0] for number in range(60)]
    for number, received in enumerate(held):
        chunk = received.chunk
        assert bytes(chunk.data[chunk.body : chunk.body_stop]) == bytes((number,)) * 5000


def test_small_chunks_that_wait_share_their_memory():
    pool = Pool()
    receiver = Receiver(pool, MAX_FRAME)
    held = [received for _ in range(1000) for received in wire.feed(receiver, FRAME)]
    assert len(held) == 1000
    assert pool.lent <= SMALLEST
    for received in held:
        received.slab.release()
    assert pool.lent == 0


def test_a_large_frame_is_not_read_into_what_is_left_of_a_slab():
    pool = Pool()
    receiver = Receiver(pool, MAX_FRAME)
    large = msgpack.packb(["t", bytes(SMALLEST)])
    first, second = (wire.feed(receiver, large)[0] for _ in range(2))
    assert first.slab is not second.slab
    assert (second.chunk.start, pool.lent) == (0, 2 * (5 * SMALLEST // 4))


def fed_slowly(receiver: Receiver, data: bytes) -> int:
    """Feed it as a socket does, and say the largest slab that was taken for the one frame."""
    at = largest = 0
    while at < len(data):
        buffer = receiver.buffer()
        largest = max(largest, at + len(buffer))
        part = data[at : at + min(len(buffer), SMALLEST)]
        buffer[: len(part)] = part
        at += len(part)
        for received in receiver.received(len(part)):
            received.slab.release()
    return largest


@pytest.mark.parametrize(("times", "slabs"), [(9, 10), (17, 20), (19, 20), (39, 40)])
def test_a_frame_that_says_how_long_it_is_takes_no_more(times, slabs):
    size = times * SMALLEST
    assert fed_slowly(Receiver(Pool(), 1 << 24), msgpack.packb(["t", bytes(size), {"chunk": "x"}])) == slabs * SMALLEST


def test_what_a_frame_says_is_no_reason_to_take_more_than_twice_what_came():
    pool = Pool()
    receiver = Receiver(pool, 1 << 24)
    sent = msgpack.packb(["t", bytes(100 * SMALLEST)])[: 3 * SMALLEST]
    assert fed_slowly(receiver, sent) == pool.lent == 4 * SMALLEST


def test_a_long_option_behind_a_blob_grows_as_anything_does():
    receiver = Receiver(Pool(), 1 << 24)
    frame = msgpack.packb(["t", bytes(7 * SMALLEST), {"chunk": "x", "more": bytes(5 * SMALLEST)}])
    assert fed_slowly(receiver, frame) == 16 * SMALLEST
    assert (receiver.error, receiver.inside_frame) == (None, False)


def test_an_error_ends_it():
    pool = Pool()
    receiver = Receiver(pool, MAX_FRAME)
    found = wire.feed(receiver, FRAME + b"\xc1" + FRAME)
    assert tags(found) == ["t"]
    assert str(receiver.error) == "a frame is an array, not the byte c1"
    error = receiver.error
    assert wire.feed(receiver, FRAME) == []
    assert receiver.error is error
    receiver.close()
    found[0].slab.release()
    assert pool.lent == 0


def test_an_error_after_a_close_or_no_buffer_at_all():
    receiver = Receiver(Pool(), MAX_FRAME)
    receiver.close()
    assert receiver.received(0) == []


def test_every_mode_at_every_position_of_a_buffer():
    frames = [
        msgpack.packb(["m", 1, {"a": 1}, {"chunk": "x"}]),
        msgpack.packb(["f", [[1, {"a": 1}]], {"chunk": "x"}]),
        msgpack.packb(["p", b"\x92\x01\x80"]),
        msgpack.packb(["s", "x" * 40, {"size": 1}]),
    ]
    for before in range(SMALLEST - 60, SMALLEST, 7):
        receiver = Receiver(Pool(), MAX_FRAME)
        padding = msgpack.packb(["pad", bytes(before - 8)])
        found = wire.feed(receiver, padding + b"".join(frames))
        assert [(each.chunk.tag, each.chunk.mode) for each in found[1:]] == [
            ("m", Mode.MESSAGE),
            ("f", Mode.FORWARD),
            ("p", Mode.PACKED),
            ("s", Mode.PACKED),
        ]


HOSTILE = {
    "an array of 4 G elements": b"\xdd\xff\xff\xff\xff",
    "a tag of 4 GiB": b"\x92\xdb\xff\xff\xff\xff",
    "a tag as long as a frame may be": b"\x92\xdb\x00\x3f\xff\x00",
    "4 G entries": b"\x92\xa1t\xdd\xff\xff\xff\xff",
    "as many entries as a frame may hold": b"\x92\xa1t\xdd\x00\x15\x55\x55",
    "a blob of 4 GiB": b"\x92\xa1t\xc6\xff\xff\xff\xff",
    "a blob as large as a frame may be": b"\x92\xa1t\xc6\x00\x3f\xff\x00",
    "a record of 4 G pairs": b"\x93\xa1t\x01\xdf\xff\xff\xff\xff",
    "a record of 4 G items": b"\x92\xa1t\x91\x92\x01\x81\xa1m\xdd\xff\xff\xff\xff",
    "a str of 4 GiB in a record": b"\x93\xa1t\x01\x81\xa1m\xdb\xff\xff\xff\xff",
    "an ext of 4 GiB for a time": b"\x93\xa1t\xc9\xff\xff\xff\xff\x00",
    "an option map of 4 G pairs": b"\x93\xa1t\x90\xdf\xff\xff\xff\xff",
    "arrays of 4 G in each other": b"\x92\xa1t\x91" + b"\xdd\xff\xff\xff\xff" * 1000,
    "maps of 4 G in each other": b"\x93\xa1t\x01" + b"\xdf\xff\xff\xff\xff\x01" * 1000,
}
ALLOWED = 6
"""Bytes in memory for each that came: buffers double as they grow, ours and, around one long text, the walk's."""


@pytest.mark.parametrize(
    "filling", [b"", b"\xc0", b"\x80", b"\xa0", b"\x92\x01\x80"], ids=lambda filling: filling.hex()
)
@pytest.mark.parametrize("start", HOSTILE.values(), ids=HOSTILE)
def test_what_is_announced_takes_no_memory(start, filling):
    sent = start + filling * (100_000 // len(filling or b"x")) if filling else start
    receiver = Receiver(Pool(), MAX_FRAME)
    tracemalloc.start()
    try:
        wire.feed(receiver, sent)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= ALLOWED * (len(sent) + SMALLEST)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(msgpack.packb(["t", [[]] * 80_000]), id="entries that are none"),
        pytest.param(msgpack.packb(["t", [[1, {}]] * 80_000]), id="the smallest entries"),
        pytest.param(msgpack.packb(["t", 1, dict.fromkeys(range(80000), 0)]), id="a record of many pairs"),
        pytest.param(msgpack.packb(["t", [], dict.fromkeys(range(80000), 0)]), id="an option of many pairs"),
        pytest.param(b"\xdd\x00\x04\x00\x00\xa1t\x90\x80" + bytes(0x40000 - 3), id="many elements"),
        pytest.param((b"\x92\xa1t\x90" * 1_000), id="many frames"),
    ],
)
def test_what_is_sent_takes_a_small_multiple_of_memory(sent):
    receiver = Receiver(Pool(), MAX_FRAME)
    tracemalloc.start()
    try:
        for at in range(0, len(sent), 1000):
            for received in wire.feed(receiver, sent[at : at + 1000]):
                received.slab.release()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= ALLOWED * (len(sent) + SMALLEST)


def test_half_a_frame_takes_as_much_whatever_its_tag():
    def taken(tag):
        half = msgpack.packb([tag, [], {}])[:-1]
        tracemalloc.start()
        try:
            receivers = [Receiver(Pool(), MAX_FRAME) for _ in range(20)]
            for receiver in receivers:
                wire.feed(receiver, half)
            return tracemalloc.get_traced_memory()[0], {receiver.tag for receiver in receivers}
        finally:
            tracemalloc.stop()

    long = "\N{GRINNING FACE}".ljust(60_000, "x")
    least, _ = taken("t")
    most, tags = taken(long)
    assert tags == {long}
    assert most < least + 20 * 1_000


def test_many_chunks_are_found_in_turns():
    receiver = Receiver(Pool(), 1 << 20)
    frame = msgpack.packb(["t", 1, {}])
    data = frame * (2 * MOST_FOUND + 1)
    receiver.buffer()[: len(data)] = data

    turns = [len(receiver.received(len(data)))]
    while receiver.has_more:
        turns.append(len(receiver.received(0)))

    assert turns == [MOST_FOUND, MOST_FOUND, 1]
    assert not receiver.inside_frame


def test_tls_where_none_is_expected_is_called_that():
    receiver = Receiver(Pool(), MAX_FRAME)
    assert wire.feed(receiver, b"\x16\x03\x01\x02\x00\x01") == []
    hint = "it looks like TLS: is tls:// missing in input.listen?"
    assert str(receiver.error) == f"a frame is an array, not int; {hint}"
    receiver.close()
