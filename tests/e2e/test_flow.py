"""Downstream is away, mute or deaf while everybody goes on sending: memory stays flat, and in the end all is there."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from support.agent import AgentProcess
from support.peers import Sink, Source, acked, closed, held
from support.weather import Deaf, Diary, Pusher, configure, filler, frame, memory_mb

pytestmark = pytest.mark.e2e

CLIENTS = 30
CHUNKS = 25
SIZE = 60_000
IN_FLIGHT_MB = 4


class Trouble(Protocol):
    """A server that takes nothing; `ends` gives one in its place that does."""

    address: str

    def ends(self) -> Sink: ...


class Away:
    def __init__(self) -> None:
        with Sink() as gone:
            self.address = gone.address

    def ends(self) -> Sink:
        return Sink(port=int(self.address.rpartition(":")[2]))


class Mute:
    def __init__(self) -> None:
        self._sink = Sink(held)
        self.address = self._sink.address

    def ends(self) -> Sink:
        self._sink.use(acked)
        self._sink.release()
        return self._sink


class NeverReading:
    def __init__(self) -> None:
        self._deaf = Deaf()
        self.address = self._deaf.address

    def ends(self) -> Sink:
        self._deaf.close()
        return Sink(port=self._deaf.port)


@contextmanager
def ended(trouble: Trouble) -> Iterator[Sink]:
    with trouble.ends() as sink:
        yield sink


@pytest.mark.parametrize("kind", [Away, Mute, NeverReading])
def test_memory_is_flat_while_nothing_is_taken_and_then_everything_is_delivered_once(
    tmp_path: Path, kind: type[Trouble]
) -> None:
    trouble = kind()
    config = configure(
        tmp_path,
        trouble.address,
        level="debug",
        extra=f'input: max_in_flight = "{IN_FLIGHT_MB}MB"\ninput: max_frame = "1MB"',
    )
    with AgentProcess(config) as agent:
        at_first = memory_mb(agent.pid) if agent.port else 0.0
        clients = [
            Pusher(agent.port, [filler(f"{client}-{number}", SIZE) for number in range(CHUNKS)])
            for client in range(CLIENTS)
        ]
        agent.wait_for("reading_paused")
        plateau = memory_mb(agent.pid)
        assert plateau - at_first < 4 * IN_FLIGHT_MB + 8
        with Source(agent.port) as late:  # what comes now is not even read: its ack shows that the others went first
            late.send(filler("late", SIZE))
            assert late.is_silent()
            assert memory_mb(agent.pid) - plateau < 2
            with ended(trouble) as sink:
                acks = [client.join() for client in clients]
                assert late.ack() == "late"
                delivered = [entry.record["chunk"] for entry in sink.entries]
        assert memory_mb(agent.pid) - plateau < 2 * IN_FLIGHT_MB + 4
        totals = agent.stop()

    for client, got in enumerate(acks):
        expected = [f"{client}-{number}" for number in range(CHUNKS)]
        assert got == expected
        assert [chunk for chunk in delivered if chunk.startswith(f"{client}-")] == expected
    assert len(delivered) == CLIENTS * CHUNKS + 1
    assert totals["records_in"] == totals["records_out"] == CLIENTS * CHUNKS + 1
    assert totals["reading_pauses"] >= 1
    assert totals["connections_refused"] == totals["chunks_rejected"] == 0


def test_small_chunks_are_bounded_by_what_they_really_take(tmp_path: Path) -> None:
    """A chunk of 60 bytes takes a hundred times as much while it is on its way."""
    with Sink() as gone:
        address = gone.address
    config = configure(tmp_path, address, level="debug", extra='input: max_in_flight = "8MB"\ninput: max_frame = "1MB"')
    many = b"".join(frame(f"{number:05}", {"n": number}) for number in range(20_000))
    with AgentProcess(config) as agent, Source(agent.port) as client:
        at_first = memory_mb(agent.pid)
        client.send(many[: len(many) // 2])
        agent.wait_for("reading_paused")
        assert memory_mb(agent.pid) - at_first < 8 + 6


def test_the_chunks_of_a_connection_keep_their_order_over_servers_connections_and_retries(tmp_path: Path) -> None:
    turns = itertools.count(1)
    diary = Diary(lambda frame: closed(frame) if next(turns) % 9 == 0 else acked(frame))
    with Sink(diary) as one, Sink(diary) as two:
        config = configure(tmp_path, one.address, two.address, extra="output: connections = 2")
        with AgentProcess(config) as agent:
            clients = [
                Pusher(agent.port, [filler(f"{client}-{number}", 2_000) for number in range(12)]) for client in range(6)
            ]
            acks = [client.join() for client in clients]
            assert agent.stop()["delivery_retries"] > 0
        assert one.chunks
        assert two.chunks

    firsts = list(dict.fromkeys(diary.chunks))
    for client, got in enumerate(acks):
        expected = [f"{client}-{number}" for number in range(12)]
        assert got == expected
        assert [chunk for chunk in firsts if chunk.startswith(f"{client}-")] == expected


def test_frames_that_come_in_one_piece_are_acked_one_by_one_in_order(tmp_path: Path) -> None:
    with Sink() as sink:
        with AgentProcess(configure(tmp_path, sink.address)) as agent, Source(agent.port) as client:
            client.send(b"".join(frame(f"{number}" if number % 3 else None, {"n": number}) for number in range(600)))
            assert [client.ack() for _ in range(400)] == [str(number) for number in range(600) if number % 3]
            sink.wait_for(600)
            assert client.is_silent()
        assert [entry.record["n"] for entry in sink.entries] == list(range(600))
