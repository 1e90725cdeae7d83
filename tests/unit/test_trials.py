from __future__ import annotations

import json
from pathlib import Path

import pytest

from firstseen.rules.testing import load_tests
from firstseen.trials import Mismatch, run_test
from support.rulebook import rule_set, rule_text

ECS = '{event = {action = "Look"}, user = {name = "ada"}}'
CLOUDTRAIL = (
    '{eventSource = "sts.amazonaws.com", eventName = "Look", userIdentity = {type = "IAMUser", userName = "ada"}}'
)


LOOK = rule_text("event.action: Look", ["user.name"])
THREE_LOOKS = LOOK.replace('"new_terms"', '"threshold"') + 'threshold = {field = ["user.name"], value = 3}\n'

EVERY_LOOK = LOOK.replace('"new_terms"', '"query"')


def mismatches(folder: Path, events: str, record: str = ECS, rule: str = LOOK) -> list[Mismatch]:
    path = folder / "a.test.toml"
    path.write_text(f"[events.look]\nrecord = {record}\n[[test]]\nname = 'n'\nevent = [\n{events}\n]")
    (test,) = load_tests(path).tests
    return list(run_test(rule_set(rule), test))


def in_text(said: object, **beside: str) -> str:
    """A record with JSON text, as it is written in TOML."""
    members = {"log": json.dumps(said), **beside}
    return "{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in members.items()) + "}"


DATED = {
    "eventSource": "sts.amazonaws.com",
    "eventName": "Look",
    "eventTime": "2026-09-21T08:00:00Z",
    "eventID": "e",
    "userIdentity": {"type": "IAMUser", "userName": "ada"},
}
DATED_TABLE = CLOUDTRAIL.replace("{", '{eventTime = "2026-09-21T08:00:00Z", eventID = "e", ', 1)
DOCUMENT = {"event": {"action": "Look"}, "user": {"name": "ada"}}
ENVELOPES = {
    "Records": f"{{Records = [{DATED_TABLE}]}}",
    "EventBridge": f'{{source = "aws.sts", detail-type = "AWS API Call via CloudTrail", detail = {DATED_TABLE}}}',
    "text": in_text(DATED),
    "text in a document": in_text(DATED, **{'"@timestamp"': "2026-01-01T00:00:00Z"}),
    "a document in text": in_text(DOCUMENT),
    "an array in text": in_text([DATED]),
    "Records in text": in_text({"Records": [DATED]}),
}
enveloped = pytest.mark.parametrize("record", ENVELOPES.values(), ids=list(ENVELOPES))


@pytest.mark.parametrize("record", [ECS, CLOUDTRAIL])
def test_time_passes_as_the_steps_say(tmp_path: Path, record: str) -> None:
    steps = """
{use = "look", alerts = 1},
{use = "look", after = "9d"},
{use = "look", after = "11d", alerts = [{values = ["ada"], last_seen = "2026-01-10T00:00:00.000Z"}]},
{use = "look", at = 2026-03-01T00:00:00Z, alerts = [{time = "2026-03-01T00:00:00.000Z"}]},
"""
    assert mismatches(tmp_path, steps, record) == []


@enveloped
def test_time_passes_for_what_is_in_an_envelope(tmp_path: Path, record: str) -> None:
    steps = """
{use = "look", at = 2026-03-01T00:00:00Z, alerts = [{time = "2026-03-01T00:00:00.000Z"}]},
{use = "look", after = "9d"},
{use = "look", after = "11d", alerts = [{time = "2026-03-21T00:00:00.000Z"}]},
{use = "look", repeat = 2, every = "11d", after = "11d", alerts = 2},
"""
    assert mismatches(tmp_path, steps, record) == []


@enveloped
def test_what_is_in_an_envelope_is_another_event_each_time(tmp_path: Path, record: str) -> None:
    steps = """
{use = "look", repeat = 2, every = "1s"},
{use = "look", same = true, after = "1s"},
{use = "look", after = "1s", alerts = 1},
"""

    assert mismatches(tmp_path, steps, record, THREE_LOOKS) == []


def test_every_event_in_an_envelope_is_one_of_its_own_at_that_time(tmp_path: Path) -> None:
    record = in_text({"Records": [DATED] * 3})
    steps = """
{use = "look", at = 2026-03-01T00:00:00Z, alerts = [{count = 3, time = "2026-03-01T00:00:00.000Z"}]},
{use = "look", same = true, after = "1s"},
{use = "look", after = "5m", alerts = [{count = 3}]},
"""
    assert mismatches(tmp_path, steps, record, THREE_LOOKS) == []


def test_the_last_event_of_an_envelope_is_the_one_before(tmp_path: Path) -> None:
    records = [DATED, DATED | {"eventTime": "2026-09-21T09:00:00Z"}]
    steps = """
{use = "look"},
{use = "look", after = "1h", alerts = [{time = "2026-09-21T10:00:00.000Z"}]},
"""
    assert mismatches(tmp_path, steps, in_text({"Records": records}), THREE_LOOKS) == []


INGESTED = {
    "a document": '{"@timestamp" = "2026-09-21T08:00:00Z", user = {name = "ada"}, '
    'event = {action = "Look", ingested = "2026-09-21T08:00:05Z"}}',
    "dotted": '{"@timestamp" = "2026-09-21T08:00:00Z", "event.ingested" = "2026-09-21T08:00:05Z", '
    '"event.action" = "Look", "user.name" = "ada"}',
    "CloudTrail": CLOUDTRAIL.replace(
        "{", '{eventTime = "2026-09-21T08:00:00Z", event = {ingested = "2026-09-21T08:00:05Z"}, ', 1
    ),
}


@pytest.mark.parametrize("record", INGESTED.values(), ids=list(INGESTED))
def test_when_an_event_was_ingested_moves_along(tmp_path: Path, record: str) -> None:
    steps = """
{use = "look", alerts = [{time = "2026-09-21T08:00:00.000Z"}]},
{use = "look", after = "9d"},
{use = "look", after = "11d", alerts = [{time = "2026-10-11T08:00:00.000Z", last_seen = "2026-09-30T08:00:05.000Z"}]},
{use = "look", at = 2026-12-01T00:00:00Z, alerts = [{time = "2026-12-01T00:00:00.000Z"}]},
{use = "look", after = "11d", alerts = [{last_seen = "2026-12-01T00:00:05.000Z"}]},
"""
    assert mismatches(tmp_path, steps, record) == []


def test_an_event_may_have_no_time_but_when_it_was_ingested(tmp_path: Path) -> None:
    record = '{event = {action = "Look", ingested = "2026-09-21T08:00:05Z"}, user = {name = "ada"}}'
    steps = """
{use = "look", alerts = 1},
{use = "look", after = "11d", alerts = [{last_seen = "2026-09-21T08:00:05.000Z", time = "2026-10-02T08:00:05.000Z"}]},
{use = "look", after = "11d", alerts = [{last_seen = "2026-10-02T08:00:05.000Z"}]},
"""
    assert mismatches(tmp_path, steps, record) == []


def test_a_digest_stays_one(tmp_path: Path) -> None:
    record = '{awsAccountId = "1", digestEndTime = "2026-09-21T08:00:00Z", digestS3Object = "o", digestS3Bucket = "b"}'
    rule = rule_text("aws.cloudtrail.flattened.digest: *", ["aws.cloudtrail.flattened.digest.s3_bucket"])
    steps = '{use = "look", alerts = 1}, {use = "look", after = "11d", alerts = [{time = "2026-10-02T08:00:00.000Z"}]}'

    assert mismatches(tmp_path, steps, record, rule) == []


def test_nothing_else_of_an_event_changes(tmp_path: Path) -> None:
    """Also where a field that holds a text has the name of the table that the id would be in."""
    record = '{event = "login", user = {name = "ada"}}'

    steps = '{use = "look", alerts = [["login"]]}'

    assert mismatches(tmp_path, steps, record, rule_text("user.name: ada", ["event.caseless"])) == []


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


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("record", [ECS, CLOUDTRAIL])
def test_the_same_event_counts_once(tmp_path: Path, record: str, named: bool) -> None:
    """It has the id that it had when it came, whether the record has one of its own or not."""
    if named:
        record = record.replace("{", '{eventID = "e", ' if record is CLOUDTRAIL else '{"event.id" = "e", ', 1)
    steps = """
{use = "look", same = true, repeat = 9, every = "1s"},
{use = "look", after = "1s"},
{use = "look", same = true, after = "1s"},
{use = "look", same = true, repeat = 9, every = "1s"},
{use = "look", after = "1s", alerts = [{count = 3}]},
"""
    assert mismatches(tmp_path, steps, record, THREE_LOOKS) == []


@pytest.mark.parametrize("record", [ECS, CLOUDTRAIL])
def test_the_same_event_is_no_news(tmp_path: Path, record: str) -> None:
    """Its alert was delivered. A rule that alerts on every match gives the same alert."""
    steps = '{use = "look", alerts = [{id = ""}]}, {use = "look", same = true, alerts = [{id = ""}]}'

    news, no_news = mismatches(tmp_path, steps, record)
    first, second = mismatches(tmp_path, steps, record, EVERY_LOOK)

    assert (len(news.actual), len(no_news.actual)) == (1, 0)
    assert len(first.actual) == 1
    assert first.actual == second.actual


def test_the_same_event_is_the_one_that_says_the_same_and_not_the_one_just_before(tmp_path: Path) -> None:
    steps = """
{use = "look", set = {region = "a"}},
{use = "look", set = {region = "b"}},
{use = "look", set = {region = "a"}, same = true, after = "1s"},
{use = "look", set = {region = "c"}, alerts = [{count = 3}]},
"""
    assert mismatches(tmp_path, steps, ECS, THREE_LOOKS) == []


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


GEO = "source.geo.city_name needs a database of places (geoip.city)"


@pytest.mark.parametrize(
    ("query", "fields", "record", "why"),
    [
        ("event.action: Look and source.geo.city_name: x", ["user.name"], CLOUDTRAIL, GEO),
        ("event.action: Look", ["user.name", "source.geo.city_name"], CLOUDTRAIL, GEO),
        ("event.action: Look and host.name: x", ["user.name"], CLOUDTRAIL, "host.name is not a field of CloudTrail"),
        ("event.action: Look and source.geo.city_name: x", ["user.name"], ECS, ""),
        ("event.action: Other and not source.geo.city_name: x", ["user.name"], CLOUDTRAIL, ""),
    ],
)
def test_why_no_event_can_match_is_said(tmp_path: Path, query: str, fields: list[str], record: str, why: str) -> None:
    (mismatch,) = mismatches(tmp_path, '{use = "look", alerts = 1}', record, rule_text(query, fields))

    got = f"and no event of CloudTrail can match here: {why}" if why else "got none"
    assert mismatch.what == f"expected 1 alert, {got}"


def test_why_nothing_can_be_counted_is_said(tmp_path: Path) -> None:
    rule = THREE_LOOKS.replace("value = 3", 'value = 3, cardinality = [{field = "source.geo.city_name", value = 2}]')

    (mismatch,) = mismatches(tmp_path, '{use = "look", repeat = 3, alerts = 1}', CLOUDTRAIL, rule)

    assert mismatch.what == f"expected 1 alert, and no event of CloudTrail can match here: {GEO}"


def test_what_an_alert_says_is_compared_in_part(tmp_path: Path) -> None:
    said = '{values = ["bob"], severity = "medium", nothing = 1}'

    (mismatch,) = mismatches(tmp_path, f'{{use = "look", alerts = [{said}]}}')

    assert mismatch.what == "an alert says something else"
    assert mismatch.actual == [{"values": ["ada"], "severity": "medium", "nothing": None}]


def test_each_test_has_a_state_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        assert mismatches(tmp_path, '{use = "look", alerts = 1}') == []
