import tracemalloc
from itertools import combinations

import msgpack
import pytest

from firstseen.forward.buffers import Pool
from firstseen.forward.repeats import Arrival, Identity, Repeats, identity
from firstseen.forward.server import Receiver
from support.wire import chunk_of, feed

WINDOW_MS = 1000


def made(chunk: object = "one", *, tag: str = "app", text: str = "x", origin: str = "192.0.2.7") -> Identity:
    found = identity(origin, chunk_of(msgpack.packb([tag, 1, {"text": text}, {"chunk": chunk}])))
    assert found is not None
    return found


def test_a_chunk_is_known_by_its_origin_its_tag_its_id_and_its_bytes() -> None:
    assert made() == made()
    others = [
        made(),
        made("two"),
        made(b"one"),
        made(tag="other"),
        made(text="y"),
        made(text="longer"),
        made(origin="192.0.2.8"),
        made(tag="7app", origin="192.0.2."),
    ]
    assert all(one != other for one, other in combinations(others, 2))


def test_where_it_lies_does_not_matter() -> None:
    frame = msgpack.packb(["app", [[1, {}]], {"chunk": "one"}])
    first, second = feed(Receiver(Pool(), 1 << 16), frame + frame)
    assert second.chunk.start == first.chunk.stop
    assert identity("x", first.chunk) == identity("x", second.chunk)


def test_odd_bytes_in_a_tag() -> None:
    first, second = (
        identity("x", chunk_of(b"\x93\xa1" + tag + b"\x90\x81\xa5chunk\xa1a")) for tag in (b"\xff", b"\xfe")
    )
    assert first is not None
    assert first != second


def test_without_an_id_there_is_no_identity() -> None:
    assert identity("192.0.2.7", chunk_of(msgpack.packb(["app", 1, {}]))) is None


@pytest.mark.parametrize("chunk", [None, "", b"", 0, 7, False, True, [], ["one"], {}, {"id": "one"}, 0.5])
def test_what_is_no_text_or_an_empty_one_is_no_id(chunk: object) -> None:
    assert identity("192.0.2.7", chunk_of(msgpack.packb(["app", 1, {}, {"chunk": chunk}]))) is None


def test_a_chunk_that_comes_while_the_same_is_on_its_way_waits_for_it() -> None:
    repeats: Repeats[str] = Repeats(WINDOW_MS)
    assert repeats.arrived(made(), "first", 0) is Arrival.NEW
    assert repeats.arrived(made(), "second", 1) is Arrival.WAITS
    assert repeats.arrived(made(), "third", WINDOW_MS * 9) is Arrival.WAITS
    assert repeats.arrived(made("two"), "other", 2) is Arrival.NEW
    assert repeats.settled(made(), safe=True, now_ms=3) == ["second", "third"]
    assert repeats.settled(made("two"), safe=True, now_ms=3) == []


def test_a_chunk_that_was_delivered_is_known_for_a_while() -> None:
    repeats: Repeats[str] = Repeats(WINDOW_MS)
    repeats.arrived(made(), "first", 0)
    repeats.settled(made(), safe=True, now_ms=500)
    assert repeats.arrived(made(), "again", 500 + WINDOW_MS - 1) is Arrival.DELIVERED
    assert repeats.arrived(made(), "late", 500 + WINDOW_MS) is Arrival.NEW


def test_a_chunk_that_was_not_delivered_is_new_again_and_so_are_those_that_waited() -> None:
    repeats: Repeats[str] = Repeats(WINDOW_MS)
    repeats.arrived(made(), "first", 0)
    repeats.arrived(made(), "second", 0)
    assert repeats.settled(made(), safe=False, now_ms=1) == ["second"]
    assert repeats.arrived(made(), "again", 2) is Arrival.NEW


def test_the_latest_are_remembered_and_no_more_than_so_many() -> None:
    repeats: Repeats[str] = Repeats(WINDOW_MS, most=2)
    for chunk in ("one", "two", "three"):
        repeats.arrived(made(chunk), chunk, 0)
        repeats.settled(made(chunk), safe=True, now_ms=0)
    arrivals = [repeats.arrived(made(chunk), "again", 1) for chunk in ("one", "two", "three")]
    assert arrivals == [Arrival.NEW, Arrival.DELIVERED, Arrival.DELIVERED]


def test_no_window_remembers_nothing() -> None:
    repeats: Repeats[str] = Repeats(0)
    for _ in range(2):
        assert repeats.arrived(made(), "x", 0) is Arrival.NEW
    for _ in range(2):
        assert repeats.settled(made(), safe=True, now_ms=0) == ()
    assert repeats.arrived(made(), "x", 0) is Arrival.NEW


@pytest.mark.parametrize("size", [24, 10_000])
def test_what_is_remembered_takes_no_more_for_names_that_are_long(size: int) -> None:
    repeats: Repeats[str] = Repeats(WINDOW_MS, most=1000)
    chunks = [chunk_of(msgpack.packb(["t" * size, 1, {}, {"chunk": f"{n:0{size}}"}])) for n in range(1000)]
    tracemalloc.start()
    for chunk in chunks:
        found = identity("192.0.2.7", chunk)
        assert found is not None
        repeats.arrived(found, "x", 0)
        repeats.settled(found, safe=True, now_ms=0)
    del found
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / len(chunks) < 500


def test_a_chunk_that_waits_is_told_for_which() -> None:
    repeats: Repeats[str] = Repeats(WINDOW_MS)
    for waiter, arrival in (("a", Arrival.NEW), ("b", Arrival.WAITS), ("c", Arrival.WAITS)):
        assert repeats.arrived(made(), waiter, 0) is arrival
        assert repeats.first(made()) == "a"
    assert list(repeats.settled(made(), safe=True, now_ms=0)) == ["b", "c"]
