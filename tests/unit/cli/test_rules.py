import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main
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


def test_a_rule_that_does_not_run_cannot_pass(folder: Path) -> None:
    put_rule(folder, "a", 1, "esql")

    result = rules("test", folder)

    assert result.exit_code == 78
    assert "a.toml: the rule does not run: " in result.stdout


def test_where_there_are_no_tests_none_pass(folder: Path) -> None:
    (folder / "a.test.toml").unlink()

    assert rules("test", folder).exit_code == 2
