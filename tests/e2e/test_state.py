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


def test_a_full_state_acks_nothing_that_it_does_not_remember(tmp_path: Path) -> None:
    with Sink() as sink:
        config = configure(tmp_path, sink.address)
        large = config.read_text()
        config.write_text(large.replace("64MiB", "1MiB"))
        acks = 0
        with AgentProcess(config) as agent:
            with Source(agent.port) as client:
                while True:
                    client.send(chunk(acks))
                    try:
                        assert client.ack() == str(acks)
                    except EOFError:
                        break
                    acks += 1
            told = agent.wait_for("chunk_rejected")
            assert "set a larger map_size under [state] and restart" in told["reason"]
            with Source(agent.port) as client:  # it comes again, and is delivered again, and still not acked
                client.send(chunk(acks))
                assert client.closes()
            with Source(agent.port) as client:  # what changes no state goes on
                client.send(frame("plain", {"n": 1}))
                assert client.ack() == "plain"
            totals = agent.stop()
        assert acks > 0
        assert totals["records_in"] == totals["records_out"] + totals["records_rejected"]
        assert totals["chunks_rejected"] == 2

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
