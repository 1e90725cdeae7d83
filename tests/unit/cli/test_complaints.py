import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main
from firstseen.cli.complaints import in_words, say
from firstseen.errors import ConfigError, InputError, KqlError, Problem, RuleError
from support.rulebook import rule_text

HOSTILE = "\x1b]0;owned\x07\u202e\nfirstseen: all is well\n"
"""Commands to a terminal, and a line that is none of this program's."""

EVENT = {"event": {"action": "Look"}, "user": {"name": "ada"}}


def test_errors_of_ours_have_several_lines_and_others_one() -> None:
    several = ConfigError([Problem("a.toml", 1, "x\x07"), Problem("b\nc.toml", None, "é")])
    assert in_words(several) == '"a.toml:1: x\\u0007"\n"b\\nc.toml: \\u00e9"'
    assert in_words(KqlError("odd", "a: \x1b", 3)) == 'odd at column 4\n"  a: \\u001b"\n     ^'
    assert in_words(InputError("a\nb.json: event 1")) == '"a\\nb.json: event 1"'
    assert in_words(ValueError("a\nb")) == '"a\\nb"'
    assert in_words("a\nb") == '"a\\nb"'


def test_what_can_be_printed_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    say(InputError('übung/"a" b.json: this is no JSON'))
    assert capsys.readouterr().err == 'firstseen: übung/"a" b.json: this is no JSON\n'


@pytest.mark.parametrize(("error", "before"), [(RuleError, ""), (InputError, "firstseen: ")])
def test_what_ends_a_command_is_told_so_too(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], before: str
) -> None:
    def fails(*_: object) -> None:
        raise error([Problem(f"a{HOSTILE}", 1, "odd")]) if error is RuleError else error(f"a{HOSTILE}: odd")

    monkeypatch.setattr("firstseen.cli.fields._opened", fails)
    said = CliRunner().invoke(main, ["fields", "x"], color=True).output
    assert said.startswith(f'{before}"a\\u001b]0;owned\\u0007\\u202e\\nfirstseen: all is well\\n')
    assert said.count("\n") == 1


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Rules, exceptions and log files whose names, and all that can be named in them, are hostile."""
    rules = tmp_path / f"rules{HOSTILE}"
    rules.mkdir()
    named = f"name = {json.dumps('name' + HOSTILE)}"
    hostile = json.dumps(HOSTILE)
    texts = {
        "runs": rule_text("event.action: Look", ("user.name",), rule_id=f"1{HOSTILE}"),
        "flagged": rule_text(f"event.action: (Look or {hostile}) and not source.ip: {hostile}", rule_id=f"2{HOSTILE}"),
        "fields": rule_text("event.action: Look and a\x1b\x07: x", ("b\x1b\x07",), rule_id=f"3{HOSTILE}"),
        "other": rule_text(rule_id=f"4{HOSTILE}").replace('"kuery"', '"eql"').replace('"new_terms"', hostile),
    }
    for name, text in texts.items():
        text = text.replace('name = "A rule for tests"', named)
        (rules / f"{name}{HOSTILE}.toml").write_text(text, "utf-8")
    test = f"[[test]]\nname = {hostile}\n[[test.event]]\nrecord = {{event = {{action = 'No'}}}}\nalerts = 1\n"
    (rules / f"runs{HOSTILE}.test.toml").write_text(test, "utf-8")
    exception = "[[exception]]\nname = {0}\nrules = [{1}]\nquery = {2}\nexpires = 2999-01-01\n"
    told = exception.format(hostile, json.dumps(f"1{HOSTILE}"), json.dumps(f"user.name: {hostile}"))
    told += exception.format(hostile, hostile, '"user.name: bob"')
    (tmp_path / f"exceptions{HOSTILE}.toml").write_text(told, "utf-8")
    logs = tmp_path / f"logs{HOSTILE}"
    logs.mkdir()
    (logs / f"good{HOSTILE}.json").write_text(json.dumps(EVENT) + "\n", "utf-8")
    (logs / f"bad{HOSTILE}.json").write_text(f"{json.dumps(EVENT)}\n{{broken}}\n", "utf-8")
    return tmp_path


def run(place: Path, *arguments: str) -> Result:
    """The words RULES, EXCEPTIONS and LOGS stand for what is in ``place``."""
    names = {"RULES": f"rules{HOSTILE}", "EXCEPTIONS": f"exceptions{HOSTILE}.toml", "LOGS": f"logs{HOSTILE}"}
    given = [str(place / names[each]) if each in names else each for each in arguments]
    return CliRunner().invoke(main, given, color=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("rules", "list", "RULES", "--exceptions", "EXCEPTIONS"),
        ("rules", "test", "RULES"),
        ("replay", "--rules", "RULES", "--exceptions", "EXCEPTIONS", "LOGS"),
        ("explain", "--rules", "RULES", "--exceptions", "EXCEPTIONS", "LOGS"),
        ("fields", "LOGS"),
        ("backfill", "--rules", "RULES", "--state", "STATE", "--jobs", "1", "LOGS"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_no_name_is_a_command_to_the_terminal(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(place)
    said = run(place, *arguments)
    shown = "\n".join(line for line in click.unstyle(said.output).split("\n") if not line.startswith('{"event"'))
    assert said.exception is None or isinstance(said.exception, SystemExit)
    assert [line for line in shown.split("\n") if not line.isprintable()] == []
    assert "\\u001b]0;owned" in shown
    assert "\nfirstseen: all is well" not in shown
