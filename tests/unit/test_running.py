import logging
from typing import Any

import pytest

from firstseen.detect.label import Standing
from firstseen.notation import Until
from firstseen.record.instant import LAST_MS
from firstseen.rules.rule import Rule
from firstseen.running import Health, Policy, Running, Tally, by_rule
from firstseen.store.base import RuleState
from support.logged import events
from support.rulebook import rule_id, rule_set, rule_text

HOUR = 3_600_000
LEARNING = Policy(learning_ms=HOUR)


def rule(*lines: str, query: str = "event.action: Look") -> Rule:
    (made,) = rule_set(rule_text(query, ["user.name"], rule_id=rule_id(1)) + "\n".join(lines)).rules
    return made


def query_rule() -> Rule:
    lines = rule_text().replace('"new_terms"', '"query"').splitlines()
    (made,) = rule_set("\n".join(line for line in lines if not line.startswith(("new_terms", "history")))).rules
    return made


def running(policy: Policy = LEARNING, *lines: str, since_ms: int | None = 0) -> Running:
    made = Running(rule(*lines), policy)
    made.since_ms = since_ms
    return made


@pytest.mark.parametrize(
    ("policy", "learns_ms"),
    [
        (Policy(), 0),
        (Policy(learning_ms=5), 5),
        (Policy(5, [("other", 7)]), 5),
        (Policy(5, [("A rule*", 0), ("*", 7)]), 0),
        (Policy(5, [(rule_id(1), 9)]), 9),
    ],
)
def test_how_long_a_rule_learns(policy: Policy, learns_ms: int) -> None:
    assert Running(rule(), policy).learns_ms == learns_ms


def test_patterns_that_fit_no_rule() -> None:
    policy = Policy(0, [("a*", 1), ("b", 1)], [("c", Until(True)), ("ab", Until(True))])

    assert list(policy.unused([("ab", "Name")])) == [("learning", "b"), ("shadow", "c")]


def test_a_rule_that_remembers_nothing_has_a_history_only_to_learn() -> None:
    assert [Running(query_rule(), policy).keeps_history for policy in (Policy(), LEARNING, Policy(0, [("*", 1)]))] == [
        False,
        False,
        True,
    ]
    assert Running(rule()).keeps_history


def test_histories_are_looked_up_by_rule() -> None:
    now, before, other = (RuleState(key, rule_id(1), "") for key in (Running(rule()).state.key, b"before", b"other"))
    stranger = RuleState(b"stranger", rule_id(2), "")
    known = by_rule([(now, 5), (other, 4), (before, 3), (stranger, 1)])
    found, nothing, lawless = Running(rule()), Running(rule(query="event.action: x")), Running(query_rule())
    for each in (found, lawless):
        each.look_up(known)
    nothing.look_up({})

    assert (found.since_ms, found.others_ms) == (5, [3, 4])
    assert (nothing.since_ms, nothing.others_ms) == (None, [])
    assert (lawless.since_ms, list(lawless.others_ms)) == (None, [])


def test_what_comes_of_matches_is_counted_by_how_they_are_meant() -> None:
    tally = Tally()
    for standing in [Standing.OPEN, Standing.LEARNING, Standing.SHADOW, Standing.DEGRADED, Standing.DEGRADED]:
        tally.add(standing)
    assert (tally.alerts, tally.learning, tally.in_shadow, tally.degraded) == (4, 1, 1, 2)


def test_how_a_rule_does() -> None:
    shadowed = Policy(HOUR, shadow=[("*", Until("1970-01-01"))])
    made = running(shadowed)
    made.others_ms = [-7]
    made.tally.matches = 6
    made.tally.alerts, made.tally.suppressed, made.tally.learning = 3, 2, 1

    def told(now_ms: int) -> tuple[Any, ...]:
        health = made.health(now_ms)
        return health.status, health.learning_until_ms, health.shadow_until

    day = Until("1970-01-01")
    assert told(HOUR - 1) == (Standing.LEARNING, HOUR, day)
    assert told(HOUR) == (Standing.SHADOW, None, day)
    assert told(24 * HOUR) == (Standing.OPEN, None, None)
    assert made.health(0) == Health(
        id=rule_id(1),
        name="A rule for tests",
        type="new_terms",
        severity=made.rule.severity,
        status=Standing.LEARNING,
        tripped=False,
        recovers_ms=None,
        max_signals=100,
        interval_ms=made.rule.interval_ms,
        since_ms=0,
        others_ms=[-7],
        learning_until_ms=HOUR,
        shadow_until=day,
        matches=6,
        alerts=3,
        suppressed=2,
        learning=1,
        in_shadow=0,
        degraded=0,
    )


def flooded() -> Running:
    """A rule that raised two alerts too many, at once."""
    made = running(Policy(), "max_signals = 1", 'interval = "1m"')
    for name in "abc":
        made.standing(name, 5, live=True)
    return made


def test_a_flood_shows() -> None:
    health = flooded().health(5)

    assert (health.status, health.tripped, health.max_signals) == (Standing.DEGRADED, True, 1)
    assert (health.interval_ms, health.recovers_ms) == (60_000, 120_000)


def test_a_flood_is_told_of_when_it_begins_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made = flooded()
    assert made.health(5).status is Standing.DEGRADED
    assert made.next_change_ms(5) == 120_000
    for now_ms in (60_000, 120_000, 180_000):
        made.tend(now_ms)

    tripped, recovered = events(caplog)
    about = {"rule": rule_id(1), "name": "A rule for tests"}
    assert tripped == {"event": "breaker_tripped", "level": "warning", **about, "max_signals": 1, "interval": "1m"}
    assert recovered == {"event": "breaker_recovered", "level": "warning", **about, "degraded": 2}
    assert made.health(180_000).status is Standing.OPEN
    assert made.next_change_ms(180_000) is None


def test_learning_and_shadow_are_told_of_once_when_they_begin_and_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made = running(Policy(HOUR, shadow=[("*", Until("1970-01-01"))]))
    changes = []
    for now_ms in (600_000, 700_000, HOUR, 24 * HOUR, 25 * HOUR):
        made.tend(now_ms)
        changes.append(made.next_change_ms(now_ms))

    assert changes == [HOUR, HOUR, 24 * HOUR, None, None]
    assert [{key: line[key] for key in line if key not in ("rule", "name", "level")} for line in events(caplog)] == [
        {"event": "rule_learning", "until": "1970-01-01T01:00:00.000Z", "left": "50m"},
        {"event": "rule_learning_ended"},
        {"event": "rule_shadow", "until": "1970-01-02T00:00:00.000Z", "left": "23h"},
        {"event": "rule_shadow_ended"},
    ]


def test_a_shadow_for_ever_has_no_end_to_tell_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made = running(Policy(shadow=[("*", Until(True))]))
    made.tend(5)

    (line,) = events(caplog)
    assert (line["event"], "until" in line) == ("rule_shadow", False)
    assert made.next_change_ms(5) is None


def test_however_long_it_learns_there_is_a_date_for_it() -> None:
    assert running(Policy(learning_ms=2**70)).learning_until_ms == LAST_MS
    assert running(since_ms=None).learning_until_ms is None


def test_a_rule_that_is_loaded_anew_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    old = flooded()
    old.tally.alerts = 3
    same = running(Policy(), "max_signals = 1", 'interval = "1m"')
    same.succeed(old, 10)

    assert same.tally.alerts == 3
    assert same.standing("d", 10, live=True) is Standing.DEGRADED
    assert [line["event"] for line in events(caplog)] == ["breaker_tripped"]


def test_with_other_numbers_a_flood_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    other = running(Policy(), "max_signals = 5")
    other.succeed(flooded(), 10)

    assert other.standing("d", 10, live=True) is Standing.OPEN
    assert [line["event"] for line in events(caplog)] == ["breaker_tripped", "breaker_recovered"]


def test_what_was_told_of_is_not_told_of_again_unless_the_rule_was_changed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    old, same, changed = running(), running(), Running(rule(query="event.action: Other"), LEARNING)
    changed.since_ms = 0
    old.tend(1)
    for new in (same, changed):
        new.succeed(old, 1)
        new.tend(1)

    assert [line["event"] for line in events(caplog)] == ["rule_learning"] * 2


@pytest.mark.parametrize(("now_ms", "level"), [(HOUR, "warning"), (HOUR + 1, "info")])
def test_a_changed_rule_is_told_of(caplog: pytest.LogCaptureFixture, now_ms: int, level: str) -> None:
    caplog.set_level(logging.INFO)
    made = running(since_ms=HOUR)
    made.tell_change(now_ms)
    made.others_ms = [0, 1_000]
    made.tell_change(now_ms)

    (line,) = events(caplog)
    assert (line["event"], line["level"], line["since"]) == ("rule_changed", level, "1970-01-01T01:00:00.000Z")
    assert line["histories_before"] == ["1970-01-01T00:00:00.000Z", "1970-01-01T00:00:01.000Z"]
