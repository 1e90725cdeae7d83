"""One picture; what is alive needs a terminal, and has its tests in tests/e2e/test_terminal.py."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main
from support.answering import Answering, http_answer, reported
from support.told import alert, status


def top(folder: Path, port: int, *arguments: str) -> Result:
    file = folder / "firstseen.toml"
    file.write_text(f'[http]\nlisten = "127.0.0.1:{port}"\n')
    return CliRunner().invoke(main, ["top", "-c", str(file), *arguments])


def test_one_picture_with_everything_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "24")
    with Answering(reported(status(latest_alerts=[alert(n, rule=f"Rule {n}") for n in range(50)]))) as agent:
        result = top(tmp_path, agent.port, "--once")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert sum("high      Rule" in line for line in lines) == 50
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in result.stdout


def test_live_takes_a_terminal(tmp_path: Path) -> None:
    result = top(tmp_path, 9)
    assert (result.exit_code, "--once prints one picture anywhere" in result.stderr) == (2, True)


def test_no_agent(tmp_path: Path) -> None:
    with Answering([http_answer(b"no\n", "503 Service Unavailable")]) as agent:
        result = top(tmp_path, agent.port, "--once")
    assert (result.exit_code, "answers /status with 503" in result.stderr) == (1, True)
    assert top(tmp_path, agent.port, "--once").exit_code == 1


def test_what_is_wrong_elsewhere_in_the_file_says_nothing_of_the_agent(tmp_path: Path) -> None:
    file = tmp_path / "firstseen.toml"
    with Answering(reported(status())) as agent:
        file.write_text(
            f'[input]\nshared_key = "${{FIRSTSEEN_TEST_KEY}}"\nx = 1\n[http]\nlisten = "127.0.0.1:{agent.port}"\n'
        )
        result = CliRunner().invoke(main, ["top", "-c", str(file), "--once"])
    assert (result.exit_code, result.stderr) == (0, "")
