"""The agent's own log, sent to a real Fluent Bit: it arrives, and it may come back without end."""

import time
from collections import Counter
from pathlib import Path

import pytest

from support import fluentbit
from support.agent import AgentProcess, write_config
from support.calls import events, frames
from support.fluentbit import FluentBit, forward, free_port
from support.peers import Sink, Source

pytestmark = fluentbit.marks


@pytest.mark.parametrize("level", ["info", "debug"])
def test_a_log_that_comes_back_through_the_agent_breeds_nothing(tmp_path: Path, sink: Sink, level: str) -> None:
    collector, agent_port = free_port(), free_port()
    config = write_config(
        tmp_path / "c.toml",
        downstream=sink.address,
        state=tmp_path / "state",
        listen=f"127.0.0.1:{agent_port}",
        extra=f'log: forward = "127.0.0.1:{collector}"\nlog: forward_tag = "own.log"\nlog: forward_level = "{level}"',
    )
    back = forward(agent_port, require_ack_response=True)
    with FluentBit.between(tmp_path, "collector", forward(collector), back), AgentProcess(config) as agent:
        with Source(agent.port) as client:
            for frame in frames("forward", events(12)):
                client.send(frame)
                client.ack()
            client.send(b"\xc1")  # is refused, and told of
        agent.wait_for("connection_refused")
        sink.wait_until(lambda: "connection_refused" in told(sink))
        time.sleep(1.0)
        before = Counter(told(sink))
        time.sleep(1.0)
        assert Counter(told(sink)) == before, "what came back was told of"
        assert before["ready"] == before["connection_refused"] == 1
        totals = agent.stop()
    assert totals["records_in"] == totals["records_out"] == 12 + before.total()


def told(sink: Sink) -> list[str]:
    """What the agent's log said, as it arrived behind the agent."""
    return [entry.record["event"] for frame in list(sink.frames) if frame.tag == "own.log" for entry in frame.entries]
