from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstseen.forward.buffers import SMALLEST, Pool


@pytest.mark.parametrize(
    ("size", "given"),
    [
        (0, SMALLEST),
        (1, SMALLEST),
        (SMALLEST, SMALLEST),
        (SMALLEST + 1, 5 * SMALLEST // 4),
        (2 * SMALLEST, 2 * SMALLEST),
        ((1 << 21) + 1, 5 << 19),
        (5 << 19, 5 << 19),
        ((5 << 19) + 1, 6 << 19),
        ((7 << 19) + 1, 1 << 22),
        (1 << 22, 1 << 22),
    ],
)
def test_slabs_are_at_most_a_quarter_too_large(size, given):
    pool = Pool()
    slab = pool.take(size)
    assert (len(slab.data), len(slab.view), pool.lent) == (given, given, given)


def test_the_view_is_the_memory():
    slab = Pool().take(1)
    slab.view[5:8] = b"abc"
    assert slab.data[5:8] == b"abc"


def test_memory_comes_back_with_the_last_lease_and_is_used_again():
    pool = Pool()
    slab = pool.take(1)
    memory = slab.data
    slab.lease()
    slab.release()
    assert (slab.lent, pool.lent, pool.take(1).data is memory) == (True, SMALLEST, False)
    slab.release()
    assert (slab.lent, pool.lent, pool.take(1).data is memory) == (False, SMALLEST, True)


def test_a_slab_that_was_given_back_holds_nothing_of_what_its_memory_is_used_for_now():
    pool = Pool()
    old = pool.take(1)
    old.release()
    new = pool.take(1)
    new.view[:3] = b"new"
    assert (len(old.data), len(old.view), old.lent) == (0, 0, False)


def test_releasing_too_often_is_a_bug_even_when_the_memory_is_lent_again():
    pool = Pool()
    slab = pool.take(1)
    slab.release()
    again = pool.take(1)
    with pytest.raises(AssertionError, match="more often than it was leased"):
        slab.release()
    assert (again.lent, pool.lent) == (True, SMALLEST)


def test_slabs_of_one_size_do_not_stand_in_for_another():
    pool = Pool()
    small, large = pool.take(1), pool.take(SMALLEST + 1)
    memories = [small.data, large.data]
    small.release()
    large.release()
    assert pool.take(SMALLEST + 1).data is memories[1]
    assert pool.take(1).data is memories[0]


def test_no_more_is_spare_than_allowed():
    pool = Pool(spare_bytes=2 * SMALLEST)
    slabs = [pool.take(1) for _ in range(3)]
    memories = [slab.data for slab in slabs]
    for slab in slabs:
        slab.release()
    assert pool.lent == 0
    again = [pool.take(1).data for _ in range(3)]
    assert [any(data is memory for memory in memories) for data in again] == [True, True, False]


def test_spare_memory_that_is_taken_makes_room_for_other():
    pool = Pool(spare_bytes=SMALLEST)
    first = pool.take(1)
    first.release()
    second = pool.take(1)
    memory = second.data
    second.release()
    assert pool.take(1).data is memory


def test_what_was_asked_for_last_is_kept_and_not_what_came_before():
    pool = Pool(spare_bytes=4 * SMALLEST)
    outgrown = [pool.take(size) for size in (SMALLEST, 2 * SMALLEST)]
    used = [pool.take(4 * SMALLEST) for _ in range(2)]
    for slab in outgrown:
        slab.release()
    memory = used[0].data
    for slab in used:
        slab.release()
    assert pool.take(4 * SMALLEST).data is memory
    assert pool.take(4 * SMALLEST).data is not memory


def test_what_was_asked_for_before_does_not_take_the_place_of_what_was_asked_for_last():
    pool = Pool(spare_bytes=4 * SMALLEST)
    old, new = pool.take(3 * SMALLEST), pool.take(4 * SMALLEST)
    memory = new.data
    new.release()
    old.release()
    assert pool.take(4 * SMALLEST).data is memory


def test_only_as_much_is_dropped_as_has_to_be():
    pool = Pool(spare_bytes=4 * SMALLEST)
    oldest, older, newest = (pool.take(factor * SMALLEST) for factor in (2, 1, 3))
    memories = [older.data, newest.data]
    for slab in (oldest, older, newest):
        slab.release()
    assert pool.take(SMALLEST).data is memories[0]
    assert pool.take(3 * SMALLEST).data is memories[1]


def test_what_is_too_large_to_be_kept_takes_no_place_of_others():
    pool = Pool(spare_bytes=4 * SMALLEST)
    small, large = pool.take(4 * SMALLEST), pool.take(5 * SMALLEST)
    memory = small.data
    small.release()
    large.release()
    assert pool.take(4 * SMALLEST).data is memory


def test_nothing_spare():
    pool = Pool(spare_bytes=0)
    slab = pool.take(1)
    memory = slab.data
    slab.release()
    assert pool.take(1).data is not memory


def test_where_memory_is_short_nothing_is_kept_beside_it():
    pool = Pool(limit=4 * SMALLEST)
    first, second = pool.take(2 * SMALLEST), pool.take(SMALLEST)
    again = first.data
    first.release()
    third = pool.take(2 * SMALLEST)
    assert third.data is again
    third.release()
    pool.take(4 * SMALLEST)
    assert pool.take(2 * SMALLEST).data is not again
    second.release()


def test_what_comes_back_where_memory_is_short_is_not_kept():
    pool = Pool(limit=2 * SMALLEST)
    first, second = pool.take(2 * SMALLEST), pool.take(SMALLEST)
    again = first.data
    first.release()
    assert pool.take(2 * SMALLEST).data is not again
    second.release()


def held(pool):
    """Bytes in all: what is in use, and what is spare."""
    return pool.lent + pool._spare


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20 * SMALLEST)), max_size=60), st.integers(0, 30 * SMALLEST))
def test_there_is_never_more_than_was_in_use_at_one_time(steps, spare):
    pool = Pool(spare_bytes=spare)
    slabs, most = [], 0
    for takes, number in steps:
        if takes or not slabs:
            slabs.append(pool.take(number))
        else:
            slabs.pop(number % len(slabs)).release()
        most = max(most, pool.lent)
        assert pool.lent == sum(len(slab.data) for slab in slabs)
        assert held(pool) <= min(most, pool.lent + spare)


def test_what_was_outgrown_does_not_stay():
    pool = Pool()
    for size in (1, 2, 4, 8):
        slab = pool.take(size * SMALLEST)
        slab.release()
    assert held(pool) == 8 * SMALLEST
