import json
import os
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main
from firstseen.detect.matches import history_of
from firstseen.record.instant import iso
from firstseen.rules.loader import load_rules
from firstseen.store.base import RuleState
from firstseen.store.lmdb import LmdbStore
from support.mmdb import city_database
from support.rulebook import rule_id, rule_text

TESTS = """
[events.look]
record = {{event = {{action = "Look"}}, user = {{name = "ada"}}}}
[[test]]
name = "news"
event = [{{use = "look", alerts = {alerts}}}]
[[test]]
name = "no news"
event = [{{use = "look", set = {{"event.action" = "Other"}}}}]
"""


def rules(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["rules", *map(str, arguments)])


def put_rule(folder: Path, name: str, number: int, rule_type: str = "new_terms") -> None:
    text = rule_text("event.action: Look", ["user.name"], rule_id=rule_id(number))
    (folder / f"{name}.toml").write_text(text.replace('type = "new_terms"', f'type = "{rule_type}"'))


def put_tests(folder: Path, alerts: str = "1") -> None:
    (folder / "a.test.toml").write_text(TESTS.format(alerts=alerts))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put_rule(tmp_path, "a", 1)
    put_tests(tmp_path)
    return tmp_path


def test_every_rule_file_is_listed_with_what_becomes_of_it(folder: Path) -> None:
    put_rule(folder, "b", 2, "esql")

    result = rules("list", folder)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["loaded", "new_terms", "A", "rule", "for", "tests"]
    assert lines[1].split() == [rule_id(1), str(folder / "a.toml")]
    assert lines[2].split() == ["needles:", "Look"]
    assert lines[3].split()[:3] == ["not", "runnable", "esql"]
    assert "esql" in lines[5]
    assert lines[-1] == "2 rules: 1 loaded, 0 flagged, 1 not runnable, 0 skipped"


def test_the_list_for_programs(folder: Path) -> None:
    (listed,) = json.loads(rules("list", folder, "--output", "json").stdout)

    assert listed | {"needles": ["Look"]} == listed
    assert {key: listed[key] for key in ("id", "name", "type", "file", "status", "reason")} == {
        "id": rule_id(1),
        "name": "A rule for tests",
        "type": "new_terms",
        "file": str(folder / "a.toml"),
        "status": "loaded",
        "reason": "",
    }


def test_the_rules_of_a_configuration_are_listed(folder: Path) -> None:
    (folder / "conf").mkdir()
    config = folder / "conf/firstseen.toml"
    config.write_text('[rules]\npaths = ["../a.toml"]\n')

    assert "1 rules: 1 loaded" in rules("list", "-c", config).stdout


def started(folder: Path, since_ms: int, *lines: str) -> Path:
    """A state in which the rule of ``folder`` has a history since then, and one from before, of another form of it."""
    (rule,) = load_rules([folder / "a.toml"]).rules
    store = LmdbStore.open(folder / "state", 1 << 20, durable=False)
    store.register([RuleState(history_of(rule), rule.id, rule.name)], since_ms)
    store.register([RuleState(b"as it was", rule.id, rule.name)], 0)
    store.close()
    config = folder / "firstseen.toml"
    config.write_text('[rules]\npaths = ["a.toml"]\n' + "\n".join(lines) + '\n[state]\npath = "state"\n')
    return config


def test_the_histories_in_a_state_are_told(folder: Path) -> None:
    started(folder, 60_000)

    shown = rules("list", folder / "a.toml", "--state", folder / "state").stdout
    (listed,) = json.loads(rules("list", folder / "a.toml", "--state", folder / "state", "--output", "json").stdout)

    assert [line.strip() for line in shown.splitlines()[3:5]] == [
        "history since 1970-01-01T00:01:00.000Z",
        "another history since 1970-01-01T00:00:00.000Z, of this rule as it was",
    ]
    assert listed["history"] == {
        "standing": "open",
        "since": "1970-01-01T00:01:00.000Z",
        "learning_until": None,
        "shadow_until": None,
        "before": ["1970-01-01T00:00:00.000Z"],
    }


def test_who_learns_and_who_is_in_shadow_is_told_with_the_time_that_remains(folder: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    until_ms = now_ms - 60_000 + 2 * 86_400_000
    config = started(folder, now_ms - 60_000, 'learning = {"A rule*" = "2d"}', 'shadow = {"*" = 9999-12-30}')

    shown = rules("list", "-c", config).stdout.splitlines()
    (listed,) = json.loads(rules("list", "-c", config, "--output", "json").stdout)

    assert shown[5].strip() == f"learning until {iso(until_ms)}, 1d 23h left"
    assert shown[6].strip().startswith("in shadow until 9999-12-31T00:00:00.000Z, ")
    assert listed["history"]["standing"] == "learning"
    assert listed["history"]["learning_until"] == iso(until_ms)
    assert listed["history"]["shadow_until"] == "9999-12-31T00:00:00.000Z"


def test_a_shadow_for_ever_and_a_rule_without_a_history_yet(folder: Path) -> None:
    config = started(folder, 0, 'shadow = {"*" = true}')
    (folder / "a.toml").write_text(rule_text("event.action: Other", ["user.name"]))

    shown = rules("list", "-c", config).stdout.splitlines()
    (listed,) = json.loads(rules("list", "-c", config, "--output", "json").stdout)

    assert [line.strip() for line in shown[3:-1]] == ["in shadow"]
    assert (listed["history"]["since"], listed["history"]["shadow_until"]) == (None, "ever")


def test_exceptions_belong_to_the_history(folder: Path) -> None:
    config = started(folder, 60_000, 'exceptions = ["e.toml"]')
    (folder / "e.toml").write_text('[[exception]]\nquery = "user.name: bob"\n')

    shown = rules("list", "-c", config).stdout

    assert "another history since 1970-01-01T00:01:00.000Z, of this rule as it was" in shown
    assert "  history since" not in shown


def test_a_state_that_is_not_there(folder: Path) -> None:
    missing = rules("list", folder, "--state", folder / "state")
    config = started(folder, 0)
    config.write_text(config.read_text().replace('path = "state"', 'path = "none"'))

    assert (missing.exit_code, "holds no state yet" in missing.stderr) == (1, True)
    assert (rules("list", "-c", config).exit_code, "history" in rules("list", "-c", config).stdout) == (0, False)


def test_rules_have_to_be_named() -> None:
    assert rules("list").exit_code == 2


def test_broken_rules_are_told_of(folder: Path) -> None:
    (folder / "a.toml").write_text(rule_text("event.action: ("))

    result = rules("list", folder)

    assert result.exit_code == 78
    assert result.stderr.startswith(f"{folder / 'a.toml'}:")


@pytest.mark.parametrize("named", ["", "a.toml", "a.test.toml"])
def test_tests_are_found_in_a_directory_beside_a_rule_and_by_name(folder: Path, named: str) -> None:
    result = rules("test", folder / named)

    assert (result.exit_code, result.stdout) == (0, "2 tests in 1 files: 2 passed, 0 failed\n")


def test_a_failure_shows_what_differs(folder: Path) -> None:
    put_tests(folder, alerts='[["bob"]]')

    result = rules("test", folder)

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"{folder / 'a.test.toml'}:6: news: an alert says something else"
    assert any(line.startswith("    -") and '"bob"' in line for line in lines)
    assert any(line.startswith("    +") and '"ada"' in line for line in lines)
    assert lines[-1] == "2 tests in 1 files: 1 passed, 1 failed"


def test_the_outcome_for_programs(folder: Path) -> None:
    put_tests(folder, alerts="2")

    told = json.loads(rules("test", folder, "--output", "json").stdout)

    assert [(test["name"], test["line"], len(test["mismatches"])) for test in told["tests"]] == [
        ("news", 4, 1),
        ("no news", 7, 0),
    ]
    assert told["tests"][0]["mismatches"][0]["what"] == "expected 2 alerts, got 1"
    assert told["problems"] == []


def test_the_outcome_for_ci_systems(folder: Path) -> None:
    put_tests(folder, alerts='[["bob"]]')
    put_rule(folder, "b", 2)
    (folder / "b.test.toml").write_text("[[test]]\nname = 'n'\n")
    junit = folder / "junit.xml"

    result = rules("test", folder, "--junit", junit)

    suite = ElementTree.parse(junit).getroot()
    assert result.exit_code == 78
    assert [suite.get(key) for key in ("tests", "failures", "errors")] == ["3", "1", "1"]
    failure, error = suite.find("testcase/failure"), suite.find("testcase/error")
    assert failure is not None
    assert error is not None
    assert failure.get("message") == "line 6: an alert says something else"
    assert '"ada"' in str(failure.text)
    assert "a test needs an [[test.event]]" in str(error.get("message"))


def test_ci_systems_get_xml_whatever_a_test_or_a_file_is_called(folder: Path) -> None:
    """XML has no way at all to write some characters."""
    names = r"\u0000 \u001b[31m \uffff"
    (folder / "a.test.toml").write_text(TESTS.format(alerts=2).replace('"news"', f'"{names}"'))
    other = folder / os.fsdecode(b"b\x01\xff.test.toml")
    other.write_text("[[test]]\nname = 'n'\n")
    junit = folder / "junit.xml"

    rules("test", folder, "--junit", junit)

    suite = ElementTree.parse(junit).getroot()
    first, _, second = suite.iter("testcase")
    assert first.get("name") == f'"{names}"'
    assert second.get("classname") == r'"b\u0001\udcff.test.toml"'
    assert r"b\u0001\udcff" in str(second[0].get("message"))


FROM_LEEDS = """
[[test]]
name = "from Leeds"
[[test.event]]
record = {eventSource = "sts.amazonaws.com", eventName = "Look", sourceIPAddress = "192.0.2.1"}
alerts = [["192.0.2.1"]]
"""


def test_the_databases_of_a_configuration_tell_of_addresses(folder: Path) -> None:
    query = "event.action: Look and source.geo.city_name: Leeds"
    (folder / "a.toml").write_text(rule_text(query, ["source.ip"]))
    (folder / "a.test.toml").write_text(FROM_LEEDS)
    city_database(folder / "city.mmdb")
    config = folder / "firstseen.toml"
    config.write_text('[geoip]\ncity = "city.mmdb"\n[input]\nshared_key = "${FIRSTSEEN_TEST_KEY}"\n')

    without, having = rules("test", folder / "a.toml"), rules("test", "-c", config, folder / "a.toml")

    assert without.stdout.splitlines()[0] == (
        f"{folder / 'a.test.toml'}:4: from Leeds: expected 1 alert, and no event of CloudTrail can match here: "
        "source.geo.city_name needs a database of places (geoip.city)"
    )
    assert (having.exit_code, having.stdout) == (0, "1 tests in 1 files: 1 passed, 0 failed\n")


def test_a_configuration_that_cannot_be_read_is_a_problem(folder: Path) -> None:
    result = rules("test", "-c", folder / "none.toml", folder)

    assert (result.exit_code, "none.toml" in result.stderr) == (78, True)


def test_a_rule_that_does_not_run_cannot_pass(folder: Path) -> None:
    put_rule(folder, "a", 1, "esql")

    result = rules("test", folder)

    assert result.exit_code == 78
    assert "a.toml: the rule does not run: " in result.stdout


def test_where_there_are_no_tests_none_pass(folder: Path) -> None:
    (folder / "a.test.toml").unlink()

    assert rules("test", folder).exit_code == 2
