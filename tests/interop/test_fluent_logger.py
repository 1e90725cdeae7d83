"""The client in Python (fluent-logger) in front of the agent. It knows neither acks nor keys."""

import time
from pathlib import Path

import pytest
from fluent.sender import EventTime, FluentSender

from support.agent import AgentProcess, write_config
from support.calls import FIRST, event, events, without_alerts
from support.peers import Sink

pytestmark = pytest.mark.interop

COUNT = 60


@pytest.mark.parametrize("over", ["tcp", "unix"])
@pytest.mark.parametrize("nanoseconds", [None, 123_456_789])
def test_every_event_arrives(over: str, nanoseconds: int | None, tmp_path: Path, sink: Sink) -> None:
    path = tmp_path / "agent.sock"
    listen = f"unix:{path}" if over == "unix" else "127.0.0.1:0"
    config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state", listen=listen)

    with AgentProcess(config) as agent:
        agent.wait_for("ready")
        sender = (
            FluentSender("aws", host=f"unix://{path}")
            if over == "unix"
            else FluentSender("aws", host="127.0.0.1", port=agent.port)
        )
        for number in range(COUNT):
            seconds = 1_700_000_000 + number
            when = seconds if nanoseconds is None else EventTime(seconds, nanoseconds)
            assert sender.emit_with_time("trail", when, event(number)), sender.last_error
        sender.close()
        sink.wait_for(COUNT)
        totals = agent.stop()

    assert [without_alerts(entry.record) for entry in sink.entries] == events(COUNT)
    assert [entry.record["eventID"] for entry in sink.entries if "alerts" in entry.record] == FIRST
    times = [(1_700_000_000 + number) * 10**9 + (nanoseconds or 0) for number in range(COUNT)]
    assert [entry.time_ns for entry in sink.entries] == times
    assert {entry.tag for entry in sink.entries} == {"aws.trail"}
    assert (totals["records_in"], totals["records_out"]) == (COUNT, COUNT)


def test_its_own_clock_to_the_nanosecond(tmp_path: Path, sink: Sink) -> None:
    config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")

    with AgentProcess(config) as agent:
        sender = FluentSender("aws", host="127.0.0.1", port=agent.port, nanosecond_precision=True)
        before = time.time_ns()
        assert sender.emit("trail", event(0)), sender.last_error
        after = time.time_ns()
        sender.close()
        sink.wait_for(1)

    (entry,) = sink.entries
    assert before <= entry.time_ns <= after
    assert (entry.record["eventID"], "alerts" in entry.record) == ("e-0", True)
