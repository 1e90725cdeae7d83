"""A state that is full: everything is delivered, nothing that is not remembered is acked, and nothing is lost."""

from pathlib import Path

import pytest

from support.agent import AgentProcess
from support.peers import Sink, Source
from support.rulebook import call
from support.weather import configure, frame

pytestmark = pytest.mark.e2e

PER_CHUNK = 400


def chunk(number: int) -> bytes:
    calls = [
        call(f"arn:aws:iam::111122223333:user/{number:04}-{each:04}-{'x' * 60}", f"e-{number}-{each}")
        for each in range(PER_CHUNK)
    ]
    return frame(f"{number}", *calls)


def is_acked(client: Source, agent: AgentProcess) -> bool:
    """Whether the chunk that was sent last is; False once the agent says that it finds no room."""
    client.socket.settimeout(0.1)
    while True:
        try:
            client.ack()
        except TimeoutError:
            if any(each["event"] == "state_not_written" for each in agent.events):
                return False
        else:
            return True


def test_a_full_state_acks_nothing_that_it_does_not_remember(tmp_path: Path) -> None:
    with Sink() as sink:
        config = configure(tmp_path, sink.address)
        large = config.read_text()
        config.write_text(large.replace("64MiB", "1MiB"))
        acks = 0
        with AgentProcess(config) as agent, Source(agent.port) as client, Source(agent.port) as other:
            while True:
                client.send(chunk(acks))
                if not is_acked(client, agent):
                    break
                acks += 1
            told = agent.wait_for("state_not_written")
            assert "set a larger map_size under [state] and restart" in told["reason"]
            sink.wait_for((acks + 1) * PER_CHUNK)  # it is delivered, and waits
            other.send(frame("plain", {"n": 1}))  # what changes no state goes on
            assert other.ack() == "plain"
            assert client.is_silent()
            agent.kill()
        assert acks > 0

        config.write_text(large)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(chunk(acks) + chunk(0))
            assert (client.ack(), client.ack()) == (str(acks), "0")
            totals = agent.stop()

    by_event: dict[str, list[str]] = {}
    for entry in sink.entries:
        for label in entry.record.get("alerts", ()):
            by_event.setdefault(entry.record["eventID"], []).append(label["id"])
    assert len(by_event) == (acks + 1) * PER_CHUNK, "every first sighting was delivered with its alert"
    assert all(len(set(ids)) == 1 for ids in by_event.values()), "and its repeats have its id"
    assert all(len(by_event[f"e-0-{each}"]) == 1 for each in range(PER_CHUNK)), "what was acked was remembered"
    assert totals["suppressed"] == PER_CHUNK
