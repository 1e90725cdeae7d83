"""A real Fluent Bit behind the agent. What it takes, it passes on to a sink of ours, where all of it can be seen."""

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

MODES = ("message", "forward", "packed", "compressed")
COUNT = 24
METADATA = {"from": "here"}

KEY = {"shared_key": "a key", "self_hostname": "downstream.example.com"}
USERS = KEY | {"security.users": "alice secret"}
OUR_KEY = 'output: shared_key = "a key"'
OUR_USER = f'{OUR_KEY}\noutput: username = "alice"\noutput: password = "secret"'


def their_tls(certificates: Certificates, **more: Any) -> dict[str, Any]:
    server = certificates.server
    files = {"tls.crt_file": str(server.cert), "tls.key_file": str(server.key), "tls.ca_file": str(certificates.root)}
    return {"tls": True} | files | {f"tls.{name}": value for name, value in more.items()}


def our_tls(certificates: Certificates) -> str:
    return f'output: tls.ca = "{certificates.root}"'


def our_mtls(certificates: Certificates) -> str:
    client = certificates.client
    return f'{our_tls(certificates)}\noutput: tls.cert = "{client.cert}"\noutput: tls.key = "{client.key}"'


class Chain:
    """Agent and Fluent Bit, and the configuration of the former: ``theirs`` and ``ours`` are what is said beyond it."""

    def __init__(self, folder: Path, sink: Sink, theirs: dict[str, Any]) -> None:
        self._folder = folder
        self._port = free_port()
        self.downstream = FluentBit.between(
            folder, "downstream", forward(self._port) | theirs, forward(sink.port, match="*")
        )
        path = theirs.get("unix_path")
        self._place = f"unix:{path}" if path else f"{'tls://' if 'tls' in theirs else ''}127.0.0.1:{self._port}"

    def agent(self, ours: str) -> AgentProcess:
        return AgentProcess(
            write_config(self._folder / "c.toml", downstream=self._place, state=self._folder / "state", extra=ours)
        )


def deliver(port: int) -> None:
    """Some of each mode, each frame acked by way of the agent."""
    with Source(port) as source:
        for number, mode in enumerate(MODES):
            made = frames(mode, events(COUNT)[number * 6 : number * 6 + 6], metadata=METADATA)
            assert len(source.deliver(made)) == len(made)


def check_arrived(sink: Sink) -> None:
    sink.wait_for(COUNT)
    entries = sorted(sink.entries, key=lambda entry: int(entry.record["eventID"][2:]))
    assert [without_alerts(entry.record) for entry in entries] == events(COUNT)
    assert [entry.record["eventID"] for entry in entries if "alerts" in entry.record] == FIRST
    assert {entry.tag for entry in entries} == {"aws"}
    assert [entry.time_ns - TIME_NS for entry in entries] == [*range(6)] * len(MODES)
    assert all(entry.metadata == METADATA for entry in entries)


@pytest.mark.parametrize("kind", ["plain", "key", "users", "tls", "mtls", "tls and users", "unix", "unix and users"])
def test_takes_every_mode_and_acks(kind: str, tmp_path: Path, sink: Sink, certificates: Certificates) -> None:
    unix = {"unix_path": str(tmp_path / "f.sock")}
    theirs, ours = {
        "plain": ({}, ""),
        "key": (KEY, OUR_KEY),
        "users": (USERS, OUR_USER),
        "tls": (their_tls(certificates), our_tls(certificates)),
        "mtls": (their_tls(certificates, verify_client_cert=True), our_mtls(certificates)),
        "tls and users": (their_tls(certificates) | USERS, f"{our_tls(certificates)}\n{OUR_USER}"),
        "unix": (unix, ""),
        "unix and users": (unix | USERS, OUR_USER),
    }[kind]
    chain = Chain(tmp_path, sink, theirs)

    with chain.downstream, chain.agent(ours) as agent:
        deliver(agent.port)
        check_arrived(sink)
        totals = agent.stop()

    assert (totals["records_in"], totals["records_out"], totals["delivery_retries"]) == (COUNT, COUNT, 0)


@pytest.mark.parametrize(
    ("kind", "told", "reason"),
    [
        ("wrong key", "downstream_unreachable", ""),
        ("wrong password", "downstream_unreachable", "username/password mismatch"),
        ("no certificate", "downstream_lost", "CERTIFICATE_REQUIRED"),
        ("unknown root", "downstream_unreachable", "cannot be verified"),
    ],
)
def test_nothing_is_delivered_to_one_that_refuses(
    kind: str, told: str, reason: str, tmp_path: Path, sink: Sink, certificates: Certificates
) -> None:
    strict = their_tls(certificates, verify_client_cert=True)
    theirs, wrong, right = {
        "wrong key": (KEY, 'output: shared_key = "another"', OUR_KEY),
        "wrong password": (USERS, OUR_USER.replace("secret", "guess"), OUR_USER),
        "no certificate": (strict, our_tls(certificates), our_mtls(certificates)),
        "unknown root": (their_tls(certificates), "", our_tls(certificates)),
    }[kind]
    chain = Chain(tmp_path, sink, theirs)

    with chain.downstream:
        with chain.agent(wrong) as agent, Source(agent.port) as source:
            source.send(frames("forward", events(COUNT))[0])
            assert reason in agent.wait_for(told)["reason"]
            assert source.is_silent()
        assert sink.records == 0
        with chain.agent(right) as agent:
            deliver(agent.port)
            check_arrived(sink)
