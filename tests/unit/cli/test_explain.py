import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main
from support.redis import RedisServer, new_prefix
from support.rulebook import call, rule_id, rule_text

ROOT = Path(__file__).parents[3]
ADA = "arn:aws:iam::111122223333:user/ada"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    for number in (1, 2):
        text = rule_text(rule_id=rule_id(number)).replace("A rule for tests", f"Rule {number}")
        (tmp_path / f"rules/{number}.toml").write_text(text)
    (tmp_path / "event.json").write_text(json.dumps(call(ADA, "e-1")))
    return tmp_path


def run(command: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [command, *map(str, arguments)])


def outcomes(result: Result) -> dict[str, str]:
    (line,) = result.stdout.splitlines()
    return {rule["name"]: rule["outcome"] for rule in json.loads(line)["rules"]}


def test_each_event_is_explained_by_each_rule(folder: Path) -> None:
    result = run("explain", "--rules", folder / "rules", folder / "event.json")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"{folder / 'event.json'}:1  GetCallerIdentity  2026-09-21T08:00:00.000Z  e-1"
    assert [line for line in lines if line.startswith("  ✔")] == [
        "  ✔ Rule 1 (new_terms): alert",
        "  ✔ Rule 2 (new_terms): alert",
    ]
    assert "    state: no state given, as if nothing was ever seen" in lines


def test_the_explanation_for_programs_is_one_object_a_line(folder: Path) -> None:
    (folder / "event.json").write_text(json.dumps([call(ADA, "e-1"), call(ADA, "e-2")]))

    result = run("explain", "--rules", folder / "rules", folder / "event.json", "--output", "json")

    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["e-1", "e-2"]


def test_nothing_of_the_explanation_for_programs_is_a_command_to_a_terminal(folder: Path) -> None:
    arn = f"{ADA}\x9b2J\u202e\U0001f600"
    (folder / "event.json").write_text(json.dumps(call(arn, "e-1")))

    result = run("explain", "--rules", folder / "rules", folder / "event.json", "--output", "json")

    assert result.stdout.isascii()
    assert json.loads(result.stdout)["rules"][0]["answers"][0]["terms"][0] == arn


@pytest.mark.parametrize("wanted", ["Rule 2", "*2", rule_id(2)])
def test_rules_are_chosen_by_id_and_by_name(folder: Path, wanted: str) -> None:
    result = run("explain", "--rules", folder / "rules", "--rule", wanted, folder / "event.json", "--output", "json")

    assert outcomes(result) == {"Rule 2": "alert"}


def test_a_rule_that_is_not_there_is_a_slip(folder: Path) -> None:
    result = run("explain", "--rules", folder / "rules", "--rule", "Rule 3", folder / "event.json")

    assert result.exit_code == 2
    assert "there is no rule Rule 3" in result.stderr


def test_a_state_is_asked_and_stays_as_it_is(folder: Path) -> None:
    state = folder / "state"
    run("replay", "--rules", folder / "rules/1.toml", "--state", state, folder / "event.json")
    later = folder / "later.json"
    later.write_text(json.dumps(call(ADA, "e-2")))

    for _ in range(2):
        result = run("explain", "--rules", folder / "rules", "--state", state, later, "--output", "json")
        assert outcomes(result) == {"Rule 1": "known", "Rule 2": "alert"}

    text = run("explain", "--rules", folder / "rules", "--state", state, later).stdout
    assert "state: history since " in text
    assert "state: it holds no history of this rule as it is now" in text


def test_the_state_of_the_configuration_is_asked_where_it_is_there(folder: Path) -> None:
    config = folder / "firstseen.toml"
    config.write_text('[rules]\npaths = ["rules"]\n[state]\npath = "state"\n')
    asked = ("explain", "-c", config, folder / "event.json", "--output", "json")

    before = json.loads(run(*asked).stdout)
    run("replay", "--rules", folder / "rules/1.toml", "--state", folder / "state", folder / "event.json")
    after = run(*asked)

    assert before["state_given"] is False
    assert outcomes(after) == {"Rule 1": "known", "Rule 2": "alert"}


@pytest.mark.redis
def test_a_shared_state_is_asked(folder: Path, redis_server: RedisServer) -> None:
    prefix = new_prefix().decode()
    config = folder / "firstseen.toml"
    config.write_text(f'[rules]\npaths = ["rules"]\n[state]\nurl = "{redis_server.url}"\nprefix = "{prefix}"\n')
    files = (folder / "event.json", "--output", "json")
    there = ("--state", str(redis_server.url), "--prefix", prefix)

    missing = run("explain", "--rules", folder / "rules", *there, *files)
    without = run("explain", "-c", config, *files)
    run("backfill", "--jobs", "1", "--rules", folder / "rules/1.toml", *there, "--since", "2026-01-01", files[0])

    assert (missing.exit_code, "holds no state yet" in missing.stderr) == (1, True)
    assert outcomes(without) == {"Rule 1": "alert", "Rule 2": "alert"}
    for named in (("-c", config), ("--rules", folder / "rules", *there)):
        assert outcomes(run("explain", *named, *files)) == {"Rule 1": "known", "Rule 2": "alert"}


def test_a_state_that_is_not_there_is_told_of(folder: Path) -> None:
    result = run("explain", "--rules", folder / "rules", "--state", folder / "nowhere", folder / "event.json")

    assert result.exit_code == 1
    assert str(folder / "nowhere") in result.stderr


def test_rules_and_exceptions_come_from_the_configuration(folder: Path) -> None:
    (folder / "exceptions.toml").write_text('[[exception]]\nrules = ["Rule 2"]\nquery = "event.action: *"\n')
    config = folder / "firstseen.toml"
    config.write_text('[rules]\npaths = ["rules"]\nexceptions = ["exceptions.toml"]\n')

    result = run("explain", "-c", config, folder / "event.json", "--output", "json")

    assert outcomes(result) == {"Rule 1": "alert", "Rule 2": "excepted"}


def test_a_file_that_cannot_be_read_does_not_hide_the_others(folder: Path) -> None:
    (folder / "broken.json").write_text("{")

    result = run("explain", "--rules", folder / "rules", folder / "broken.json", folder / "event.json")

    assert result.exit_code == 1
    assert "e-1" in result.stdout
    assert "broken.json" in result.stderr


def test_colours_are_for_terminals(folder: Path) -> None:
    arguments = ["explain", "--rules", str(folder / "rules"), str(folder / "event.json")]

    assert "\x1b[" in CliRunner().invoke(main, arguments, color=True).stdout
    assert "\x1b[" not in CliRunner().invoke(main, arguments).stdout


def test_the_example_in_the_documents_is_what_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    exception = "user_agent.original: Boto3/* and source.ip: 203.0.113.0/24"
    Path("exceptions.toml").write_text(f'[[exception]]\nname = "nightly inventory"\nquery = "{exception}"\n')
    event = call(ADA, "e-1") | {"userAgent": "aws-cli/2.17.0", "sourceIPAddress": "198.51.100.7"}
    earlier = event | {"eventTime": "2026-09-18T07:00:00Z", "eventID": "e-0"}
    Path("event.json").write_text(json.dumps(event))
    Path("earlier.json").write_text(json.dumps(earlier))
    asked = ("--rules", "rules", "--exceptions", "exceptions.toml", "--state", "state")
    run("replay", *asked, "earlier.json")

    told = run("explain", *asked, "--rule", "*GetCallerIdentity*", "event.json").stdout

    page = (ROOT / "docs/commands.md").read_text()
    (example,) = re.findall(r"```\n\$ firstseen explain .*?\n(.*?)```", page, re.DOTALL)
    began = re.compile(r"history since \S+")
    assert began.sub("", told.rstrip()) == began.sub("", example.rstrip())


def test_events_are_read_as_the_configuration_says_of_all_tags(folder: Path) -> None:
    document = {
        "eventSource": "sts.amazonaws.com",
        "eventName": "Else",
        "@timestamp": "2026-09-22T08:00:00Z",
        "event": {"provider": "sts.amazonaws.com", "action": "GetCallerIdentity", "id": "e-1"},
        "aws": {"cloudtrail": {"user_identity": {"arn": ADA}}},
    }
    (folder / "event.json").write_text(json.dumps(document))
    config = folder / "firstseen.toml"
    config.write_text('[rules]\npaths = ["rules"]\n[state]\npath = "state"\n[sources]\n"*" = "ecs"\n')

    configured = run("explain", "-c", config, folder / "event.json", "--output", "json")
    plain = run("explain", "--rules", folder / "rules", folder / "event.json", "--output", "json")

    assert set(outcomes(configured).values()) == {"alert"}
    assert set(outcomes(plain).values()) == {"no match"}
