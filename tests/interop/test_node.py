"""A client and a server in Node.js (@fluent-org/logger) around the agent: two ends that nobody here wrote."""

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fluent.sender import EventTime, FluentSender

from support.agent import AgentProcess, write_config

pytestmark = pytest.mark.interop

TIMEOUT_S = 30
MODES = ["Message", "Forward", "PackedForward", "CompressedPackedForward"]
COUNT = 120


def event(number: int) -> dict[str, Any]:
    """Every third is a GetCallerIdentity, by one of four identities."""
    return {
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::111122223333:user/u{number % 4}"},
        "eventTime": "2026-09-21T08:00:00Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": "GetCallerIdentity" if number % 3 == 0 else "AssumeRole",
        "eventID": f"e-{number}",
        "requestParameters": {"durationSeconds": 3600, "tags": ["ä", "b"], "ratio": 0.5, "none": None},
    }


class NodeServer:
    """``server.js``: the entries that it took."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["node", "server.js"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = json.loads(self._process.stdout.readline())["port"]
        self.entries: list[dict[str, Any]] = []
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.entries.append(json.loads(line))
                self._news.notify_all()

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.entries) >= count, TIMEOUT_S), len(self.entries)
            return list(self.entries)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def server(node_peers: Path) -> Iterator[NodeServer]:
    made = NodeServer(node_peers)
    yield made
    made.close()


@pytest.fixture
def agent(server: NodeServer, tmp_path: Path) -> Iterator[AgentProcess]:
    config = write_config(tmp_path / "c.toml", downstream=f"127.0.0.1:{server.port}", state=tmp_path / "state")
    with AgentProcess(config) as process:
        yield process


def send(folder: Path, port: int, mode: str, events: list[dict[str, Any]]) -> dict[str, Any]:
    done = subprocess.run(
        ["node", "client.js", str(port), mode, "aws"],
        cwd=folder,
        input="\n".join(map(json.dumps, events)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_acked_from_end_to_end(
    node_peers: Path, server: NodeServer, agent: AgentProcess, mode: str
) -> None:
    events = [event(number) for number in range(COUNT)]

    told = send(node_peers, agent.port, mode, events)

    assert told == {"acked": COUNT, "failed": 0, "faults": []}
    entries = server.wait_for(COUNT)
    assert {(entry["tag"], entry["seconds"], entry["nanoseconds"]) for entry in entries} == {
        ("aws", 1700000000, 123456789)
    }
    assert [{key: entry["record"][key] for key in entry["record"] if key != "alerts"} for entry in entries] == events
    alerting = [entry["record"]["eventID"] for entry in entries if "alerts" in entry["record"]]
    assert alerting == ["e-0", "e-3", "e-6", "e-9"]
    totals = agent.stop()
    assert (totals["records_in"], totals["records_out"], totals["alerts"]) == (COUNT, COUNT, 4)


def test_from_fluent_logger_to_node(server: NodeServer, agent: AgentProcess) -> None:
    sender = FluentSender("aws", host="127.0.0.1", port=agent.port, nanosecond_precision=True)
    for number in range(COUNT):
        assert sender.emit_with_time(None, EventTime(1700000000 + number), event(number))
    sender.close()

    entries = server.wait_for(COUNT)

    assert [entry["seconds"] for entry in entries] == [1700000000 + number for number in range(COUNT)]
    assert sum("alerts" in entry["record"] for entry in entries) == 4
