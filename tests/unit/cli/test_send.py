import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from firstseen.cli import main
from support.peers import Sink


def test_every_event_is_sent_with_its_own_time(tmp_path: Path) -> None:
    events = [
        {"eventName": f"n{number}", "eventSource": "s3.amazonaws.com", "eventTime": f"2026-09-21T08:00:0{number}Z"}
        for number in range(3)
    ]
    file = tmp_path / "log.json"
    file.write_text(json.dumps({"Records": events}))

    with Sink() as sink:
        result = CliRunner().invoke(main, ["send", "--to", sink.address, "--tag", "aws.trail", str(file)])
        sink.wait_for(3)

    assert result.exit_code == 0
    assert "3 events sent" in result.stderr
    assert [frame.tag for frame in sink.frames] == ["aws.trail"] * 3
    assert [entry.record for entry in sink.entries] == events
    assert [entry.time_ns // 1_000_000_000 for entry in sink.entries] == [1_789_977_600 + number for number in range(3)]


def test_one_event(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text("{}")

    with Sink() as sink:
        result = CliRunner().invoke(main, ["send", "--to", sink.address, str(file)])

    assert "1 event sent to" in result.stderr


def test_nobody_there(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text("{}")
    with Sink() as sink:
        address = sink.address

    result = CliRunner().invoke(main, ["send", "--to", address, str(file)])

    assert result.exit_code == 1
    assert f"{address} took 0 events, then no more" in result.stderr


@pytest.mark.parametrize("target", ["localhost", "host:", ":24224", "host:port"])
def test_an_address_that_is_none(target: str) -> None:
    result = CliRunner().invoke(main, ["send", "--to", target, "-"])

    assert (result.exit_code, "HOST:PORT" in result.stderr) == (2, True)
