"""Clients as they are: half-closed, slow, stalled, idle, flapping, deaf, broken."""

import resource
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.agent import AgentProcess
from support.peers import Sink, Source, acked, held
from support.rulebook import GET_CALLER_IDENTITY, call, rule_text
from support.weather import Pusher, configure, filler, frame, memory_mb, open_files

pytestmark = pytest.mark.e2e

RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


@pytest.fixture(scope="module")
def agent(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """One agent for all who leave no trace."""
    config = configure(tmp_path_factory.mktemp("agent"), sink.address, extra='input: frame_timeout = "300ms"')
    with AgentProcess(config) as made:
        yield made


def named(agent: AgentProcess, name: str) -> list[dict[str, Any]]:
    return [each for each in list(agent.events) if each["event"] == name]


def test_one_that_breaks_off_in_a_message_is_told_of(agent: AgentProcess) -> None:
    with Source(agent.port) as client:
        client.send(frame("c", {"n": 1}, tag="aws.cut")[:-1])
    cut = agent.wait_for("frame_cut_short", tag="aws.cut")
    assert cut["reason"] == "the client closed the connection in the middle of a message"


def test_a_half_closed_client_gets_its_acks(sink: Sink, agent: AgentProcess) -> None:
    before = sink.chunks
    sink.use(held)
    with Source(agent.port) as client:
        client.send(b"".join(frame(f"half {number}", {"n": number}) for number in range(300)))
        client.socket.shutdown(socket.SHUT_WR)
        sink.wait_until(lambda: sink.chunks == before + 300)
        assert client.is_silent()
        sink.use(acked)
        sink.release()
        assert [client.ack() for _ in range(300)] == [f"half {number}" for number in range(300)]
        assert client.closes()


def send_until_blocked(client: Source, data: bytes) -> None:
    client.socket.settimeout(0.5)
    while True:
        client.send(data)


def test_a_client_that_never_reads_its_acks_is_given_up_and_costs_nothing(agent: AgentProcess) -> None:
    """Acks that nobody takes must not pile up: reading stops, for this client alone, and then its connection."""
    batch = b"".join(frame(f"{number:0250}", {"n": number}) for number in range(100))
    with Source(agent.port) as deaf:
        before = memory_mb(agent.pid)
        with pytest.raises((ConnectionError, TimeoutError)):
            send_until_blocked(deaf, batch)
        assert memory_mb(agent.pid) - before < 24
        with Source(agent.port) as other:
            other.send(frame("beside", {"n": 1}))
            assert other.ack() == "beside"
        agent.wait_for("connection_refused", reason="its acks were not read for 0.3s (input.frame_timeout)")


def test_a_message_may_come_byte_by_byte_but_not_stand_still_and_an_idle_connection_may(agent: AgentProcess) -> None:
    with Source(agent.port) as idle, Source(agent.port) as stalled:
        for byte in frame("a", {"n": 1}):
            idle.send(bytes((byte,)))
        assert idle.ack() == "a"
        stalled.send(frame("b", {"n": 2}, tag="aws.stalled")[:-3])
        assert stalled.closes()
        refused = agent.wait_for("connection_refused", tag="aws.stalled")
        assert refused["reason"] == "half a message and then nothing for 0.3s (input.frame_timeout)"
        assert refused["peer"] == f"127.0.0.1:{stalled.socket.getsockname()[1]}"
        idle.send(frame("c", {"n": 3}))
        assert idle.ack() == "c"


def test_clients_that_come_and_go_leave_nothing_behind(agent: AgentProcess) -> None:
    with Source(agent.port) as client:
        client.send(frame("come", {"n": 1}))
        assert client.ack() == "come"
        refused, lines = len(named(agent, "connection_refused")), len(agent.events)
        for number in range(600):
            flapping = socket.create_connection(("127.0.0.1", agent.port))
            if number % 2:
                flapping.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            if number % 3 == 0:
                flapping.sendall(frame("half", {"n": number})[: number % 20])
            flapping.close()
        client.send(frame("go", {"n": 2}))
        assert client.ack() == "go"
    assert open_files(agent.pid) <= 60
    assert len(agent.events) - lines < 10
    assert len(named(agent, "connection_refused")) == refused


def test_what_a_client_left_behind_is_delivered_and_its_connection_is_not_kept_for_that(
    sink: Sink, agent: AgentProcess
) -> None:
    """Some connect for each chunk and wait for no ack; downstream may be away for hours."""
    before = sink.chunks
    sink.use(held)
    with Source(agent.port) as client:
        for number in range(150):
            with Source(agent.port) as each:
                each.send(frame(None, {"left": number}))
        client.send(frame("last", {"left": 150}))
        sink.wait_until(lambda: sink.chunks == before + 151)
        assert open_files(agent.pid) < 60
        sink.use(acked)
        sink.release()
        assert client.ack() == "last"
    left = [entry.record["left"] for entry in sink.entries if "left" in entry.record]
    assert sorted(left) == list(range(151))


def test_a_client_that_is_refused_again_and_again_does_not_fill_the_log(tmp_path: Path) -> None:
    with Sink() as sink, AgentProcess(configure(tmp_path, sink.address)) as agent:
        for _ in range(200):
            with Source(agent.port) as broken:
                broken.send(b"\xc1")
                assert broken.closes()
        assert agent.stop()["connections_refused"] == 200
        told = named(agent, "connection_refused")
        assert len(told) <= 4
        assert 1 + sum(each["times"] for each in told[1:]) == 200


@contextmanager
def few_files(count: int) -> Iterator[None]:
    """A soft limit of open files for processes that are started here; no thread of ours may need more meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_soft_limit_of_open_files_turns_nobody_away(tmp_path: Path) -> None:
    with Sink() as sink, ExitStack() as stack:
        config = configure(tmp_path, sink.address)
        with few_files(64):
            agent = stack.enter_context(AgentProcess(config))
        clients = [stack.enter_context(Source(agent.port)) for _ in range(100)]
        for number, client in enumerate(clients):
            client.send(frame(f"{number}", {"n": number}))
        assert [client.ack() for client in clients] == [str(number) for number in range(100)]


def test_large_and_small_senders_share_the_memory(tmp_path: Path) -> None:
    """Many half frames of the largest size at once: they are received one after the other, and none is refused."""
    with Sink(count_only=True) as sink:
        bounds = 'input: max_frame = "4MiB"\ninput: max_in_flight = "4MiB"'
        with AgentProcess(configure(tmp_path, sink.address, extra=bounds)) as agent:
            before = memory_mb(agent.pid) if agent.port else 0.0
            large = [Pusher(agent.port, [filler(f"{number}", 4_000_000)]) for number in range(12)]
            small = Pusher(agent.port, [filler(f"s-{number}", 100) for number in range(200)])
            assert [client.join() for client in large] == [[str(number)] for number in range(12)]
            assert len(small.join()) == 200
            assert memory_mb(agent.pid, "VmHWM") - before < 64
            assert agent.stop()["connections_refused"] == 0


FEW_FILES = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("query", [GET_CALLER_IDENTITY, f"{GET_CALLER_IDENTITY} and user.entity.id: *"])
def test_that_no_file_can_be_opened_for_a_chunk_is_no_fault_of_its_sender(tmp_path: Path, query: str) -> None:
    """Here that is a part of the program that few rules need. What is half done cannot go on in this process."""
    rule = tmp_path / "rule.toml"
    rule.write_text(rule_text(query, ["user.entity.id"]))
    chunk = frame("c", call("arn:aws:iam::111122223333:user/ada", "e-1"))
    with Sink() as sink, ExitStack() as connections:
        config = configure(tmp_path, sink.address, rules=rule)
        with AgentProcess(config, through=[sys.executable, "-c", FEW_FILES]) as agent:
            agent.wait_for("downstream_connected")
            client = connections.enter_context(Source(agent.port))
            while open_files(agent.pid) < 48:
                connections.enter_context(Source(agent.port))
                time.sleep(0.01)
            client.send(chunk)
            assert client.closes()
            assert agent.wait() == 1
        (told,) = [each for each in agent.events if each.get("level") == "critical"]
        assert "OSError(24, 'Too many open files')" in told["message"]
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(chunk)
            assert client.ack() == "c"
            assert len(sink.entries[-1].record["alerts"]) == 1
            agent.stop()
