from collections.abc import Sequence

import pytest

from firstseen.cli.tapping import REMEMBERED, Chosen, Tapping
from firstseen.status.latest import MOST
from firstseen.status.report import Status
from support.told import alert, rule, status


def report(ids: Sequence[int], raised: int, **more: object) -> Status:
    """Alerts of these numbers, oldest first."""
    return status(latest_alerts=[alert(number) for number in reversed(ids)], matches__open=raised, **more)


def numbers(tapping: Tapping, told: Status) -> list[int]:
    return [int(each.id.removeprefix("alert-")) for each in tapping.new(told).alerts]


def test_each_alert_once_in_the_order_they_came() -> None:
    tapping = Tapping(False)
    assert numbers(tapping, report([1, 2], 2)) == [1, 2]
    assert numbers(tapping, report([1, 2], 2)) == []
    assert numbers(tapping, report([1, 2, 3, 4], 4)) == [3, 4]
    assert tapping.new(report([2, 3, 4, 1], 5)) == ([], [])


def test_what_was_missed_is_told_of() -> None:
    tapping = Tapping(False)
    tapping.new(report(range(MOST), MOST))
    news = tapping.new(report(range(70, 70 + MOST), 70 + MOST))
    assert len(news.alerts) == MOST
    assert news.remarks == [f"up to 20 alerts came between two looks and are not shown: /status keeps {MOST}"]


def test_nothing_was_missed_where_the_looks_meet() -> None:
    tapping = Tapping(False)
    tapping.new(report(range(MOST), MOST))
    assert tapping.new(report(range(MOST - 1, 2 * MOST - 1), 2 * MOST)).remarks == []
    assert tapping.new(report(range(2 * MOST - 1, 3 * MOST - 1), 3 * MOST)).remarks == []
    assert Tapping(False).new(report(range(MOST), 1_000)).remarks == []


def test_an_agent_that_was_started_anew() -> None:
    tapping = Tapping(False)
    tapping.new(report([1, 2, 3], 300))
    news = tapping.new(report([3, 4], 2, started="2026-05-24T09:12:00.000Z"))
    assert [each.id for each in news.alerts] == ["alert-4"]
    assert len(news.remarks) == 1
    assert "started anew" in news.remarks[0]


def test_what_is_not_for_people_only_on_demand() -> None:
    learnt = alert(2, status="learning", came="2026-05-24T09:00:00.000Z")
    told = status(latest_alerts=[alert(1)], latest_others=[learnt])
    assert numbers(Tapping(False), told) == [1]
    assert numbers(Tapping(True), told) == [2, 1]


def test_ids_are_forgotten_at_last() -> None:
    tapping = Tapping(False)
    for begin in range(0, REMEMBERED + MOST, MOST):
        tapping.new(report(range(begin, begin + MOST), begin + MOST))
    assert numbers(tapping, report([0], REMEMBERED + MOST + 1)) == [0]


@pytest.mark.parametrize(
    ("rules", "terms", "has"),
    [
        ([], [], True),
        (["rule-1"], [], True),
        (["Rule 1"], [], True),
        (["*1"], [], True),
        (["Rule"], [], False),
        (["Rule", "rule-*"], [], True),
        ([], ["ad"], True),
        ([], ["a?a"], True),
        ([], ["a?"], False),
        ([], ["eve", "ada"], True),
        (["rule-1"], ["eve"], False),
    ],
)
def test_what_is_wanted(rules: list[str], terms: list[str], has: bool) -> None:
    assert Chosen(rules, terms).has(alert()) is has


def test_rules_that_are_not_there() -> None:
    told = status(rules__running=[rule(1)])
    assert list(Chosen(["rule-1", "*1", "gone", "*gone*"], []).unknown(told)) == ["gone", "*gone*"]
