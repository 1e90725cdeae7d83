"""A real Fluent Bit in front of the agent. It is given its records over Forward, so that it has metadata to send on."""

from pathlib import Path
from typing import Any

import pytest

from support import fluentbit
from support.agent import AgentProcess, write_config
from support.authority import Certificates
from support.calls import FIRST, TIME_NS, events, frames, without_alerts
from support.fluentbit import FluentBit, forward, free_port
from support.peers import Sink, Source

pytestmark = fluentbit.marks

COUNT = 24
METADATA = {"from": "here"}

KEY = {"shared_key": "a key", "self_hostname": "upstream.example.com"}
USERS = KEY | {"username": "alice", "password": "secret"}
OUR_KEY = 'input: shared_key = "a key"'
OUR_USERS = f'{OUR_KEY}\ninput: users = [{{name = "bob", password = "x"}}, {{name = "alice", password = "secret"}}]'


def their_tls(certificates: Certificates) -> dict[str, Any]:
    return {"tls": True, "tls.ca_file": str(certificates.root)}


def their_mtls(certificates: Certificates) -> dict[str, Any]:
    client = certificates.client
    return their_tls(certificates) | {"tls.crt_file": str(client.cert), "tls.key_file": str(client.key)}


def our_tls(certificates: Certificates, *, strict: bool = False) -> str:
    server = certificates.server
    lines = [f'input: tls.cert = "{server.cert}"', f'input: tls.key = "{server.key}"']
    return "\n".join(lines + [f'input: tls.client_ca = "{certificates.root}"'] * strict)


class Chain:
    """Fluent Bit and agent; ``theirs`` and ``ours`` are what their configurations say beyond the least."""

    def __init__(self, folder: Path, sink: Sink, listen: str) -> None:
        self._folder = folder
        self._sink = sink
        self._listen = listen
        self.port = free_port()

    def upstream(self, agent_port: int, theirs: dict[str, Any]) -> FluentBit:
        output = forward(agent_port, require_ack_response=True) | theirs
        return FluentBit.between(self._folder, "upstream", forward(self.port), output)

    def agent(self, ours: str) -> AgentProcess:
        config = write_config(
            self._folder / "c.toml",
            downstream=self._sink.address,
            state=self._folder / "state",
            listen=self._listen,
            extra=ours,
        )
        return AgentProcess(config)


def give(port: int) -> None:
    """Hand Fluent Bit its records."""
    with Source(port) as source:
        source.deliver(frames("forward", events(COUNT), metadata=METADATA))


def check_arrived(sink: Sink, *, whole_seconds: bool = False, metadata: dict[str, Any] = METADATA) -> None:
    sink.wait_for(COUNT)
    assert [without_alerts(entry.record) for entry in sink.entries] == events(COUNT)
    assert [entry.record["eventID"] for entry in sink.entries if "alerts" in entry.record] == FIRST
    times = [TIME_NS // 10**9 * 10**9] * COUNT if whole_seconds else [*range(TIME_NS, TIME_NS + COUNT)]
    assert [entry.time_ns for entry in sink.entries] == times
    assert all(entry.metadata == metadata for entry in sink.entries)
    assert {entry.tag for entry in sink.entries} == {"aws"}


@pytest.mark.parametrize("kind", ["plain", "gzip", "whole seconds", "no metadata", "users", "unix"])
def test_is_acked_from_end_to_end(kind: str, tmp_path: Path, sink: Sink) -> None:
    path = tmp_path / "agent.sock"
    theirs, ours = {
        "plain": ({}, ""),
        "gzip": ({"compress": "gzip"}, ""),
        "whole seconds": ({"time_as_integer": True}, ""),
        "no metadata": ({"retain_metadata_in_forward_mode": False}, ""),
        "users": (USERS, OUR_USERS),
        "unix": ({"unix_path": str(path)}, ""),
    }[kind]
    chain = Chain(tmp_path, sink, f"unix:{path}" if kind == "unix" else "127.0.0.1:0")

    with chain.agent(ours) as agent:
        agent.wait_for("ready")
        with chain.upstream(0 if kind == "unix" else agent.port, theirs):
            give(chain.port)
            bare = kind in {"whole seconds", "no metadata"}
            check_arrived(sink, whole_seconds=kind == "whole seconds", metadata={} if bare else METADATA)
        totals = agent.stop()

    assert (totals["records_in"], totals["records_out"], totals["alerts"]) == (COUNT, COUNT, len(FIRST))
    assert totals["connections_refused"] == 0
    assert all(frame.chunk for frame in sink.frames)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("wrong key", "shared_key mismatch"),
        ("wrong password", "username/password mismatch of 'alice'"),
        ("no user", "username/password mismatch of ''"),
        ("no key", "invalid ping message"),
    ],
)
def test_one_that_is_refused_keeps_its_records_until_it_is_let_in(
    kind: str, reason: str, tmp_path: Path, sink: Sink
) -> None:
    wrong, theirs, right = {
        "wrong key": (OUR_KEY.replace("a key", "another"), KEY, OUR_KEY),
        "wrong password": (OUR_USERS.replace("secret", "other"), USERS, OUR_USERS),
        "no user": (OUR_USERS, KEY, OUR_KEY),
        "no key": (OUR_KEY, {}, ""),
    }[kind]
    port = free_port()
    chain = Chain(tmp_path, sink, f"127.0.0.1:{port}")

    with chain.upstream(port, theirs):
        with chain.agent(wrong) as agent:
            agent.wait_for("ready")
            give(chain.port)
            assert reason in agent.wait_for("connection_refused")["reason"]
            assert agent.stop()["records_in"] == 0
        assert sink.records == 0
        with chain.agent(right):
            check_arrived(sink)


@pytest.mark.parametrize("kind", ["tls", "mtls", "mtls and users"])
def test_over_tls(kind: str, tmp_path: Path, sink: Sink, certificates: Certificates) -> None:
    theirs, ours = {
        "tls": (their_tls(certificates), our_tls(certificates)),
        "mtls": (their_mtls(certificates), our_tls(certificates, strict=True)),
        "mtls and users": (
            their_mtls(certificates) | USERS,
            f"{our_tls(certificates, strict=True)}\n{OUR_USERS}",
        ),
    }[kind]
    chain = Chain(tmp_path, sink, "tls://127.0.0.1:0")

    with chain.agent(ours) as agent, chain.upstream(agent.port, theirs):
        give(chain.port)
        check_arrived(sink)
        assert agent.stop()["connections_refused"] == 0


def test_one_without_a_certificate_is_refused(tmp_path: Path, sink: Sink, certificates: Certificates) -> None:
    port = free_port()
    chain = Chain(tmp_path, sink, f"tls://127.0.0.1:{port}")

    with chain.upstream(port, their_tls(certificates)):
        with chain.agent(our_tls(certificates, strict=True)) as agent:
            agent.wait_for("ready")
            give(chain.port)
            assert "CERTIFICATE" in agent.wait_for("connection_refused")["reason"].upper()
            assert agent.stop()["records_in"] == 0
        assert sink.records == 0
        with chain.agent(our_tls(certificates)):
            check_arrived(sink)
