from firstseen.status.view.glance import overview
from support.told import Reading, learning, rule, state, status


def text(**changes: object) -> str:
    return Reading(overview(status(**changes))).text


def test_nothing_to_do() -> None:
    said = text()

    assert "Records per second | 0 | 0 since the start" in said
    assert "Alerts in 24 hours | 0 | none so far" in said
    assert "Learning | none | 1 rule runs, and none of them learns" in said
    assert "State | < 0.01 % | 33 terms in 32.0 KiB of 1.0 GiB" in said
    assert "On its way | 0 | records" in said


def test_much_to_do() -> None:
    values = [0] * 299 + [600] * 60 + [5]
    said = Reading(
        overview(
            status(
                records__per_second=1_234.0,
                records__received=36_000,
                records__in_flight=1,
                output__lag_seconds=65.0,
                records_over_time__values=values,
                alerts_over_time__values=[0] * 47 + [3],
                others_over_time__values=[1] * 48,
            )
        )
    )

    assert "Records per second | 1,234 | 36,000 since the start" in said.text
    assert "Alerts in 24 hours | 3 | and 48 that are not for people" in said.text
    assert "On its way | 1 | records; the oldest for 1m 5s" in said.text
    assert said.all("svg")[0]["aria-label"] == "Records per second in the last hour: at most 60 in a minute."


def test_all_alerts_are_for_people() -> None:
    assert "Alerts in 24 hours | 3 | all of them for people" in text(alerts_over_time__values=[0] * 47 + [3])


def test_learning_shows_how_much_of_it_is_over() -> None:
    rules = [rule(1), learning(2, 1), learning(3, 3)]
    said = Reading(
        overview(status(rules__running=rules, rules__learning=2, rules__learning_until="2026-05-27T09:12:33.000Z"))
    )

    assert "Learning | 2 | of 3 rules; 3d left, until 2026-05-27 09:12:33" in said.text
    assert "25 % of learning is over." in [picture["aria-label"] for picture in said.all("svg")]


def test_a_state_that_is_nearly_full_warns() -> None:
    said = Reading(overview(status(state=state(used_ratio=0.93))))

    assert "State | 93 % |" in said.text
    assert "bar full" in [picture["class"] for picture in said.all("svg")]


def test_a_state_without_a_bound_and_none_yet() -> None:
    assert "State | 33 | terms in 32.0 KiB" in text(state=state(bound_bytes=None, used_ratio=None))
    assert "State | – | not looked at yet" in text(state=None)
