import pytest

from firstseen.status.timeline import Timeline


def test_steps_move_on_and_the_oldest_are_forgotten() -> None:
    line = Timeline(10, 3)
    line.add(100.0, 1)
    line.add(109.9, 2)
    line.add(110.0, 4)
    assert line.values(115.0) == (0, 3, 4)
    assert line.values(121.0) == (3, 4, 0)
    assert line.values(139.0) == (4, 0, 0)
    line.add(1_000.0, 9)
    assert line.values(1_000.0) == (0, 0, 9)


def test_a_clock_that_stands_still_or_goes_back_loses_nothing() -> None:
    line = Timeline(10, 3)
    line.add(100.0, 1)
    line.add(80.0, 1)
    assert line.values(80.0) == (0, 0, 2)


def test_how_much_in_a_second() -> None:
    line = Timeline(10, 6)
    for now_s, amount in ((100.0, 500), (110.0, 100), (120.0, 200), (130.0, 300), (142.0, 60)):
        line.add(now_s, amount)

    assert line.per_second(145.0, 3, 0.0) == pytest.approx((100 + 200 + 300 + 60) / 35)
    assert line.per_second(145.0, 3, 140.0) == pytest.approx(660 / 5)
    assert line.per_second(145.0, 3, 145.0) == 0.0
