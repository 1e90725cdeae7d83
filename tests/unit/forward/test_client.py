from __future__ import annotations

import itertools
import tracemalloc

import msgpack
import pytest

from firstseen.errors import ProtocolError
from firstseen.forward.client import MAX_REPLY, AckReader, Unsettled


def test_acks_over_several_reads():
    reader = AckReader()
    stream = b"".join(msgpack.packb({"ack": name}) for name in ("a", "b", "c"))
    read = [list(reader.feed(stream[at : at + 4])) for at in range(0, len(stream), 4)]
    assert read == [[], ["a"], [], ["b"], [], ["c"]]


def test_ids_that_are_no_utf_8_and_ids_in_a_bin():
    reader = AckReader()
    assert list(reader.feed(b"\x81\xa3ack\xa2\xff\xfe\x81\xa3ack\xc4\x02\xff\xfe")) == ["\udcff\udcfe", "\udcff\udcfe"]


def test_the_ids_before_an_error_are_given():
    reader = AckReader()
    ids = reader.feed(b"\x81\xa3ack\xa1a\x01")
    assert next(ids) == "a"
    with pytest.raises(ProtocolError):
        next(ids)


def test_a_handshake_is_named():
    with pytest.raises(ProtocolError, match="shared key"):
        list(AckReader().feed(msgpack.packb(["HELO", {"nonce": b"", "auth": b"", "keepalive": True}])))


def test_many_acks_in_one_read_are_no_large_reply():
    one = msgpack.packb({"ack": "x" * 100})
    count = 3 * MAX_REPLY // len(one)
    assert list(AckReader().feed(one * count)) == ["x" * 100] * count


@pytest.mark.parametrize("size", [MAX_REPLY - 8, MAX_REPLY - 7])
@pytest.mark.parametrize("step", [1000, MAX_REPLY, 1 << 20])
@pytest.mark.parametrize("before", [0, 1, 50_000])
def test_the_largest_reply_there_is(size, step, before):
    first = msgpack.packb({"ack": "y" * before})
    stream = first + b"\x81\xa3ack\xda" + size.to_bytes(2, "big") + b"x" * size
    reader, ids = AckReader(), []

    def read() -> None:
        for at in range(0, len(stream), step):
            ids.extend(reader.feed(stream[at : at + step]))

    if len(stream) - len(first) <= MAX_REPLY:
        read()
        assert ids == ["y" * before, "x" * size]
    else:
        with pytest.raises(ProtocolError, match="more than"):
            read()


@pytest.mark.parametrize(
    "reply",
    [
        b"\x9f" * 100,
        b"\x9f" * 3 + b"\xda\xff\x00" + b"x" * 0xFF00,
        b"\x8f" + b"\xda\xff\x00" + b"x" * 0xFF00,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff" + bytes(1000),
    ],
)
def test_a_reply_without_end_takes_no_memory(reply):
    reader = AckReader()
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            list(itertools.chain.from_iterable(map(reader.feed, [reply] * 1000)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MAX_REPLY


def test_unsettled_items_are_found_by_their_ids_in_any_order():
    unsettled: Unsettled[str] = Unsettled()
    for name in "abc":
        unsettled.add(name.upper(), name)
    assert (len(unsettled), unsettled.oldest()) == (3, "A")
    assert [unsettled.acked(name) for name in "bca"] == ["B", "C", "A"]
    assert (len(unsettled), unsettled.oldest()) == (0, None)


def test_of_two_with_one_id_the_first_is_meant():
    unsettled: Unsettled[int] = Unsettled()
    for number in range(3):
        unsettled.add(number, "same")
    assert [unsettled.waiting("same") for _ in range(2)] == [0, 0]
    assert [unsettled.acked("same") for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("name", ["never sent", "acked before", "\udcff"])
def test_an_ack_for_nothing(name):
    unsettled: Unsettled[int] = Unsettled()
    unsettled.add(1, "acked before")
    unsettled.add(2, "waits")
    unsettled.acked("acked before")
    with pytest.raises(ProtocolError, match="was not sent, or was acked before"):
        unsettled.acked(name)
    assert unsettled.take_all() == [2]


def test_without_acks_the_oldest_goes_first():
    unsettled: Unsettled[str] = Unsettled()
    for name in "abc":
        unsettled.add(name, None)
    assert [unsettled.pop_oldest() for _ in range(2)] == ["a", "b"]
    assert unsettled.oldest() == "c"


def test_all_that_waits_is_taken_in_order_once():
    unsettled: Unsettled[str] = Unsettled()
    for name in "abcd":
        unsettled.add(name, name)
    unsettled.acked("b")
    assert unsettled.take_all() == ["a", "c", "d"]
    assert unsettled.take_all() == []
    with pytest.raises(ProtocolError):
        unsettled.acked("a")
    unsettled.add("e", "a")
    assert unsettled.acked("a") == "e"
