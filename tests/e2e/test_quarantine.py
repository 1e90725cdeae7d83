"""Chunks that nobody can read, or that no server takes: kept, noted and acked, or refused where there is no room."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.agent import AgentProcess
from support.peer_frames import Frame, packed
from support.peers import Reply, Sink, Source, acked, closed
from support.rulebook import call
from support.weather import Wire, configure, frame

pytestmark = pytest.mark.e2e

ADA = "arn:aws:iam::111122223333:user/ada"


def poison(chunk: str, size: int = 0) -> bytes:
    """Its only entry is no entry."""
    return packed("aws.poison", [b"\x92\x00" + b"\xc4\xff" + bytes(255)] * (1 + size // 258), chunk=chunk)


def named(agent: AgentProcess, name: str) -> list[dict[str, Any]]:
    return [each for each in list(agent.events) if each["event"] == name]


def test_what_cannot_be_read_is_kept_whole_with_a_note_and_acked(tmp_path: Path) -> None:
    folder = tmp_path / "quarantine"
    with Sink() as sink:
        config = configure(tmp_path, sink.address, extra=f'input: quarantine = "{folder}"')
        with AgentProcess(config) as agent, Wire.at(agent.port, "127.0.0.2") as client:
            client.send(frame("a", {"n": 1}) + poison("p") + frame("b", {"n": 2}))
            assert [client.ack() for _ in range(3)] == ["a", "p", "b"]
            told = agent.wait_for("chunk_quarantined")
            totals = agent.stop()

    (content,) = folder.glob("*.msgpack")
    note = json.loads(content.with_suffix(".json").read_text())
    assert content.read_bytes() == poison("p")
    assert (note["tag"], note["peer"], note["size"]) == ("aws.poison", told["peer"], len(poison("p")))
    assert note["peer"].startswith("127.0.0.2:")
    assert note["reason"] == told["reason"]
    assert told["file"] == str(content)
    assert [each.chunk for each in sink.frames] == ["a", "b"]
    assert totals["chunks_quarantined"] == 1
    assert totals["records_in"] == totals["records_out"] + totals["records_rejected"]


def test_a_full_folder_refuses_with_an_alarm_until_somebody_makes_room(tmp_path: Path) -> None:
    folder = tmp_path / "quarantine"
    with Sink() as sink:
        extra = f'input: quarantine = "{folder}"\ninput: quarantine_size = "4kB"'
        with AgentProcess(configure(tmp_path, sink.address, extra=extra)) as agent:
            with Source(agent.port) as client:
                client.send(poison("first", 3_000))
                assert client.ack() == "first"
            for number in range(50):
                with Source(agent.port) as client:
                    client.send(poison(f"{number}", 3_000))
                    assert client.closes()
            full = agent.wait_for("quarantine_full")
            assert full["level"] == "error"
            assert "input.quarantine_size" in full["reason"]
            assert len(named(agent, "quarantine_full")) <= 3, "an alarm that nobody can read is none"
            with Source(agent.port) as client:
                client.send(frame("c", {"n": 1}))
                assert client.ack() == "c"
            for file in folder.iterdir():
                file.unlink()
            with Source(agent.port) as client:
                client.send(poison("0", 3_000))
                assert client.ack() == "0"
            totals = agent.stop()
    assert (totals["chunks_quarantined"], totals["chunks_rejected"]) == (2, 50)


def test_a_folder_that_is_taken_away_refuses_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "quarantine"
    with Sink() as sink:
        extra = f'input: quarantine = "{folder}"\ninput: quarantine_size = "4kB"'
        with AgentProcess(configure(tmp_path, sink.address, extra=extra)) as agent, Source(agent.port) as other:
            folder.rmdir()
            for size in (100, 8_000):
                with Source(agent.port) as client:
                    client.send(poison(f"{size}", size))
                    assert client.closes()
            agent.wait_for("quarantine_failed")
            other.send(frame("c", {"n": 1}))
            assert other.ack() == "c"
            assert agent.stop()["chunks_rejected"] == 2


def not_that(frame: Frame) -> Reply:
    return closed(frame) if frame.tag == "aws.odd" else acked(frame)


@pytest.mark.parametrize("kept", [True, False])
def test_what_no_server_takes_ends_in_quarantine_and_blocks_nobody(tmp_path: Path, kept: bool) -> None:
    """Where there is no quarantine it is refused; its repeat, which waited for it, with it."""
    folder = tmp_path / "quarantine"
    odd = frame("odd", call(ADA, "e-1"), tag="aws.odd")
    extra = f'input: quarantine = "{folder}"' if kept else ""
    with Sink(not_that) as sink:
        config = configure(tmp_path, sink.address, extra=extra)
        with AgentProcess(config) as agent, Source(agent.port) as others:
            first, second = Source(agent.port), Source(agent.port)
            first.send(odd)
            sink.wait_until(lambda: sink.chunks == 1)
            second.send(odd)
            number = 0
            while not named(agent, "chunk_quarantined" if kept else "chunk_rejected"):
                others.send(frame(f"{number}", {"n": number}))
                assert others.ack() == str(number)
                number += 1
            if kept:
                assert (first.ack(), second.ack()) == ("odd", "odd")
            else:
                assert first.closes()
                assert second.closes()
            first.close()
            second.close()
            others.send(frame("last", call(ADA, "e-2")))
            assert others.ack() == "last"
            totals = agent.stop()

    assert len(named(agent, "frame_not_taken")) == 5
    assert [each.name for each in folder.glob("*.msgpack")] != [] if kept else not folder.exists()
    assert totals["records_in"] == totals["records_out"] + totals["records_rejected"]
    (last,) = [entry.record for entry in sink.entries if entry.record.get("eventID") == "e-2"]
    assert "alerts" in last, "the first sighting was never delivered, and so this is the first"
