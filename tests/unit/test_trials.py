from __future__ import annotations

from pathlib import Path

import pytest

from firstseen.rules.testing import load_tests
from firstseen.trials import Mismatch, run_test
from support.rulebook import rule_set, rule_text

ECS = '{event = {action = "Look"}, user = {name = "ada"}}'
CLOUDTRAIL = (
    '{eventSource = "sts.amazonaws.com", eventName = "Look", userIdentity = {type = "IAMUser", userName = "ada"}}'
)


def mismatches(folder: Path, events: str, record: str = ECS) -> list[Mismatch]:
    path = folder / "a.test.toml"
    path.write_text(f"[events.look]\nrecord = {record}\n[[test]]\nname = 'n'\nevent = [\n{events}\n]")
    (test,) = load_tests(path).tests
    return list(run_test(rule_set(rule_text("event.action: Look", ["user.name"])), test))


@pytest.mark.parametrize("record", [ECS, CLOUDTRAIL])
def test_time_passes_as_the_steps_say(tmp_path: Path, record: str) -> None:
    steps = """
{use = "look", alerts = 1},
{use = "look", after = "9d"},
{use = "look", after = "11d", alerts = [{values = ["ada"], last_seen = "2026-01-10T00:00:00.000Z"}]},
{use = "look", at = 2026-03-01T00:00:00Z, alerts = [{time = "2026-03-01T00:00:00.000Z"}]},
"""
    assert mismatches(tmp_path, steps, record) == []


def test_an_event_keeps_its_own_time(tmp_path: Path) -> None:
    record = '{"@timestamp" = 2026-09-21T08:00:00Z, event = {action = "Look"}, user = {name = "ada"}}'
    steps = """
{use = "look", alerts = [{time = "2026-09-21T08:00:00.000Z"}]},
{use = "look", after = "11d", alerts = [{time = "2026-10-02T08:00:00.000Z"}]},
"""
    assert mismatches(tmp_path, steps, record) == []


@pytest.mark.parametrize("record", [ECS, CLOUDTRAIL])
def test_an_event_that_is_used_again_is_another_one_unless_it_is_the_same(tmp_path: Path, record: str) -> None:
    """The id of an alert is made of the event's: eleven days later, only the same event has the same."""
    steps = '{{use = "look", {0}alerts = [{{id = ""}}]}}, {{use = "look", after = "11d", {0}alerts = [{{id = ""}}]}}'

    others = [mismatch.actual[0]["id"] for mismatch in mismatches(tmp_path, steps.format(""), record)]
    named = record.replace("{", '{eventID = "e", ' if record is CLOUDTRAIL else '{"event.id" = "e", ', 1)
    same = [mismatch.actual[0]["id"] for mismatch in mismatches(tmp_path, steps.format("same = true, "), named)]

    assert len(set(others)) == 2
    assert len(same) == 2
    assert len(set(same)) == 1


def test_repeated_events_come_one_after_the_other(tmp_path: Path) -> None:
    steps = """
{use = "look", repeat = 3, every = "6d", alerts = 1},
{use = "look", repeat = 2, every = "11d", after = "11d", alerts = 2},
"""
    assert mismatches(tmp_path, steps) == []


def test_too_many_alerts_are_shown(tmp_path: Path) -> None:
    (mismatch,) = mismatches(tmp_path, '{use = "look"}')

    assert (mismatch.line, mismatch.what, mismatch.expected) == (5, "expected no alert, got 1", ())
    (told,) = mismatch.actual
    assert (told["values"], told["severity"], told["status"]) == (["ada"], "medium", "open")


def test_too_few_alerts_are_shown(tmp_path: Path) -> None:
    (mismatch,) = mismatches(tmp_path, '{use = "look", set = {"event.action" = "X"}, alerts = [["ada"], ["bob"]]}')

    assert mismatch.what == "expected 2 alerts, got none"
    assert (mismatch.expected, mismatch.actual) == ([{"values": ["ada"]}, {"values": ["bob"]}], [])


def test_what_an_alert_says_is_compared_in_part(tmp_path: Path) -> None:
    said = '{values = ["bob"], severity = "medium", nothing = 1}'

    (mismatch,) = mismatches(tmp_path, f'{{use = "look", alerts = [{said}]}}')

    assert mismatch.what == "an alert says something else"
    assert mismatch.actual == [{"values": ["ada"], "severity": "medium", "nothing": None}]


def test_each_test_has_a_state_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        assert mismatches(tmp_path, '{use = "look", alerts = 1}') == []
