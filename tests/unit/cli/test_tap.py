import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main, tap
from firstseen.status.report import Alert
from support.answering import Answering, http_answer, reported
from support.told import alert, status

HOSTILE = "\x1b[2J\nada\ud800"


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after the sixth look."""
    left = [None] * 6

    def sleep(seconds: float) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()

    monkeypatch.setattr(tap.time, "sleep", sleep)


def run(folder: Path, answers: list[bytes], *arguments: str) -> Result:
    file = folder / "firstseen.toml"
    with Answering(answers) as agent:
        file.write_text(f'[http]\nlisten = "127.0.0.1:{agent.port}"\n')
        return CliRunner().invoke(main, ["tap", "-c", str(file), *arguments])


def looks(*each: list[Alert], **more: Any) -> list[bytes]:
    """One report for each look, with alerts oldest first."""
    return reported(*(status(latest_alerts=list(reversed(alerts)), **more) for alerts in each))


def test_what_comes_is_printed_once(tmp_path: Path) -> None:
    result = run(tmp_path, looks([alert(1)], [alert(1), alert(2)], [alert(1), alert(2), alert(3, severity="low")]))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "2026-05-24T09:12:33Z high     Rule 1: ada not seen in the 10 days before  [user.name=ada]",
        "2026-05-24T09:12:33Z low      Rule 1: ada not seen in the 10 days before  [user.name=ada]",
    ]


def test_it_begins_with_as_many_as_are_asked_for(tmp_path: Path) -> None:
    before = [alert(number) for number in range(5)]
    result = run(tmp_path, looks(before), "--last", "2", "--output", "json")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["alert-3", "alert-4"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--rule", "Two"], "alert-2"),
        (["--term", "ev?"], "alert-3"),
        (["--term", "ad", "--rule", "rule-*"], "alert-1"),
    ],
)
def test_only_what_is_wanted(tmp_path: Path, arguments: list[str], wanted: str) -> None:
    came = [alert(1), alert(2, rule_id="r-2", rule="Two"), alert(3, terms=[{"field": "user.name", "value": "eve"}])]
    result = run(tmp_path, looks([], came), *arguments, "--output", "json")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [wanted]


def test_a_rule_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    assert "firstseen: there is no rule Two at present\n" in run(tmp_path, looks([]), "--rule", "Two").stderr


@pytest.mark.parametrize("output", ["text", "json"])
def test_what_records_say_is_no_command_and_one_line(tmp_path: Path, output: str) -> None:
    terms = [{"field": HOSTILE, "value": HOSTILE}]
    came = alert(1, reason=HOSTILE, rule=HOSTILE, severity=HOSTILE, status=HOSTILE, terms=terms)
    result = run(tmp_path, looks([], [came]), "--output", output)
    (line,) = result.stdout.splitlines()
    assert line.isascii()
    assert line.isprintable()


def test_an_agent_that_is_away_for_a_while(tmp_path: Path) -> None:
    answers = [*looks([]), http_answer(b"", "503 Service Unavailable"), b"?", *looks([alert(1)])]
    result = run(tmp_path, answers)
    assert len(result.stdout.splitlines()) == 1
    remarks = result.stderr.splitlines()
    assert "answers /status with 503; trying on" in remarks[0]
    assert remarks[1:] == ["firstseen: there is an answer again"]


def test_an_agent_that_is_away_from_the_start(tmp_path: Path) -> None:
    result = run(tmp_path, [b"?"])
    assert (result.exit_code, "no answer from" in result.stderr) == (1, True)


def test_what_was_missed(tmp_path: Path) -> None:
    first, second = [[alert(n) for n in range(begin, begin + 50)] for begin in (0, 60)]
    answers = looks(first, matches__open=50) + looks(second, matches__open=110)
    result = run(tmp_path, answers)
    assert len(result.stdout.splitlines()) == 50
    assert "up to 10 alerts came between two looks" in result.stderr


def test_what_is_wrong_elsewhere_in_the_file_says_nothing_of_the_agent(tmp_path: Path) -> None:
    file = tmp_path / "firstseen.toml"
    with Answering(looks([alert(1)])) as agent:
        file.write_text(
            f'[input]\nshared_key = "${{FIRSTSEEN_TEST_KEY}}"\nx = 1\n[http]\nlisten = "127.0.0.1:{agent.port}"\n'
        )
        result = CliRunner().invoke(main, ["tap", "-c", str(file), "--last", "1"])
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
