"""SIGTERM: accept no more, settle what came, ack only what is safe, exit 0, whoever is connected."""

import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from support.agent import FIRSTSEEN, TIMEOUT_S, AgentProcess
from support.peers import Sink, Source, acked, held, late
from support.rulebook import rule_id, rule_text
from support.weather import Wire, configure, filler, frame

pytestmark = pytest.mark.e2e


def test_half_a_message_a_stalled_client_and_an_idle_one_do_not_hold_it_up(tmp_path: Path) -> None:
    whole = frame("c", {"n": 1})
    with Sink(held) as sink, AgentProcess(configure(tmp_path, sink.address)) as agent:
        with Source(agent.port) as client, Source(agent.port) as half, Source(agent.port) as idle:
            half.send(frame("before", {"n": 0}) + whole[:-5])
            client.send(whole)
            sink.wait_until(lambda: sink.chunks == 2)
            agent.signal(signal.SIGTERM)
            agent.wait_for("stopping")
            sink.use(acked)
            sink.release()
            assert (client.ack(), half.ack()) == ("c", "before")
            assert all(each.closes() for each in (client, half, idle))
            assert agent.wait() == 0
        assert agent.wait_for("stopped")["drained"] is True
    assert sorted(each.chunk for each in sink.frames) == ["before", "c"]


def test_nobody_is_accepted_any_more_and_nothing_that_comes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.sock"
    with Sink(held) as sink:
        config = configure(tmp_path, sink.address, listen=f"unix:{path}")
        config.write_text(config.read_text().replace("listen = [", 'listen = ["127.0.0.1:0", '))
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("c", {"n": 1}))
            sink.wait_until(lambda: sink.chunks == 1)
            agent.signal(signal.SIGTERM)
            agent.wait_for("stopping")
            client.send(frame("too late", {"n": 2}))
            sink.release()
            assert client.ack() == "c"
            assert client.closes()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", agent.port))
            assert agent.wait() == 0
        assert not path.exists()
        assert sink.chunks == 1


def test_what_was_not_acked_comes_again_after_the_restart(tmp_path: Path) -> None:
    with Sink() as gone:
        address = gone.address
    path = tmp_path / "in.sock"
    config = configure(tmp_path, address, listen=f"unix:{path}", extra='input: drain_timeout = "100ms"')
    with AgentProcess(config) as agent:
        agent.wait_for("downstream_unreachable")
        with Wire.through(path) as client, Wire.through(path) as half:
            client.send(frame("c", {"n": 1}))
            half.send(frame("h", {"n": 2})[:-1])
            agent.signal(signal.SIGTERM)
            assert client.closes()
            assert half.closes()
            assert agent.wait() == 0
        assert agent.wait_for("stopped")["drained"] is False
    with Sink(port=int(address.rpartition(":")[2])) as sink, AgentProcess(config) as agent:
        agent.wait_for("ready")
        with Wire.through(path) as client:
            client.send(frame("c", {"n": 1}))
            assert client.ack() == "c"
        agent.stop()
        assert [each.chunk for each in sink.frames] == ["c"]


def test_a_second_signal_no_longer_waits(tmp_path: Path) -> None:
    with Sink(held) as sink:
        config = configure(tmp_path, sink.address, extra='input: drain_timeout = "1h"')
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(frame("c", {"n": 1}))
            sink.wait_until(lambda: sink.chunks == 1)
            started = time.monotonic()
            agent.signal(signal.SIGTERM)
            agent.wait_for("stopping")
            agent.signal(signal.SIGTERM)
            assert client.closes()
            assert agent.wait() == 0
            assert time.monotonic() - started < 5
            assert agent.wait_for("stopped")["drained"] is False


def test_a_client_that_never_reads_its_acks_does_not_hold_it_up(tmp_path: Path) -> None:
    with Sink() as sink, AgentProcess(configure(tmp_path, sink.address)) as agent, Source(agent.port) as client:
        client.send(b"".join(frame(f"{number:200}", {"n": number}) for number in range(3_000)))
        sink.wait_until(lambda: sink.chunks >= 1_000)
        assert agent.stop()["drained"] is True


def test_told_so_at_any_moment_of_a_slow_start_it_stops_as_cleanly(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for number in range(300):
        (rules / f"{number}.toml").write_text(rule_text(rule_id=rule_id(number)))
    with Sink() as sink:
        config = configure(tmp_path, sink.address, rules=rules)
        with AgentProcess(config) as agent:  # the first one has histories to begin, and takes longer than others
            agent.wait_for("ready")
            agent.stop()
        with AgentProcess(config) as agent:
            hears(agent)
            began = time.monotonic()
            agent.wait_for("ready")
            start_s = time.monotonic() - began
            agent.stop()
        early = 0
        for part in range(8):
            with AgentProcess(config) as agent:
                hears(agent)
                time.sleep(start_s * part / 7)
                agent.signal(signal.SIGINT if part % 2 else signal.SIGTERM)
                assert agent.wait() == 0, agent.events
            told = [each["event"] for each in agent.events]
            last, _ = agent.events[-2:]
            assert last["event"] == "stopped" or " info stopped drained=true " in last["text"]  # how was not read yet
            early += "ready" not in told
        assert early


def hears(agent: AgentProcess) -> None:
    """Wait until it handles SIGTERM, which is before the agent is imported."""
    status = Path(f"/proc/{agent.pid}/status")
    deadline = time.monotonic() + 60
    while True:
        handled = re.search(r"SigCgt:\s*(\w+)", status.read_text())
        if handled is not None and int(handled[1], 16) >> (signal.SIGTERM - 1) & 1:
            break
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_who_is_impatient_gets_the_same_exit_code(tmp_path: Path) -> None:
    for delay_s in (0.0, 0.005, 0.02):
        with Sink() as sink, AgentProcess(configure(tmp_path, sink.address)) as agent:
            agent.wait_for("ready")
            agent.signal(signal.SIGINT)
            agent.wait_for("stopped")
            time.sleep(delay_s)
            agent.signal(signal.SIGTERM)
            assert agent.wait() == 0


@pytest.mark.parametrize("again", [False, True])
def test_a_slow_server_that_need_not_ack_reads_all_that_was_acked(tmp_path: Path, again: bool) -> None:
    """It acks all the same, as servers do: nothing may answer that with a reset, by which it would lose the rest."""
    with Sink(late(0.01)) as sink:
        config = configure(tmp_path, sink.address, extra="output: require_ack = false")
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(b"".join(filler(str(number), 10_000) for number in range(200)))
            assert [client.ack() for _ in range(200)] == [str(number) for number in range(200)]
            assert sink.chunks < 150
            agent.signal(signal.SIGTERM)
            agent.wait_for("stopping")
            if again:
                agent.signal(signal.SIGTERM)
            assert agent.wait() == 0
        assert sink.chunks == 200


def test_a_server_that_need_not_ack_and_reads_nothing_does_not_hold_it_up_for_long(tmp_path: Path) -> None:
    with Sink(late(3_600)) as sink:
        settings = 'output: require_ack = false\ninput: drain_timeout = "100ms"'
        with AgentProcess(configure(tmp_path, sink.address, extra=settings)) as agent, Source(agent.port) as client:
            client.send(frame("c", {"n": 1}))
            assert client.ack() == "c"
            agent.signal(signal.SIGTERM)
            agent.wait_for("downstream_lost", reason="the agent stops")
            agent.signal(signal.SIGTERM)
            assert agent.wait() == 0
            assert agent.wait_for("stopped")["drained"] is True


def test_who_is_impatient_while_clients_are_seen_off_need_not_be_so_again(tmp_path: Path) -> None:
    """The second signal comes before servers are left, when all that came is settled."""
    with Sink(late(3_600)) as sink:
        settings = 'output: require_ack = false\ninput: drain_timeout = "1h"'
        with AgentProcess(configure(tmp_path, sink.address, extra=settings)) as agent, Source(agent.port) as client:
            client.send(frame("c", {"n": 1}))
            assert client.ack() == "c"
            agent.signal(signal.SIGINT)
            agent.wait_for("stopping")
            agent.signal(signal.SIGINT)
            assert agent.wait() == 0
            assert agent.wait_for("stopped")["drained"] is True


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(tmp_path: Path, closed: str) -> None:
    path = tmp_path / "in.sock"
    config = configure(tmp_path, "127.0.0.1:1", listen=f"unix:{path}")
    agent = subprocess.Popen(["sh", "-c", f'exec "$@" {closed}', "sh", str(FIRSTSEEN), "run", "-c", str(config)])
    try:
        deadline_s = time.monotonic() + TIMEOUT_S
        while not path.exists():
            assert agent.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        time.sleep(0.2)
        agent.terminate()
        assert agent.wait(TIMEOUT_S) == 0
    finally:
        agent.kill()
        agent.wait()
    export = [str(FIRSTSEEN), "state", "export", "--state", str(tmp_path / "firstseen.state")]
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *export]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT_S)
    assert (ended.returncode, ended.stderr) == (0, b"")
