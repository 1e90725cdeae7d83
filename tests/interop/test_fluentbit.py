"""A real Fluent Bit on both ends of the agent, acks from end to end."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agent import AgentProcess, write_config
from support.corpus import day

pytestmark = [
    pytest.mark.interop,
    pytest.mark.fluentbit,
    pytest.mark.skipif(shutil.which("fluent-bit") is None, reason="needs fluent-bit on PATH"),
]

TIMEOUT_S = 60
RECORDS = 1_500

PARSERS = """
[PARSER]
    Name   cloudtrail
    Format json
"""

UPSTREAM = """
[SERVICE]
    Flush        0.5
    Grace        5
    Parsers_File {folder}/parsers.conf
[INPUT]
    Name           tail
    Path           {folder}/trail.ndjson
    Tag            aws.trail
    Parser         cloudtrail
    Read_from_Head On
    Buffer_Max_Size 1M
[OUTPUT]
    Name                 forward
    Match                *
    Host                 127.0.0.1
    Port                 {port}
    Require_ack_response On
    Retry_Limit          no_limits
    {extra}
"""

DOWNSTREAM = """
[SERVICE]
    Flush 0.2
    Grace 1
[INPUT]
    Name   forward
    Listen 127.0.0.1
    Port   {port}
[OUTPUT]
    Name   file
    Match  *
    Path   {folder}
    File   arrived.ndjson
    Format plain
"""


class FluentBit:
    """One process with its configuration."""

    def __init__(self, folder: Path, name: str, config: str) -> None:
        (folder / "parsers.conf").write_text(PARSERS)
        file = folder / f"{name}.conf"
        file.write_text(config)
        self._log = (folder / f"{name}.log").open("wb")
        self._process = subprocess.Popen(
            ["fluent-bit", "-c", str(file)], stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT_S)
        self._log.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def arrived(folder: Path, count: int) -> list[dict[str, Any]]:
    """The records downstream wrote, once there are so many: another process's file can only be looked at again."""
    file = folder / "arrived.ndjson"
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) >= count:
            return [json.loads(line) for line in lines]
        assert time.monotonic() < deadline, f"{len(lines)} of {count} records arrived"
        time.sleep(0.1)


@pytest.fixture
def downstream(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    process = FluentBit(tmp_path, "downstream", DOWNSTREAM.format(port=port, folder=tmp_path))
    yield port
    process.stop()


@pytest.mark.parametrize("extra", ["", "Compress gzip", "Time_as_Integer On", "Retain_Metadata_In_Forward_Mode Off"])
def test_between_two_fluent_bits(tmp_path: Path, downstream: int, extra: str) -> None:
    events = day(records=RECORDS)
    firsts: dict[str, str] = {}
    for event in events:
        if event["eventName"] == "GetCallerIdentity":
            firsts.setdefault(event["userIdentity"]["arn"], event["eventID"])
    (tmp_path / "trail.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
    config = write_config(tmp_path / "c.toml", downstream=f"127.0.0.1:{downstream}", state=tmp_path / "state")

    for round_number in (1, 2):
        with AgentProcess(config) as agent:
            source = FluentBit(
                tmp_path, f"upstream-{round_number}", UPSTREAM.format(folder=tmp_path, port=agent.port, extra=extra)
            )
            records = arrived(tmp_path, round_number * RECORDS)[(round_number - 1) * RECORDS :]
            source.stop()
            totals = agent.stop()

        assert totals["records_in"] == totals["records_out"] == RECORDS
        assert totals["chunks_rejected"] == totals["delivery_retries"] == 0
        alerted = {record["eventID"] for record in records if "alerts" in record}
        assert alerted == (set(firsts.values()) if round_number == 1 else set())
        assert [{key: record[key] for key in record if key != "alerts"} for record in records] == events
