import pytest

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import Bucket
from firstseen.store.base import History, RuleState
from firstseen.store.merge import merged, merged_history, together

KEY = b"8 bytes."


def test_first_seen_is_the_earlier_and_last_seen_the_later() -> None:
    here, there = Sighting(10, 50, 4, "alerted here", "last here"), Sighting(20, 90, 3, "alerted there", "last there")

    assert merged(here, there) == Sighting(10, 90, 4, "alerted there", "last there")


def test_sightings_of_one_moment_keep_the_events_that_sort_last() -> None:
    here, there = Sighting(10, 50, 4, "z", "a"), Sighting(10, 50, 4, "a", "b")

    assert merged(here, there) == merged(there, here) == Sighting(10, 50, 4, "a", "b")


def test_of_windows_and_buckets_the_one_that_reaches_further_stays_whole() -> None:
    early, late = Window(10, 60, "e", 9), Window(50, 90, "f", 1)
    few, many = (Bucket(0, 50, events, "e", 60, None, None, None, ()) for events in (1, 2))

    assert merged(early, late) == merged(late, early) == late
    assert merged(few, many) == merged(many, few) == many


def test_memories_of_two_laws_are_not_of_one_rule() -> None:
    with pytest.raises(ValueError, match="two laws"):
        merged(Window(10, 60, "e", 9), Sighting(10, 50, 4, "z", "a"))


def test_a_history_began_when_the_first_of_them_did() -> None:
    here, there = History(RuleState(KEY, "id", "Name", 7), 10), History(RuleState(KEY, "id", "Old name"), 5)

    assert merged_history(here, there) == merged_history(there, here) == (RuleState(KEY, "id", "Old name", 7), 5)


def test_sightings_of_different_events_add_up() -> None:
    one, other = Sighting(10, 50, 4, "a", "d"), Sighting(5, 40, 2, "b", "c")

    assert together(one, other) == together(other, one) == Sighting(5, 50, 6, "b", "d")


def test_events_of_one_instant_are_told_apart_by_their_names() -> None:
    one, other = Sighting(1, 1, 1, "b", "b"), Sighting(1, 1, 1, "a", "a")

    assert together(one, other) == together(other, one) == Sighting(1, 1, 2, "a", "b")


@pytest.mark.parametrize("other", [Window(1, 2, "e", 3), Bucket(0, 50, 1, "e", 60, None, None, None, ())])
def test_nothing_else_adds_up(other: Window | Bucket) -> None:
    for pair in ((Sighting(1, 1, 1, "e", "e"), other), (other, Sighting(1, 1, 1, "e", "e"))):
        with pytest.raises(TypeError, match="only sightings"):
            together(*pair)
