import errno
from pathlib import Path

import pytest
from click.testing import CliRunner

from firstseen import plainfile
from firstseen.cli import COMMANDS, main


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


def test_every_command_has_help() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(main, [name, "--help"])

        assert result.exit_code == 0
        assert "Usage: " in result.stdout
