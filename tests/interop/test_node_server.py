"""A server in Node.js (@fluent-org/logger) behind the agent, and a client of the same in front of it."""

from pathlib import Path
from typing import Any

import pytest

from support.agent import AgentProcess, write_config
from support.authority import Certificates
from support.calls import FIRST, TIME_NS, events, frames, without_alerts
from support.node import NodeServer, Told, send
from support.peers import Source

pytestmark = pytest.mark.interop

MODES = ("message", "forward", "packed", "compressed")
COUNT = 24

SECURITY = {"serverHostname": "server.example.com", "sharedKey": "a key", "authorize": False, "userDict": {}}
USERS = SECURITY | {"authorize": True, "userDict": {"alice": "secret"}}
OUR_KEY = 'output: shared_key = "a key"'
OUR_USER = f'{OUR_KEY}\noutput: username = "alice"\noutput: password = "secret"'


def their_tls(certificates: Certificates, *, strict: bool) -> dict[str, Any]:
    server = certificates.server
    files = {"ca": str(certificates.root), "cert": str(server.cert), "key": str(server.key)}
    return {"tls": files | {"requestCert": strict, "rejectUnauthorized": strict}}


def our_tls(certificates: Certificates, *, shown: bool) -> str:
    client = certificates.client
    cert = f'\noutput: tls.cert = "{client.cert}"\noutput: tls.key = "{client.key}"' if shown else ""
    return f'output: tls.ca = "{certificates.root}"{cert}'


def agent(folder: Path, downstream: str, ours: str) -> AgentProcess:
    return AgentProcess(write_config(folder / "c.toml", downstream=downstream, state=folder / "state", extra=ours))


def deliver(port: int) -> None:
    """Some of each mode, each frame acked by way of the agent; the server reads no entries with metadata."""
    with Source(port) as source:
        for number, mode in enumerate(MODES):
            made = frames(mode, events(COUNT)[number * 6 : number * 6 + 6])
            assert len(source.deliver(made)) == len(made)


def check_arrived(server: NodeServer) -> None:
    entries = server.wait_for_entries(COUNT)
    assert [without_alerts(entry["record"]) for entry in entries] == events(COUNT)
    assert [entry["record"]["eventID"] for entry in entries if "alerts" in entry["record"]] == FIRST
    times = [entry["seconds"] * 10**9 + entry["nanoseconds"] - TIME_NS for entry in entries]
    assert times == [*range(6)] * len(MODES)
    assert {entry["tag"] for entry in entries} == {"aws"}


@pytest.mark.parametrize("kind", ["plain", "key", "users", "tls", "mtls and users", "unix", "unix and users"])
def test_takes_every_mode_and_acks(kind: str, node_peers: Path, tmp_path: Path, certificates: Certificates) -> None:
    path = tmp_path / "server.sock"
    unix = {"listenOptions": {"path": str(path)}}
    theirs, ours = {
        "plain": ({}, ""),
        "key": ({"security": SECURITY}, OUR_KEY),
        "users": ({"security": USERS}, OUR_USER),
        "tls": (their_tls(certificates, strict=False), our_tls(certificates, shown=False)),
        "mtls and users": (
            their_tls(certificates, strict=True) | {"security": USERS},
            f"{our_tls(certificates, shown=True)}\n{OUR_USER}",
        ),
        "unix": (unix, ""),
        "unix and users": (unix | {"security": USERS}, OUR_USER),
    }[kind]

    with NodeServer(node_peers, **theirs) as server:
        place = f"unix:{path}" if "unix" in kind else f"{'tls://' if 'tls' in kind else ''}127.0.0.1:{server.port}"
        with agent(tmp_path, place, ours) as process:
            deliver(process.port)
            check_arrived(server)
            totals = process.stop()

    assert (totals["records_in"], totals["records_out"], totals["delivery_retries"]) == (COUNT, COUNT, 0)


@pytest.mark.parametrize(
    ("kind", "told", "reason"),
    [
        ("key", "downstream_unreachable", "mismatch"),
        ("password", "downstream_unreachable", "mismatch"),
        ("certificate", "downstream_lost", "CERTIFICATE_REQUIRED"),
        ("root", "downstream_unreachable", "cannot be verified"),
    ],
)
def test_nothing_is_delivered_to_one_that_refuses(
    kind: str, told: str, reason: str, node_peers: Path, tmp_path: Path, certificates: Certificates
) -> None:
    theirs, wrong, right = {
        "key": ({"security": SECURITY}, 'output: shared_key = "another"', OUR_KEY),
        "password": ({"security": USERS}, OUR_USER.replace("secret", "guess"), OUR_USER),
        "certificate": (
            their_tls(certificates, strict=True),
            our_tls(certificates, shown=False),
            our_tls(certificates, shown=True),
        ),
        "root": (their_tls(certificates, strict=False), "", our_tls(certificates, shown=False)),
    }[kind]

    with NodeServer(node_peers, **theirs) as server:
        place = f"{'tls://' if 'tls' in theirs else ''}127.0.0.1:{server.port}"
        with agent(tmp_path, place, wrong) as process, Source(process.port) as source:
            source.send(frames("forward", events(COUNT))[0])
            assert reason in process.wait_for(told)["reason"]
            assert source.is_silent()
        assert server.entries == 0
        with agent(tmp_path, place, right) as process:
            deliver(process.port)
            check_arrived(server)


def test_both_ends_are_somebody_else_s(node_peers: Path, tmp_path: Path) -> None:
    with NodeServer(node_peers) as server, agent(tmp_path, f"127.0.0.1:{server.port}", "") as process:
        options = {"eventMode": "CompressedPackedForward", "socket": {"host": "127.0.0.1", "port": process.port}}
        told = send(node_peers / "forward_client.js", events(COUNT), tag="aws", options=options)
        entries = server.wait_for_entries(COUNT)

    assert told == Told(COUNT, [])
    assert [without_alerts(entry["record"]) for entry in entries] == events(COUNT)
    assert [entry["record"]["eventID"] for entry in entries if "alerts" in entry["record"]] == FIRST
