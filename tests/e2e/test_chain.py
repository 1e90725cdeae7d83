"""Two installed agents behind each other: what one asks for, the other one shows."""

import os
import socket
import stat
from pathlib import Path

import msgpack
import pytest

from support.agent import TIMEOUT_S, AgentProcess, write_config
from support.authority import Authority
from support.peers import Sink, Source
from support.rulebook import call

pytestmark = pytest.mark.e2e

ADA = "arn:aws:iam::111122223333:user/ada"
FRAME = msgpack.packb(["aws", [[1, call(ADA, "e-1")], [1, {"n": 1}]], {"chunk": "c"}])
POISON = msgpack.packb(["aws", b"\x92\x01", {"chunk": "poison"}])


def second(folder: Path, sink: Sink, listen: str, extra: str) -> Path:
    return write_config(
        folder / "second.toml", downstream=sink.address, state=folder / "two", listen=listen, extra=extra
    )


def first(folder: Path, server: str, extra: str) -> Path:
    extra += 'input: self_hostname = "the first"\n'  # both are on one machine
    return write_config(folder / "first.toml", downstream=server, state=folder / "one", extra=extra)


def delivers(config: Path, sink: Sink) -> None:
    with AgentProcess(config) as agent, Source(agent.port) as client:
        client.send(FRAME)
        assert client.ack() == "c"
        agent.stop()
    alert, other = sink.entries
    assert alert.record["eventID"] == "e-1"
    assert {label["new_terms"]["values"][0] for label in alert.record["alerts"]} == {ADA}
    assert other.record == {"n": 1}


def test_tls_with_client_certificates_a_key_and_a_user_of_odd_bytes(
    tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Authority(tmp_path, "root")
    server, client = root.issue("localhost"), root.issue("client.example.com")
    monkeypatch.setenv("ALICE", os.fsdecode(b"al\xffce"))
    taking = second(
        tmp_path,
        sink,
        "tls://localhost:0",
        f"""
input: shared_key = "s3cret"
input: users = [{{name = "${{ALICE}}", password = "${{ALICE}}"}}]
input: tls = {{cert = "{server.cert}", key = "{server.key}", client_ca = "{root.file}"}}
""",
    )
    with AgentProcess(taking) as agent:
        giving = first(
            tmp_path,
            f"tls://localhost:{agent.port}",
            f"""
output: shared_key = "s3cret"
output: username = "${{ALICE}}"
output: password = "${{ALICE}}"
output: tls = {{ca = "{root.file}", cert = "{client.cert}", key = "{client.key}"}}
""",
        )
        delivers(giving, sink)
        agent.stop()


def test_a_unix_socket_and_a_key(tmp_path: Path, sink: Sink) -> None:
    path = tmp_path / "forward.sock"
    extra = 'input: shared_key = "s3cret"\ninput: unix_mode = "0600"\n'
    with AgentProcess(second(tmp_path, sink, f"unix:{path}", extra)) as agent:
        agent.wait_for("ready")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        delivers(first(tmp_path, f"unix:{path}", 'output: shared_key = "s3cret"\n'), sink)
        agent.stop()
    assert not path.exists()


def test_a_wrong_key_is_told_of_on_both_ends_and_nothing_arrives(tmp_path: Path, sink: Sink) -> None:
    with AgentProcess(second(tmp_path, sink, "127.0.0.1:0", 'input: shared_key = "s3cret"\n')) as agent:
        config = first(
            tmp_path,
            f"127.0.0.1:{agent.port}",
            'output: shared_key = "other"\ninput: drain_timeout = "100ms"\n',
        )
        with AgentProcess(config) as other, Source(other.port) as client:
            client.send(FRAME)
            told = other.wait_for("downstream_unreachable")
            assert told["reason"] == "in the handshake: the server refuses: shared_key mismatch"
            told = agent.wait_for("connection_refused")
            assert told["reason"] == "shared_key mismatch, from a client that calls itself 'the first'"
            assert other.stop()["records_out"] == 0
        agent.stop()
    assert sink.frames == []


def test_a_server_of_our_own_name_is_told_of_and_gets_nothing(tmp_path: Path, sink: Sink) -> None:
    extra = 'input: shared_key = "s3cret"\ninput: self_hostname = "the first"\n'
    with AgentProcess(second(tmp_path, sink, "127.0.0.1:0", extra)) as agent:
        extra = 'output: shared_key = "s3cret"\ninput: drain_timeout = "100ms"\n'
        with AgentProcess(first(tmp_path, f"127.0.0.1:{agent.port}", extra)) as other, Source(other.port) as client:
            client.send(FRAME)
            assert "(input.self_hostname)" in other.wait_for("downstream_unreachable")["reason"]
            assert other.stop()["records_out"] == 0
        agent.stop()
    assert sink.frames == []


def test_what_cannot_be_read_is_kept_and_acked_until_there_is_no_room(tmp_path: Path, sink: Sink) -> None:
    kept = tmp_path / "kept"
    extra = 'input: quarantine = "kept"\ninput: quarantine_size = "250B"\n'
    config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state", extra=extra)
    with AgentProcess(config) as agent:
        with Source(agent.port) as client:
            client.send(POISON)
            assert client.ack() == "poison"
            client.send(POISON.replace(b"poison", b"second"))
            assert client.closes()
        agent.wait_for("quarantine_full")
        totals = agent.stop()
    assert [file.read_bytes() for file in kept.glob("*.msgpack")] == [POISON]
    assert (totals["chunks_quarantined"], totals["chunks_rejected"]) == (1, 1)


def test_heartbeats_are_answered_and_no_repeats_looked_for_where_that_is_set(tmp_path: Path, sink: Sink) -> None:
    extra = 'input: udp_heartbeat = true\ninput: repeat_window = "0s"\n'
    config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state", extra=extra)
    with AgentProcess(config) as agent:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(TIMEOUT_S)
            probe.connect(("127.0.0.1", agent.port))
            probe.send(b"\x00")
            assert probe.recv(100) == b"\x00"
        for _ in range(2):
            with Source(agent.port) as client:
                client.send(FRAME)
                assert client.ack() == "c"
        assert agent.stop()["chunks_out"] == 2
    assert len(sink.frames) == 2
