from pathlib import Path

from click.testing import CliRunner

from firstseen.cli import COMMANDS, main


def test_a_configuration_that_is_missing_is_an_error_of_configuration(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", "-c", str(tmp_path / "nowhere.toml")])

    assert result.exit_code == 78
    assert "nowhere.toml" in result.stderr


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
