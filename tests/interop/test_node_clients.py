"""Clients in Node.js in front of the agent: @fluent-org/logger and the older fluent-logger, each event acked."""

from pathlib import Path
from typing import Any

import pytest

from support.agent import AgentProcess, write_config
from support.authority import Certificates
from support.calls import FIRST, events, without_alerts
from support.node import Told, send
from support.peers import Sink

pytestmark = pytest.mark.interop

COUNT = 60
TIME_NS = 1_700_000_000_123_456_789

NEW, OLD = "forward_client.js", "fluent_logger.js"
MODES = [
    (NEW, "Message"),
    (NEW, "Forward"),
    (NEW, "PackedForward"),
    (NEW, "CompressedPackedForward"),
    (OLD, "Message"),
    (OLD, "PackedForward"),
    (OLD, "CompressedPackedForward"),
]

SECURITY = {"clientHostname": "client.example.com", "sharedKey": "a key", "username": "alice", "password": "secret"}
OUR_USERS = 'input: shared_key = "a key"\ninput: users = [{name = "alice", password = "secret"}]'
OUR_KEY = 'input: shared_key = "a key"'


def agent(folder: Path, sink: Sink, listen: str = "127.0.0.1:0", extra: str = "") -> AgentProcess:
    config = write_config(
        folder / "c.toml", downstream=sink.address, state=folder / "state", listen=listen, extra=extra
    )
    return AgentProcess(config)


def our_tls(certificates: Certificates) -> str:
    """Clients have to show a certificate."""
    cert, key = certificates.server
    return f'input: tls.cert = "{cert}"\ninput: tls.key = "{key}"\ninput: tls.client_ca = "{certificates.root}"'


def place(script: str, port: int) -> dict[str, Any]:
    """How each of them is told where to connect."""
    where = {"host": "127.0.0.1", "port": port}
    return {"socket": where} if script == NEW else where


def check_arrived(sink: Sink) -> None:
    sink.wait_for(COUNT)
    assert [without_alerts(entry.record) for entry in sink.entries] == events(COUNT)
    assert [entry.record["eventID"] for entry in sink.entries if "alerts" in entry.record] == FIRST
    assert {(entry.tag, entry.time_ns) for entry in sink.entries} == {("aws", TIME_NS)}


@pytest.mark.parametrize(("script", "mode"), MODES)
def test_every_mode_is_acked_from_end_to_end(
    script: str, mode: str, node_peers: Path, tmp_path: Path, sink: Sink
) -> None:
    with agent(tmp_path, sink) as process:
        options = {"eventMode": mode} | place(script, process.port)
        told = send(node_peers / script, events(COUNT), tag="aws", options=options)
        totals = process.stop()

    assert told == Told(COUNT, [])
    check_arrived(sink)
    assert (totals["records_in"], totals["records_out"], totals["alerts"]) == (COUNT, COUNT, len(FIRST))


@pytest.mark.parametrize("script", [NEW, OLD])
@pytest.mark.parametrize("ours", [OUR_KEY, OUR_USERS], ids=["key", "users"])
def test_who_knows_the_key_is_let_in(ours: str, script: str, node_peers: Path, tmp_path: Path, sink: Sink) -> None:
    with agent(tmp_path, sink, extra=ours) as process:
        options = {"security": SECURITY} | place(script, process.port)
        told = send(node_peers / script, events(COUNT), tag="aws", options=options)

    assert told == Told(COUNT, [])
    check_arrived(sink)


@pytest.mark.parametrize("script", [NEW, OLD])
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"sharedKey": "another"}, "shared_key mismatch"), ({"password": "guess"}, "username/password mismatch")],
    ids=["key", "password"],
)
def test_who_does_not_is_told_so(
    wrong: dict[str, str], reason: str, script: str, node_peers: Path, tmp_path: Path, sink: Sink
) -> None:
    with agent(tmp_path, sink, extra=OUR_USERS) as process:
        options = {"security": SECURITY | wrong} | place(script, process.port)
        told = send(node_peers / script, events(COUNT), tag="aws", options=options)
        refused = process.wait_for("connection_refused")
        totals = process.stop()

    assert told.acked == 0
    assert reason in told.faults[0]
    assert reason in refused["reason"]
    assert totals["records_in"] == sink.records == 0


@pytest.mark.parametrize("script", [NEW, OLD])
def test_over_tls_with_a_certificate(
    script: str, node_peers: Path, tmp_path: Path, sink: Sink, certificates: Certificates
) -> None:
    ours = f"{our_tls(certificates)}\n{OUR_USERS}"
    tls = {"ca": certificates.root, "cert": certificates.client.cert, "key": certificates.client.key}

    with agent(tmp_path, sink, "tls://127.0.0.1:0", ours) as process:
        options = {"security": SECURITY} | place(script, process.port)
        files = {name: str(path) for name, path in tls.items()}
        told = send(node_peers / script, events(COUNT), tag="aws", options=options, tls=files)

    assert told == Told(COUNT, [])
    check_arrived(sink)


@pytest.mark.parametrize(
    ("script", "patience"), [(NEW, {"ack": {"ackTimeout": 500}}), (OLD, {"ackResponseTimeout": 500})]
)
def test_without_a_certificate_nothing_is_acked(
    script: str, patience: dict[str, Any], node_peers: Path, tmp_path: Path, sink: Sink, certificates: Certificates
) -> None:
    with agent(tmp_path, sink, "tls://127.0.0.1:0", our_tls(certificates)) as process:
        told = send(
            node_peers / script,
            events(COUNT),
            tag="aws",
            options=patience | place(script, process.port),
            tls={"ca": str(certificates.root)},
        )
        assert "peer did not return a certificate" in process.wait_for("connection_refused")["reason"]
        totals = process.stop()

    assert told.acked == 0
    assert told.faults
    assert totals["records_in"] == sink.records == 0


@pytest.mark.parametrize("script", [NEW, OLD])
def test_over_a_unix_socket(script: str, node_peers: Path, tmp_path: Path, sink: Sink) -> None:
    path = str(tmp_path / "agent.sock")
    where: dict[str, Any] = {"socket": {"path": path}} if script == NEW else {"path": path}

    with agent(tmp_path, sink, f"unix:{path}") as process:
        process.wait_for("ready")
        told = send(node_peers / script, events(COUNT), tag="aws", options=where)

    assert told == Told(COUNT, [])
    check_arrived(sink)
