from __future__ import annotations

from firstseen.detect.new_terms import Sighting
from firstseen.detect.threshold import Bucket, Mark
from firstseen.store.redis.pins import MOST_MARKS, NOTHING, Cache, Met, Pins


def met(number: int) -> Met:
    return Met(Sighting(number, number, 1, "e", "e"), b"token")


class TestCache:
    def test_it_keeps_what_was_met_last(self) -> None:
        cache = Cache(2)
        for number in range(3):
            cache.put(b"%d" % number, met(number))
        assert [cache.get(b"%d" % number) for number in range(3)] == [NOTHING, met(1), met(2)]
        assert len(cache) == 2

    def test_to_be_asked_for_is_to_be_met(self) -> None:
        cache = Cache(2)
        cache.put(b"0", met(0))
        cache.put(b"1", met(1))
        cache.get(b"0")
        cache.put(b"2", met(2))
        assert cache.get(b"0") == met(0)
        assert cache.get(b"1") is NOTHING

    def test_what_would_take_much_memory_is_not_kept(self) -> None:
        cache = Cache()
        for count, is_kept in ((1, True), (MOST_MARKS, True), (MOST_MARKS + 1, False)):
            marks = (Mark(1, b"8 bytes."),) * count
            cache.put(b"0", Met(Bucket(1, 1, count, "e", 60, None, None, None, marks)))
            assert (cache.get(b"0") is not NOTHING) is is_kept

    def test_what_is_dropped_is_not_known(self) -> None:
        cache = Cache()
        cache.put(b"0", met(0))
        cache.drop(b"0")
        cache.drop(b"1")
        assert cache.get(b"0") is NOTHING


class TestPins:
    def test_a_pin_stays_until_the_last_is_gone(self) -> None:
        pins = Pins()
        pins.pin(b"x", met(0), lease=False)
        pins.pin(b"x", met(1), lease=True)
        assert pins[b"x"] == met(1)
        assert pins.needs_lease(b"x")
        pins.unpin(b"x", lease=True)
        assert b"x" in pins
        assert not pins.needs_lease(b"x")
        pins.unpin(b"x", lease=False)
        assert b"x" not in pins
        assert not pins.needs_lease(b"x")

    def test_only_what_is_pinned_is_updated(self) -> None:
        pins = Pins()
        pins.update(b"x", met(1))
        assert b"x" not in pins
        pins.pin(b"x", met(0), lease=False)
        pins.update(b"x", met(1))
        assert pins[b"x"] == met(1)
