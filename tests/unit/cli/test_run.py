import errno
import gc
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from firstseen import plainfile
from firstseen.cli import COMMANDS, main
from firstseen.stopping import STOPS
from support.signals import heard_as_before

TOLD_WHILE_IT_IMPORTS = """
import os, sys
from firstseen.cli import main
number, module, config = sys.argv[1:]
sys.addaudithook(lambda event, told: event == "import" and told[0] == module and os.kill(os.getpid(), int(number)))
main(["run", "-c", config])
"""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Nothing of a start in this process is left afterwards."""
    with heard_as_before():
        yield
    gc.enable()


def test_a_configuration_that_is_missing_is_an_error_of_configuration(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", "-c", str(tmp_path / "nowhere.toml")])

    assert result.exit_code == 78
    assert "nowhere.toml" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["run"],
        ["validate"],
        ["health"],
        ["top", "--once"],
        ["tap"],
        ["replay", "-"],
        ["explain", "-"],
        ["fields", "-"],
        ["backfill", "-"],
        ["rules", "list"],
        ["state", "stats"],
        ["state", "list"],
        ["state", "show", "x"],
        ["state", "forget", "x"],
        ["state", "export"],
        ["state", "import", "-"],
        ["state", "compact"],
    ],
    ids=" ".join,
)
def test_a_configuration_that_may_not_be_read_is_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """As root, who may read everything, runs the tests: the file is locked for everybody by other means."""
    file = tmp_path / "c.toml"
    file.write_text("")
    monkeypatch.setattr("os.access", lambda *_: False)

    def locked(path: Path, *_: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(plainfile, "read", locked)
    result = CliRunner().invoke(main, [*command, "-c", str(file)])

    assert result.exit_code == 78
    assert result.output == f"{file}: cannot be read: Permission denied\n"


def test_a_broken_rule_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text("[rule]\n")
    (tmp_path / "c.toml").write_text('[rules]\npaths = ["rule.toml"]\n')

    result = CliRunner().invoke(main, ["run", "-c", str(tmp_path / "c.toml")])

    assert result.exit_code == 78
    assert "rule.toml" in result.stderr


@pytest.mark.parametrize("module", ["firstseen.daemon", "firstseen.pruner"])
@pytest.mark.parametrize("number", STOPS)
def test_told_to_stop_while_the_agent_is_imported_it_stops_as_cleanly_as_later(
    tmp_path: Path, number: signal.Signals, module: str
) -> None:
    command = [sys.executable, "-c", TOLD_WHILE_IT_IMPORTS, str(number.value), module, str(tmp_path / "c.toml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (ended.returncode, ended.stdout) == (0, "")
    (line,) = ended.stderr.splitlines()
    assert " info stopped drained=true " in line


def test_every_command_has_help() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(main, [name, "--help"])

        assert result.exit_code == 0
        assert "Usage: " in result.stdout


@pytest.mark.parametrize(("name", "handler"), [("run", signal.SIG_DFL), ("validate", signal.default_int_handler)])
def test_an_interrupt_ends_what_cleans_up_behind_itself_in_order(name: str, handler: object) -> None:
    """The agent hears it itself, as soon as it can."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0
    assert signal.getsignal(signal.SIGINT) is handler
