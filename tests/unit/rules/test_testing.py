"""What the steps of a test come to is in tests/unit/test_trials.py; here is how they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstseen.errors import RuleError
from firstseen.rules.testing import Expected, TestFile, is_test_file, load_tests, put, take

ONE = "[[test]]\nname = 'n'\nevent = [{{{}}}]"


def written(folder: Path, text: str, name: str = "a.test.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read(folder: Path, text: str) -> TestFile:
    return load_tests(written(folder, text))


def problems(folder: Path, text: str) -> list[str]:
    path = written(folder, text)
    with pytest.raises(RuleError) as caught:
        load_tests(path)
    return [str(problem).removeprefix(str(path)) for problem in caught.value.problems]


def test_files_of_tests_are_known_by_their_names() -> None:
    assert is_test_file("a.test.toml")
    assert not is_test_file("a.toml")
    assert not is_test_file("test.toml")


WHOLE = """
[events.call]
record = {eventName = "A", userIdentity = {arn = "x"}, when = 2026-09-21T08:00:00Z, list = [1, {b = 2.5}]}

[events.other]
use = "call"
set = {"userIdentity.arn" = "y", extra = true}
unset = ["list"]

[[test]]
name = "one"
[[test.event]]
use = "other"
alerts = [["y"], {severity = "high"}]
[[test.event]]
json = '{"eventName": "B"}'
after = "11d"
repeat = 3
every = "1s"
same = true
alerts = 2
[[test.event]]
record = {a = 1}
at = 2026-09-21T08:00:00Z
"""


def test_everything_that_a_file_may_say(tmp_path: Path) -> None:
    file = read(tmp_path, WHOLE)

    assert (file.path, file.rule) == (tmp_path / "a.test.toml", tmp_path / "a.toml")
    (test,) = file.tests
    assert (test.name, test.line) == ("one", 10)
    first, second, third = test.steps
    changed = {"eventName": "A", "userIdentity": {"arn": "y"}, "when": "2026-09-21T08:00:00Z", "extra": True}
    assert (first.records, first.line) == ([changed], 12)
    assert first.expected == Expected(2, [{"values": ["y"]}, {"severity": "high"}])
    assert (first.at_ms, first.after_ms, first.repeat, first.every_ms, first.same) == (None, None, 1, 0, False)
    assert (second.records, second.expected) == ([{"eventName": "B"}], Expected(2, ()))
    assert (second.after_ms, second.repeat, second.every_ms, second.same) == (11 * 86_400_000, 3, 1_000, True)
    assert (third.at_ms, third.expected) == (1_789_977_600_000, Expected(0, ()))


def test_what_a_step_changes_is_its_own(tmp_path: Path) -> None:
    (test,) = read(
        tmp_path,
        "[events.call]\nrecord = {a = {b = 1}}\n"
        "[[test]]\nname = 'one'\nevent = [{use = 'call', set = {'a.b' = 2}}, {use = 'call'}]",
    ).tests

    assert [step.records for step in test.steps] == [[{"a": {"b": 2}}], [{"a": {"b": 1}}]]


@pytest.mark.parametrize(
    "text", ['{"Records": [{"a": 1}, {"a": 2}]}', '[{"a": 1}, {"a": 2}]', '{"a": 1}\n\n{"a": 2}\n']
)
def test_files_of_events_may_have_many(tmp_path: Path, text: str) -> None:
    written(tmp_path, text, "events.json")

    (test,) = read(tmp_path, ONE.format('file = "events.json"')).tests

    assert test.steps[0].records == [{"a": 1}, {"a": 2}]


def test_lines_of_events_end_where_json_cannot_go_on(tmp_path: Path) -> None:
    written(tmp_path, '{"a": "x\u2028y\x85z"}\r\n{"a": 2}\n', "events.json")

    (test,) = read(tmp_path, ONE.format('file = "events.json"')).tests

    assert test.steps[0].records == [{"a": "x\u2028y\x85z"}, {"a": 2}]


SAME = "[[test]]\nname = 'n'\nevent = [{record = {a = 1}}, {record = {b = 1}}, {EVENT, same = true}]"


@pytest.mark.parametrize(
    "event", ["record = {a = 1}", 'json = \'[{"b": 1}, {"a": 1}]\'', "record = {c = 1}, repeat = 2"]
)
def test_the_same_event_came_before_or_comes_often(tmp_path: Path, event: str) -> None:
    (test,) = read(tmp_path, SAME.replace("EVENT", event)).tests

    assert [step.same for step in test.steps] == [False, False, True]


@pytest.mark.parametrize("event", ["record = {a = 2}", "record = {a = 1}, set = {c = 1}", "json = '[{\"b\": 1}, {}]'"])
def test_what_did_not_come_before_is_not_the_same(tmp_path: Path, event: str) -> None:
    expected = [":3: test[0].event[2].same: no event of this test that says just this came before"]

    assert problems(tmp_path, SAME.replace("EVENT", event)) == expected


def test_another_rule_can_be_named(tmp_path: Path) -> None:
    assert read(tmp_path, "rule = '../b.toml'\n" + ONE.format("record = {a = 1}")).rule == tmp_path / "../b.toml"


NO_TESTS = ": test: no [[test]] in this file"
SOURCES = ":3: test[0].event[0]: needs exactly one of record, json, file, use"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [NO_TESTS]),
        ("[[test]]\nname = 'n'", [":1: test[0]: a test needs an [[test.event]]"]),
        ("tests = []", [NO_TESTS, ":1: tests: unknown; known are events, rule, test"]),
        ("[[test]]\nevent = [{record = {}}]", [":1: test[0].name: missing"]),
        (
            "events = 1\n" + ONE.format("record = {}"),
            [":1: events: expected a table of events, got a whole number"],
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, expected: list[str]) -> None:
    told = problems(tmp_path, text)

    assert len(told) == len(expected)
    for problem, start in zip(told, expected, strict=True):
        assert problem.startswith(start.rpartition(", got ")[0])


@pytest.mark.parametrize(
    ("step", "start"),
    [
        ("", SOURCES),
        ("json = '{}', use = 'a'", SOURCES),
        ("use = 'a'", ":3: test[0].event[0].use: there is no event 'a' in [events] above"),
        ("record = 1", ":3: test[0].event[0].record: expected a table, got "),
        ("json = 1", ":3: test[0].event[0].json: expected a string, got "),
        ("json = '[1]'", ":3: test[0].event[0].json: expected JSON objects"),
        ("json = '{'", ":3: test[0].event[0].json: no JSON: "),
        ("file = 'absent.json'", ":3: test[0].event[0].file: "),
        ("record = {}, unset = ['a.b']", ":3: test[0].event[0].unset: the event has no a.b"),
        ("record = {}, set = 1", ":3: test[0].event[0].set: expected a table, got "),
        ("record = {}, same = 1", ":3: test[0].event[0].same: expected true or false, got "),
        ("record = {}, repeat = 100001", ":3: test[0].event[0].repeat: expected a whole number from 0 to 100000"),
        ("record = {}, after = '11 days'", ":3: test[0].event[0].after: expected a whole number and one of "),
        ("record = {}, at = 'yesterday'", ":3: test[0].event[0].at: expected a date and time, "),
        ("record = {}, at = 2026-09-21T08:00:00Z, after = '1d'", ":3: test[0].event[0]: at or after, not both"),
        ("record = {}, alerts = true", ":3: test[0].event[0].alerts: expected a number, or a list "),
        ("record = {}, alerts = -1", ":3: test[0].event[0].alerts: expected a number, or a list "),
        ("record = {}, alerts = ['x']", ":3: test[0].event[0].alerts: expected a number, or a list "),
        ("record = {}, alert = 1", ":3: test[0].event[0].alert: unknown; known are after, alerts, at, every, "),
    ],
)
def test_what_is_wrong_with_a_step_is_told(tmp_path: Path, step: str, start: str) -> None:
    (problem,) = problems(tmp_path, ONE.format(step))

    assert problem.startswith(start)


def test_broken_toml_is_told(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "[[test")

    assert problem.startswith(":1: ")


@pytest.mark.parametrize(
    ("record", "dotted", "expected"),
    [
        ({}, "a.b", {"a": {"b": 1}}),
        ({"a": {"b": 0, "c": 2}}, "a.b", {"a": {"b": 1, "c": 2}}),
        ({"a.b": 0}, "a.b", {"a.b": 1}),
        ({"a.b": {"c": 0}}, "a.b.c", {"a.b": {"c": 1}}),
        ({"a": {"b.c": 0}}, "a.b.c", {"a": {"b.c": 1}}),
        ({"a": 7}, "a.b", {"a": {"b": 1}}),
    ],
)
def test_values_are_put_where_they_are_spelt(record: dict[str, object], dotted: str, expected: object) -> None:
    put(record, dotted, 1)

    assert record == expected


def test_values_are_taken_from_where_they_are_spelt() -> None:
    record = {"a": {"b.c": 0, "d": None}}

    assert take(record, "a.b.c")
    assert take(record, "a.d")
    assert not take(record, "a.x")
    assert record == {"a": {}}
