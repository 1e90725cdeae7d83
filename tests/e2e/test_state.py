"""A state that is full: everything is delivered, what is not remembered is not acked, and nothing is lost."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agent import AgentProcess
from support.peers import Sink, Source
from support.rulebook import call
from support.weather import configure, frame

pytestmark = pytest.mark.e2e

PER_CHUNK = 400
CHUNKS = 16


def chunk(number: int) -> bytes:
    calls = [
        call(f"arn:aws:iam::111122223333:user/{number:04}-{each:04}-{'x' * 60}", f"e-{number}-{each}")
        for each in range(PER_CHUNK)
    ]
    return frame(f"{number}", *calls)


def test_a_full_state_keeps_chunks_waiting_and_acks_nothing_that_it_does_not_remember(tmp_path: Path) -> None:
    with Sink() as sink:
        config = configure(tmp_path, sink.address, extra='input: drain_timeout = "1s"')
        large = config.read_text()
        config.write_text(large.replace("64MiB", "1MiB"))
        with AgentProcess(config) as agent:
            with Source(agent.port) as client:
                client.send(b"".join(map(chunk, range(CHUNKS))))
                told = agent.wait_for("state_not_written")
                assert "is full: its map_size of 1048576 bytes is used up; set a larger map_size" in told["reason"]
                with Source(agent.port) as other:  # what changes no state goes on
                    other.send(frame("plain", {"n": 1}))
                    assert other.ack() == "plain"
                totals = agent.stop()
                acked = list(iter_acks(client))
            assert [each["event"] for each in agent.events].count("state_not_written") == 1
        assert acked == [str(number) for number in range(len(acked))]
        assert 0 < len(acked) < CHUNKS
        assert not totals["drained"]

        config.write_text(large)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(b"".join(map(chunk, range(len(acked), CHUNKS))) + chunk(0))
            assert [client.ack() for _ in range(len(acked), CHUNKS)] == [
                str(each) for each in range(len(acked), CHUNKS)
            ]
            assert client.ack() == "0"
            totals = agent.stop()

    by_event: dict[str, list[str]] = {}
    for entry in sink.entries:
        for label in entry.record.get("alerts", ()):
            by_event.setdefault(entry.record["eventID"], []).append(label["id"])
    assert len(by_event) == CHUNKS * PER_CHUNK, "every first sighting was delivered with its alert"
    assert all(len(set(ids)) == 1 for ids in by_event.values()), "and its repeats have its id"
    assert all(len(by_event[f"e-0-{each}"]) == 1 for each in range(PER_CHUNK)), "what was acked was remembered"
    assert totals["suppressed"] == PER_CHUNK


def iter_acks(client: Source) -> Iterator[str]:
    """The acks that came until the server closed."""
    with contextlib.suppress(EOFError):
        while True:
            yield client.ack()
