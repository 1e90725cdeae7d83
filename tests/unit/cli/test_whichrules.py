from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from firstseen.cli import main
from firstseen.cli.whichrules import rules_of, tell_of
from firstseen.errors import ConfigError
from support.rulebook import rule_text

OF_PLACES = "event.action: GetCallerIdentity and source.geo.country_iso_code: DE"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.toml").write_text(rule_text())
    (tmp_path / "b.toml").write_text(rule_text("event.action: Look"))
    path = tmp_path / "firstseen.toml"
    path.write_text('[rules]\npaths = ["a.toml"]\nshadow = {gone = true}\n[state]\npath = "state"\n')
    return path


def test_what_the_command_line_names_goes_before_the_configuration(tmp_path: Path, file: Path) -> None:
    configured, named = rules_of(file, (), ()), rules_of(file, (tmp_path / "b.toml",), ())

    assert [rule.needles for rule in configured.rules.rules] == [{b"GetCallerIdentity"}]
    assert [rule.needles for rule in named.rules.rules] == [{b"Look"}]
    assert [len(meant.policy.shadow) for meant in (configured, named)] == [1, 1]


def test_rules_have_to_be_named() -> None:
    with pytest.raises(click.UsageError, match="say which rules: with --rules, or with a configuration file"):
        rules_of(None, (), ())


def test_rules_that_do_not_run_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text(rule_text().replace('"new_terms"', '"eql"'))

    tell_of(rules_of(None, (tmp_path,), ()))

    assert capsys.readouterr().err.startswith(f"firstseen: {tmp_path / 'a.toml'}: not runnable: rule type eql")


def test_patterns_that_fit_no_rule_are_told_of_where_the_rules_are_those_of_the_configuration(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_of(rules_of(file, (), ()))
    assert capsys.readouterr().err == f"firstseen: {file}:3: rules.shadow: there is no rule gone\n"

    tell_of(rules_of(file, (tmp_path / "b.toml",), ()))
    assert capsys.readouterr().err == ""


def test_what_others_have_written_is_no_command_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.toml").write_text('[[exception]]\nname = "\\u001b[2J"\nrules = ["gone"]\nquery = "a: 1"\n')
    (tmp_path / "a.toml").write_text(rule_text())

    tell_of(rules_of(None, (tmp_path / "a.toml",), (tmp_path / "x.toml",)))

    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "\\u001b[2J: there is no rule gone" in told


@pytest.mark.parametrize("by_configuration", [False, True])
@pytest.mark.parametrize("command", ["replay", "explain", "backfill", "rules list", "validate"])
def test_every_command_tells_of_a_rule_that_no_event_can_match_here(
    tmp_path: Path, file: Path, command: str, by_configuration: bool
) -> None:
    (tmp_path / "a.toml").write_text(rule_text(OF_PLACES))
    (tmp_path / "event.json").write_text('{"eventName": "GetCallerIdentity", "sourceIPAddress": "198.51.100.7"}')
    rules, event = str(tmp_path / "a.toml"), str(tmp_path / "event.json")
    arguments = ["-c", str(file)] if by_configuration or command == "validate" else []
    if command in ("replay", "explain", "backfill"):
        arguments += [event] if arguments else ["--rules", rules, event]
    elif not arguments:
        arguments = [rules]
    if command == "backfill" and not by_configuration:
        arguments += ["--state", str(tmp_path / "state")]

    told = CliRunner().invoke(main, [*command.split(), *arguments]).output

    reason = "no event can match: source.geo.country_iso_code (a database of places (geoip.city))"
    assert reason in told
    assert "not runnable" in told


def test_a_variable_is_missed_only_where_rules_depend_on_it(tmp_path: Path, file: Path) -> None:
    text, key = file.read_text(), "${FIRSTSEEN_TEST_KEY}"
    file.write_text(f'{text}password = "{key}"\n[input]\nshared_key = "{key}"\n[http]\ntoken = "{key}"\n')
    assert len(rules_of(file, (), ()).rules.rules) == 1

    for setting, more in (("state.learning_period", ""), ("alerts.key", "[alerts]\n"), ("geoip.city", "[geoip]\n")):
        file.write_text(f'{text}{more}{setting.partition(".")[2]} = "{key}"\n')
        with pytest.raises(ConfigError, match=f"{setting}: the environment variable FIRSTSEEN_TEST_KEY is not set"):
            rules_of(file, (), ())
