"""Downstream as it is: several servers, standby, and every way in which a server answers badly."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.agent import TIMEOUT_S, AgentProcess
from support.peer_frames import Frame, pack
from support.peers import Reply, Script, Sink, Source, acked, closed, in_turn, late, wrong
from support.weather import Mumbler, Pusher, configure, filler, frame

pytestmark = pytest.mark.e2e


def garbage(frame: Frame) -> Reply:
    return Reply(b"\xc1\xc1")


def nothing(frame: Frame) -> Reply:
    return Reply()


def acked_and_closed(frame: Frame) -> Reply:
    return replace(acked(frame), close=True)


def acked_twice(frame: Frame) -> Reply:
    return Reply(2 * acked(frame).data)


def glued(count: int) -> Script:
    """The acks of so many frames in one piece, the last first."""
    waiting: list[bytes] = []

    def script(frame: Frame) -> Reply:
        waiting.insert(0, acked(frame).data)
        if len(waiting) < count:
            return Reply()
        data = b"".join(waiting)
        waiting.clear()
        return Reply(data)

    return script


def sent(count: int, prefix: str = "") -> list[bytes]:
    return [filler(f"{prefix}{number}", 300) for number in range(count)]


@pytest.fixture(scope="module")
def moody() -> Iterator[Sink]:
    with Sink() as made:
        yield made


@pytest.fixture(scope="module")
def port(moody: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of one agent for all troubles: each of them must be over when the next one begins."""
    config = configure(tmp_path_factory.mktemp("agent"), moody.address, extra='output: ack_timeout = "200ms"')
    with AgentProcess(config) as agent:
        yield agent.port


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("late", late(0.01)),
        ("glued, backwards", glued(8)),
        ("closes", in_turn(closed, acked)),
        ("garbage", in_turn(acked, garbage, acked)),
        ("wrong", in_turn(acked, wrong, acked)),
        ("twice", in_turn(acked_twice, acked)),
        ("missing", in_turn(acked, nothing, acked)),
        ("too late", in_turn(late(0.6), acked)),
        ("closes after each", acked_and_closed),
    ],
)
def test_whatever_a_server_answers_everything_arrives_in_order(
    moody: Sink, port: int, name: str, trouble: Script
) -> None:
    moody.use(trouble)
    expected = [f"{name} {number}" for number in range(4 if trouble is acked_and_closed else 8)]

    assert Pusher(port, sent(len(expected), f"{name} ")).join() == expected

    came = [each for each in moody.frames if each.chunk.startswith(name)]
    assert list(dict.fromkeys(each.chunk for each in came)) == expected
    by_id = {each.chunk: each.raw for each in came}
    assert all(by_id[each.chunk] == each.raw for each in came), "a retry is the same frame"


def test_acks_may_come_byte_by_byte(tmp_path: Path) -> None:
    with Mumbler() as sink, AgentProcess(configure(tmp_path, sink.address)) as agent:
        assert Pusher(agent.port, sent(50)).join() == [str(number) for number in range(50)]
        assert agent.stop()["delivery_retries"] == 0


def test_a_server_that_closes_idle_connections_costs_nothing(tmp_path: Path) -> None:
    with Sink() as sink, AgentProcess(configure(tmp_path, sink.address)) as agent, Source(agent.port) as client:
        for number in range(4):
            connections = sink.connections
            sink.drop()
            sink.wait_until(lambda: sink.connections > connections)  # noqa: B023  # asked while it lasts
            client.send(frame(f"{number}", {"n": number}))
            assert client.ack() == str(number)
        agent.stop()
        assert [entry.record["n"] for entry in sink.entries] == list(range(4))


def test_servers_take_turns(tmp_path: Path) -> None:
    with Sink() as one, Sink() as two, Sink() as three:
        config = configure(tmp_path, one.address, two.address, three.address)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            for sink in (one, two, three):
                sink.wait_until(lambda: sink.connections == 1)  # noqa: B023  # asked while it lasts
            client.deliver([frame(f"{number}", {"n": number}) for number in range(30)])
        assert [one.chunks, two.chunks, three.chunks] == [10, 10, 10]


def test_one_that_fails_rests_and_is_asked_again(tmp_path: Path) -> None:
    with Sink(closed) as one, Sink() as two:
        config = configure(tmp_path, one.address, two.address)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            numbers = itertools.count()

            def until(true: Callable[[], bool]) -> None:
                deadline = time.monotonic() + 20
                while not true():
                    assert time.monotonic() < deadline
                    chunk = str(next(numbers))
                    client.send(frame(chunk, {"n": chunk}))
                    assert client.ack() == chunk

            until(lambda: one.chunks >= 3)
            failed = one.chunks
            assert two.chunks > failed, "it gets one frame at a time, and rests in between"
            one.use(acked)
            until(lambda: one.chunks >= failed + 20)
            agent.stop()


def test_standby_is_used_while_all_others_rest_and_left_when_one_is_back(tmp_path: Path) -> None:
    with Sink() as gone:
        address = gone.address
    with Sink() as standby:
        config = configure(tmp_path, address, standby=[standby.address])
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("a", {"n": 1}))
            assert client.ack() == "a"
            assert standby.chunks == 1
            with Sink(port=int(address.rpartition(":")[2])) as back:
                number = 0
                while not back.chunks:  # it is connected, and the agent may not know yet
                    number += 1
                    client.send(frame(f"b-{number}", {"n": number}))
                    assert client.ack() == f"b-{number}"
                before = standby.chunks
                for number in range(50):
                    client.send(frame(f"c-{number}", {"n": number}))
                    assert client.ack() == f"c-{number}"
                assert (back.chunks, standby.chunks) == (51, before)
                agent.wait_for("downstream_lost", server=standby.address, reason="closed for a new one")
            client.send(frame("d", {"n": 3}))
            assert client.ack() == "d"
            assert standby.frames[-1].chunk == "d"
            agent.stop()


def test_connections_are_renewed_without_a_repeat(tmp_path: Path) -> None:
    with Sink() as sink:
        config = configure(tmp_path, sink.address, extra='output: connection_max_age = "50ms"')
        with AgentProcess(config) as agent, Source(agent.port) as client:
            number = 0
            while sink.connections < 4:
                client.send(frame(f"{number}", {"n": number}))
                assert client.ack() == str(number)
                number += 1
            assert agent.stop()["delivery_retries"] == 0
        assert [entry.record["n"] for entry in sink.entries] == list(range(number))


def test_a_server_that_asks_for_a_key_where_none_is_set_is_told_of(tmp_path: Path) -> None:
    hello = pack(["HELO", {"nonce": b"0" * 16, "auth": b"", "keepalive": True}])
    with (
        Sink(lambda frame: Reply(hello)) as sink,
        AgentProcess(configure(tmp_path, sink.address)) as agent,
        Source(agent.port) as client,
    ):
        client.send(frame("c", {"n": 1}))
        lost = agent.wait_for("downstream_lost")
        assert lost["server"] == sink.address
        assert lost["reason"] == "the server asks for a shared key, but none is set (output.shared_key)"
        assert client.is_silent()


def test_without_acks_such_a_server_is_sent_nothing(tmp_path: Path) -> None:
    """Servers that ask say so as soon as a connection is accepted; what they are sent before an answer is lost."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"

        def ask() -> None:
            while len(asked) < 3:
                with listening.accept()[0] as connection:
                    time.sleep(0.05)
                    connection.sendall(pack(["HELO", {"nonce": b"0" * 16, "auth": b"", "keepalive": True}]))
                    connection.settimeout(TIMEOUT_S)
                    asked.append(connection.recv(1 << 16))

        asking = threading.Thread(target=ask)
        asking.start()
        config = configure(tmp_path, address, extra="output: require_ack = false")
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("c", {"n": 1}))
            told = agent.wait_for("downstream_unreachable")
            assert told["reason"] == "the server asks for a shared key, but none is set (output.shared_key)"
            asking.join(TIMEOUT_S)
            assert asked == [b""] * 3
            assert client.is_silent()
