import time
from pathlib import Path

import click
import pytest

from firstseen.cli.pastlogs import moment_of, now_ms, set_up, time_of
from firstseen.detect.matches import Moment
from support.rulebook import rule_text


def test_what_the_command_line_names_goes_before_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(rule_text())
    (tmp_path / "b.toml").write_text(rule_text("event.action: Look"))
    config = tmp_path / "firstseen.toml"
    config.write_text('[rules]\npaths = ["a.toml"]\n[alerts]\nkey = "found"\n')

    from_file, named = set_up(config, (), ()), set_up(config, (tmp_path / "b.toml",), ())

    assert [rule.needles for rule in from_file.rules.rules] == [{b"GetCallerIdentity"}]
    assert [rule.needles for rule in named.rules.rules] == [{b"Look"}]
    assert (from_file.key, named.key) == ("found", "found")


def test_rules_have_to_be_named() -> None:
    with pytest.raises(click.UsageError):
        set_up(None, (), ())


def test_rules_that_do_not_run_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text(rule_text().replace('"new_terms"', '"eql"'))

    set_up(None, (tmp_path,), ())

    assert capsys.readouterr().err.startswith(f"firstseen: {tmp_path / 'a.toml'}: not runnable: rule type eql")


def test_an_event_is_dated_by_when_it_was_taken_in_else_by_when_it_happened() -> None:
    record = {"@timestamp": "1970-01-01T00:00:01Z", "event": {"ingested": "1970-01-01T00:00:02Z"}}

    assert time_of(record) == 2_000
    assert moment_of(record) == Moment(arrival=None, entry=2_000)
    assert time_of({"@timestamp": "1970-01-01T00:00:01Z"}) == 1_000


def test_an_event_without_a_time_happens_now() -> None:
    before_ms = now_ms()

    assert before_ms <= moment_of({"event": {"action": "Look"}}).entry <= time.time_ns() // 1_000_000
