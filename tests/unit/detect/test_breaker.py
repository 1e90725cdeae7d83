import pytest

from firstseen.detect import breaker
from firstseen.detect.breaker import Breaker

MINUTE = 60_000


def test_so_many_are_let_through_in_each_interval() -> None:
    two = Breaker(2, MINUTE)

    admitted = [two.admits(str(number), at) for number, at in enumerate((0, 1, 2, MINUTE - 1, MINUTE, MINUTE + 1))]

    assert admitted == [True, True, False, False, True, True]
    assert (two.tripped, two.beyond, two.numbers) == (True, 2, (2, MINUTE))


def test_it_recovers_when_a_whole_interval_has_passed_without_one_beyond() -> None:
    one = Breaker(1, MINUTE)
    assert (one.tripped, one.recovers_ms, one.recover(0)) == (False, None, 0)
    one.admits("a", 10)
    one.admits("b", 11)

    assert one.recovers_ms == 2 * MINUTE
    assert [one.recover(at) for at in (11, MINUTE, 2 * MINUTE - 1)] == [0, 0, 0]
    assert one.tripped
    assert one.recover(2 * MINUTE) == 1
    assert (one.tripped, one.recovers_ms, one.recover(2 * MINUTE)) == (False, None, 0)


def test_a_flood_that_lasts_is_one_flood() -> None:
    one = Breaker(1, MINUTE)
    for interval in range(5):
        for number in range(3):
            one.admits(f"{interval}/{number}", interval * MINUTE)
        assert one.recover((interval + 1) * MINUTE) == 0

    assert one.recover(6 * MINUTE) == 10


def test_after_it_has_recovered_it_counts_anew() -> None:
    one = Breaker(1, MINUTE)
    one.admits("a", 0)
    one.admits("b", 0)
    one.recover(2 * MINUTE)
    one.admits("c", 2 * MINUTE)
    one.admits("d", 2 * MINUTE)

    assert (one.tripped, one.recover(4 * MINUTE)) == (True, 1)


def test_an_alert_that_comes_again_is_let_through_again_and_counts_once() -> None:
    two = Breaker(2, MINUTE)
    first = [two.admits(name, 0) for name in ("a", "a", "b", "a", "b", "c")]
    next_interval = [two.admits(name, MINUTE) for name in ("a", "b", "d", "e", "f")]

    assert first == [True, True, True, True, True, False]
    assert next_interval == [True, True, True, True, False]
    assert not two.admits("g", MINUTE)
    assert two.admits("d", 2 * MINUTE)
    assert two.admits("a", 2 * MINUTE), "it is longer ago, and counts: there is room"


def test_it_does_not_remember_alerts_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "MOST_IDS", 1)
    three = Breaker(3, MINUTE)

    admitted = [three.admits(name, 0) for name in ("a", "b", "a", "b", "b")]

    assert admitted == [True, True, True, True, False], "a is known again, b counts each time"


def test_a_clock_that_is_set_back_does_not_leave_it_full() -> None:
    one = Breaker(1, MINUTE)
    one.admits("a", 1_000 * MINUTE)
    assert not one.admits("b", 1_000 * MINUTE)

    assert one.admits("c", 10 * MINUTE)
    assert one.recover(10 * MINUTE) == 1
