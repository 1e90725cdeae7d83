import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main
from firstseen.eventfiles import Event, read_events
from support.mmdb import asn_database
from support.rulebook import rule_text

ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"


def call(arn: str, event_id: str, time: str = "2026-09-21T08:00:00Z") -> dict[str, Any]:
    return {
        "userIdentity": {"type": "IAMUser", "arn": arn},
        "eventTime": time,
        "eventSource": "sts.amazonaws.com",
        "eventName": "GetCallerIdentity",
        "eventID": event_id,
    }


@pytest.fixture
def rule(tmp_path: Path) -> str:
    path = tmp_path / "rule.toml"
    path.write_text(rule_text())
    return str(path)


def write(path: Path, *events: dict[str, Any] | str) -> str:
    path.write_text("\n".join(event if isinstance(event, str) else json.dumps(event) for event in events))
    return str(path)


def replay(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", *arguments])


def printed(result: Result) -> list[str]:
    return [json.loads(line)["eventID"] for line in result.stdout.splitlines()]


def test_first_sightings_are_printed_in_the_order_of_their_time(tmp_path: Path, rule: str) -> None:
    late, early = call(ADA, "late", "2026-09-21T09:00:00Z"), call(ADA, "early", "2026-09-21T08:00:00Z")
    file = write(tmp_path / "events.json", late, early, call(BOB, "other", "2026-09-21T10:00:00Z"))

    result = replay("--rules", rule, file)

    assert printed(result) == ["early", "other"]
    assert result.exit_code == 0
    assert "3 events in 1 file: 3 matches, 2 alerts, 1 known" in result.stderr


def test_exceptions_take_events_out(tmp_path: Path, rule: str) -> None:
    exceptions = tmp_path / "exceptions.toml"
    arn = "aws.cloudtrail.user_identity.arn"
    exceptions.write_text(
        f'[[exception]]\nquery = \'{arn}: "{ADA}"\'\n[[exception]]\nquery = "{arn}: *"\nexpires = 2020-01-01\n'
    )
    file = write(tmp_path / "events.json", call(ADA, "ada"), call(BOB, "bob"))

    result = replay("--rules", rule, "--exceptions", str(exceptions), file)

    assert printed(result) == ["bob"]
    assert f"firstseen: {exceptions}:3: exception expired: exception 2: it has expired" in result.stderr


def test_exceptions_come_from_the_configuration(tmp_path: Path, rule: str) -> None:
    (tmp_path / "exceptions.toml").write_text('[[exception]]\nquery = "event.action: *"\n')
    (tmp_path / "none.toml").write_text('[[exception]]\nquery = "event.action: nothing"\n')
    config = tmp_path / "firstseen.toml"
    config.write_text('[rules]\npaths = ["rule.toml"]\nexceptions = ["exceptions.toml"]\n')
    file = write(tmp_path / "events.json", call(ADA, "ada"))

    assert printed(replay("-c", str(config), file)) == []
    assert printed(replay("-c", str(config), "--exceptions", str(tmp_path / "none.toml"), file)) == ["ada"]


def test_as_given_takes_them_as_they_lie(tmp_path: Path, rule: str) -> None:
    late, early = call(ADA, "late", "2026-09-21T09:00:00Z"), call(ADA, "early", "2026-09-21T08:00:00Z")
    file = write(tmp_path / "events.json", late, early)

    assert printed(replay("--rules", rule, "--as-given", file)) == ["late"]


def test_events_keep_their_text(tmp_path: Path, rule: str) -> None:
    text = json.dumps(call(ADA, "e-1"))[:-1] + ', "odd": 1.0, "big": 123456789012345678901, "esc": "\\u00e4\\/" }'
    file = write(tmp_path / "events.json", text)

    (line,) = replay("--rules", rule, file).stdout.splitlines()

    assert line.startswith(text[:-2])
    assert list(json.loads(line))[-1] == "alerts"


@pytest.mark.parametrize("labelled", [True, False])
def test_on_a_terminal_nothing_that_is_printed_is_a_command_to_it(tmp_path: Path, rule: str, labelled: bool) -> None:
    event = call(ADA, "e\x9b2J\u202e\U0001f600") | {"eventName": "GetCallerIdentity" if labelled else "Other"}
    text = json.dumps(event, ensure_ascii=False)
    (tmp_path / "events.json").write_text(text, "utf-8")
    command = [sys.executable, "-m", "firstseen", "replay", "--all", "--rules", rule, str(tmp_path / "events.json")]

    ours, theirs = pty.openpty()
    subprocess.run(command, stdout=theirs, stderr=subprocess.DEVNULL, check=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    written = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=60).stdout

    assert shown.isascii()
    assert json.loads(shown)["eventID"] == event["eventID"]
    assert ("alerts" in json.loads(shown)) is labelled
    assert written.startswith(text[:-1].encode())


def test_all_prints_every_event(tmp_path: Path, rule: str) -> None:
    file = write(tmp_path / "events.json", {"a": 1, "eventID": "x"}, call(ADA, "e-1"))

    lines = replay("--rules", rule, "--all", file).stdout.splitlines()

    assert "alerts" in json.loads(lines[0])
    assert lines[1:] == ['{"a": 1, "eventID": "x"}'], "it has no time"


def test_a_state_remembers_between_runs(tmp_path: Path, rule: str) -> None:
    file = write(tmp_path / "events.json", call(ADA, "e-1"))
    arguments = ["--rules", rule, "--state", str(tmp_path / "state"), file]

    assert [printed(replay(*arguments)), printed(replay(*arguments))] == [["e-1"], []]


def test_events_without_a_time_come_last_and_silence_none(tmp_path: Path, rule: str) -> None:
    undated = call(ADA, "undated")
    del undated["eventTime"]
    other = {**call(BOB, "other"), "eventTime": "yesterday"}
    file = write(tmp_path / "events.json", undated, call(ADA, "dated", "2020-09-21T08:00:00Z"), other)

    result = replay("--rules", rule, file)
    summary = json.loads(replay("--rules", rule, "--output", "json", file).stderr)

    assert printed(result)[0] == "dated"
    assert set(printed(result)) == {"dated", "undated", "other"}
    assert "2 matches without a time, taken as of now" in result.stderr
    assert summary["undated"] == 2


def test_all_names_are_looked_at_before_anything_is_printed(tmp_path: Path, rule: str) -> None:
    file, state = write(tmp_path / "events.json", call(ADA, "e-1")), tmp_path / "state"

    result = replay("--rules", rule, "--as-given", "--state", str(state), file, "nowhere.json")

    assert (result.exit_code, result.stdout, state.exists()) == (1, "", False)
    assert "nowhere.json: there is no such file" in result.stderr


def test_what_was_printed_is_remembered_whatever_ends_it(
    tmp_path: Path, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "events.json", call(ADA, "e-1"), call(BOB, "e-2"))
    arguments = ["--rules", rule, "--as-given", "--state", str(tmp_path / "state"), file]

    def interrupted(name: str) -> Iterator[Event]:
        yield next(read_events(name))
        raise KeyboardInterrupt

    monkeypatch.setattr("firstseen.cli.replay.read_events", interrupted)
    broken_off = replay(*arguments)
    monkeypatch.undo()

    assert [printed(broken_off), printed(replay(*arguments))] == [["e-1"], ["e-2"]]


def test_a_replay_keeps_its_state_on_disk(tmp_path: Path, rule: str) -> None:
    result = replay("--rules", rule, "--state", "redis://127.0.0.1", write(tmp_path / "events.json"))

    assert result.exit_code == 2
    assert "a replay keeps what was seen in a directory" in result.stderr


def test_an_older_label_is_kept(tmp_path: Path, rule: str) -> None:
    file = write(tmp_path / "events.json", {**call(ADA, "e-1"), "alerts": ["older"]})

    (line,) = replay("--rules", rule, file).stdout.splitlines()

    assert [label if isinstance(label, str) else label["status"] for label in json.loads(line)["alerts"]] == [
        "older",
        "open",
    ]


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path, rule: str) -> None:
    broken = write(tmp_path / "a.json", call(BOB, "e-1"), "broken", call(BOB, "e-2"))
    whole = write(tmp_path / "b.json", call(ADA, "e-3"))

    result = replay("--rules", rule, broken, whole)

    assert sorted(printed(result)) == ["e-1", "e-3"]
    assert result.exit_code == 1
    assert f"{broken}:2: this is no JSON" in result.stderr


def test_the_summary_as_json(tmp_path: Path, rule: str) -> None:
    result = replay("--rules", rule, "--output", "json", write(tmp_path / "e.json", call(ADA, "e-1")))

    assert json.loads(result.stderr) == {
        "files": 1,
        "events": 1,
        "matches": 1,
        "alerts": 1,
        "suppressed": 0,
        "learning": 0,
        "undated": 0,
        "alerts_by_rule": {"A rule for tests": 1},
        "unreadable": [],
    }


def test_the_summary_for_programs_is_ascii(tmp_path: Path, rule: str) -> None:
    broken = write(tmp_path / "a\x9b2J.json", "broken")

    told = replay("--rules", rule, "--output", "json", broken).stderr.splitlines()[-1]

    assert told.isascii()
    assert broken in json.loads(told)["unreadable"][0]


def test_the_rules_of_a_configuration(tmp_path: Path, rule: str) -> None:
    config = tmp_path / "firstseen.toml"
    config.write_text('[rules]\npaths = ["rule.toml"]\n[alerts]\nkey = "found"\n')

    result = replay("-c", str(config), write(tmp_path / "e.json", call(ADA, "e-1")))

    assert [list(json.loads(line))[-1] for line in result.stdout.splitlines()] == ["found"]


def test_with_the_settings_of_a_configuration_a_throw_away_state_learns(tmp_path: Path, rule: str) -> None:
    config = tmp_path / "firstseen.toml"
    config.write_text('[rules]\npaths = ["rule.toml"]\n[state]\nlearning_period = "1d"\n')
    events = write(tmp_path / "e.json", call(ADA, "e-1"), call(ADA, "e-2"), call(BOB, "e-3"))

    learnt, told = replay("-c", str(config), events), replay("--rules", rule, events)
    as_json = json.loads(replay("-c", str(config), "--output", "json", events).stderr)

    statuses = [
        [json.loads(line)["alerts"][0]["status"] for line in each.stdout.splitlines()] for each in (learnt, told)
    ]
    assert statuses == [["learning", "learning"], ["open", "open"]]
    assert learnt.stderr == "3 events in 1 file: 3 matches, 0 alerts, 1 known, 2 learnt\n"
    assert {key: as_json[key] for key in ("matches", "alerts", "learning", "alerts_by_rule")} == {
        "matches": 3,
        "alerts": 0,
        "learning": 2,
        "alerts_by_rule": {},
    }


def test_rules_that_do_not_run_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "rule.toml"
    path.write_text(rule_text().replace('type = "new_terms"', 'type = "eql"'))

    result = replay("--rules", str(path), write(tmp_path / "e.json", call(ADA, "e-1")))

    assert "not runnable" in result.stderr
    assert "eql" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["file.json"], 2, "say which rules"),
        (["--rules", "nowhere", "file.json"], 78, "nowhere"),
        (["--rules", "{rule}", "file.json"], 1, "file.json: there is no such file"),
        (["--rules", "{rule}"], 2, "FILE"),
    ],
)
def test_mistakes_are_told_of(rule: str, arguments: list[str], code: int, said: str) -> None:
    result = replay(*(argument.replace("{rule}", rule) for argument in arguments))

    assert (result.exit_code, said in result.stderr) == (code, True)


def test_the_databases_of_a_configuration(tmp_path: Path) -> None:
    config, rule = tmp_path / "firstseen.toml", tmp_path / "rule.toml"
    rule.write_text(rule_text('source.as.organization.name: "Example Networks"'))
    asn_database(tmp_path / "asn.mmdb")
    events = write(
        tmp_path / "e.json",
        call(ADA, "e-1") | {"sourceIPAddress": "192.0.2.7"},
        call(ADA, "e-2") | {"sourceIPAddress": "198.51.100.7"},
    )

    config.write_text('[rules]\npaths = ["rule.toml"]\n')
    without = replay("-c", str(config), events)
    config.write_text('[rules]\npaths = ["rule.toml"]\n[geoip]\nasn = "asn.mmdb"\n')
    labelled = replay("-c", str(config), events)

    assert without.stdout == ""
    assert [json.loads(line)["eventID"] for line in labelled.stdout.splitlines()] == ["e-1"]


def test_a_key_that_is_taken_is_left_alone_as_the_agent_leaves_it(tmp_path: Path, rule: str) -> None:
    taken, listed = call(ADA, "e-1") | {"alerts": "mine"}, call(BOB, "e-2") | {"alerts": [{"of": "another"}]}
    file = write(tmp_path / "events.json", taken, listed)

    lines = replay("--rules", rule, "--as-given", file).stdout.splitlines()
    first, second = map(json.loads, lines)

    assert lines[0].startswith(json.dumps(taken)[:-1]), "its own text goes before the label"
    assert (first["alerts"], [label["status"] for label in first["alerts_"]]) == ("mine", ["open"])
    assert (second["alerts"][0], len(second["alerts"])) == ({"of": "another"}, 2)


def test_events_are_read_as_the_configuration_says_of_all_tags(tmp_path: Path, rule: str) -> None:
    document: dict[str, Any] = {
        "eventSource": "sts.amazonaws.com",
        "eventName": "Else",
        "@timestamp": "2026-09-22T08:00:00Z",
        "event": {"provider": "sts.amazonaws.com", "action": "GetCallerIdentity", "id": "e-1"},
        "aws": {"cloudtrail": {"user_identity": {"arn": ADA}}},
    }
    late = {**document, "@timestamp": "2026-09-22T09:00:00Z", "event": {**document["event"], "id": "e-2"}}
    config, file = tmp_path / "firstseen.toml", write(tmp_path / "e.json", late, document)

    config.write_text('[rules]\npaths = ["rule.toml"]\n')
    auto = replay("-c", str(config), file)
    config.write_text('[rules]\npaths = ["rule.toml"]\n[sources]\n"aws.*" = "cloudtrail"\n"*" = "ecs"\n')
    ecs = replay("-c", str(config), file)

    assert auto.stdout == ""
    assert [json.loads(line)["event"]["id"] for line in ecs.stdout.splitlines()] == ["e-1"]
