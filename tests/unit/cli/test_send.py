import json
import socket
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


@pytest.mark.parametrize("when", ["1969-12-31T23:59:59.999Z", "2106-02-07T06:28:16Z"])
def test_an_event_of_a_time_that_cannot_be_carried_is_told_of(tmp_path: Path, when: str) -> None:
    file = tmp_path / "log.json"
    file.write_text(f'{{"@timestamp": "1970-01-01T00:00:00.000Z"}}\n{{"@timestamp": "{when}"}}')

    with Sink() as sink:
        result = CliRunner().invoke(main, ["send", "--to", sink.address, str(file)])

    assert result.exit_code == 1
    assert result.stderr.startswith(f"firstseen: {file}: event 2 is of a time that Forward cannot carry")


def test_times_are_sent_to_the_millisecond(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text('{"@timestamp": "2106-02-07T06:28:15.123Z"}')

    with Sink() as sink:
        CliRunner().invoke(main, ["send", "--to", sink.address, str(file)])
        sink.wait_for(1)

    assert [entry.time_ns for entry in sink.entries] == [((1 << 32) - 1) * 1_000_000_000 + 123_000_000]


def test_an_address_of_ipv6(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text('{"n": 1}')

    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with listening as server:
        server.settimeout(10)
        target = f"[::1]:{server.getsockname()[1]}"
        result = CliRunner().invoke(main, ["send", "--to", target, str(file)])
        connection, _ = server.accept()
        with connection:
            sent = connection.recv(1_000)

    assert (result.exit_code, result.stderr) == (0, f"1 event sent to {target} with tag aws.cloudtrail\n")
    assert sent.endswith(b"\x81\xa1n\x01")


@pytest.mark.parametrize(
    "target", ["localhost", "host:", ":24224", "host:port", "127.0.0.1:99999", "::1:24224", "[host]:24224"]
)
def test_an_address_that_is_none(target: str) -> None:
    result = CliRunner().invoke(main, ["send", "--to", target, "-"])

    assert (result.exit_code, "HOST:PORT" in result.stderr) == (2, True)
