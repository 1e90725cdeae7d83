import pytest

from firstseen.status.view.alerts import MOST_ROWS, alerts
from support.told import Reading, alert, learning, status


def reading(**changes: object) -> Reading:
    return Reading(alerts(status(**changes)))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rules__running": []}, "No rule runs, so nothing can alert."),
        ({}, "No record came yet."),
        (
            {
                "records__received": 5,
                "rules__running": [learning(1, 1)],
                "rules__learning": 1,
                "rules__learning_until": "2026-05-25T09:12:33.000Z",
            },
            "Every rule still learns, until 2026-05-25 09:12:33: what is new is remembered, and raises nothing yet.",
        ),
        (
            {"records__received": 5_000, "matches__total": 1, "matches__suppressed": 1},
            "1 match in 5,000 records, and nothing new for people among them.",
        ),
        ({"records__received": 1}, "No rule matched any of 1 record."),
    ],
)
def test_why_there_are_none(changes: dict[str, object], why: str) -> None:
    assert reading(**changes).texts[-1] == why


def test_an_alert_says_who_and_why() -> None:
    said = reading(latest_alerts=[alert()])

    assert "2026-05-24 09:12:00 | high | Rule 1 | ada not seen in the 10 days before | ada" in said.text
    assert [item.get("title") for item in said.all("li")] == ["user.name"]


def test_whatever_an_attacker_calls_himself_is_text() -> None:
    evil = '"><img src=x onerror=alert(1)>'
    terms = [{"field": evil, "value": evil}]
    said = reading(latest_alerts=[alert(rule=evil, reason=evil, terms=terms)], latest_others=[alert(reason=evil)])

    assert evil in said.texts
    assert said.all("img") == []


def test_more_than_anybody_reads_fold_away() -> None:
    said = reading(latest_alerts=[alert(number) for number in range(MOST_ROWS + 3)])

    assert "3 more" in said.texts
    assert [each["id"] for each in said.all("details")] == ["earlier"]


@pytest.mark.parametrize(("count", "summary"), [(1, "1 latest one that is"), (2, "2 latest ones that are")])
def test_those_that_are_not_for_people_fold_away(count: int, summary: str) -> None:
    said = reading(latest_others=[alert(number, status="shadow") for number in range(count)])

    assert f"{summary} not for people" in said.texts
    assert said.texts.count("shadow") == count


def test_over_time() -> None:
    opened, others = [0] * 46 + [1, 3], [0] * 47 + [2]
    said = reading(alerts_over_time__values=opened, others_over_time__values=others)

    assert said.all("svg")[0]["aria-label"] == "Alerts in the last 24 hours: 4 for people, 2 others."
    assert "1h to 30m ago: 1 alert, 0 not for people" in said.texts
    assert "30m to 0 ago: 3 alerts, 2 not for people" in said.texts
    assert "5" in said.texts
    assert "before the start" not in said.texts


def test_what_was_before_the_start_is_not_taken_for_quiet() -> None:
    said = reading(uptime_seconds=3_700.0)

    (before,) = [each for each in said.all("rect") if each["class"] == "before"]
    assert before["width"] == "450"
    assert "before the start" in said.texts
