"""One real deployment: a unix socket, an agent, TLS with a shared key, a user and a client certificate, an agent."""

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.agent import FIRSTSEEN, AgentProcess
from support.authority import Authority, Pem
from support.peer_frames import KeepingReader, pack
from support.peers import Sink, Source
from support.rulebook import call
from support.weather import Wire, configure, frame

pytestmark = pytest.mark.e2e

ADA = "arn:aws:iam::111122223333:user/ada"


@dataclass(frozen=True)
class Central:
    """The agent that everything goes to, and what is needed to get there."""

    agent: AgentProcess
    sink: Sink
    folder: Path
    root: Path

    def edge(self, name: str, host: str = "localhost", **changed: str) -> Path:
        """The configuration of an agent that delivers to it; a setting that is changed to nothing is left out."""
        settings = {
            "shared_key": '"the key"',
            "username": '"edge"',
            "password": '"secret"',
            "tls.ca": f'"{self.root}"',
            "tls.cert": f'"{self.folder}/edge.crt"',
            "tls.key": f'"{self.folder}/edge.key"',
        }
        given = {key: value for key, value in (settings | changed).items() if value}
        return configure(
            self.folder,
            f"tls://{host}:{self.agent.port}",
            name=name,
            listen=f"unix:{self.folder / name}.sock",
            extra="\n".join(f"output: {key} = {value}" for key, value in given.items())
            + f'\ninput: self_hostname = "{name}"',  # not as that one, which is on this machine, too
        )


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Central]:
    folder = tmp_path_factory.mktemp("central")
    root, clients = Authority(folder, "root"), Authority(folder, "clients")
    pem = root.issue("localhost")
    clients.issue("edge")
    root.issue("stranger")
    (folder / "password").write_text("secret\n")
    extra = f"""
input: shared_key = "the key"
input: users = [{{name = "edge", password_file = "{folder}/password"}}]
input: tls = {{cert = "{pem.cert}", key = "{pem.key}", client_ca = "{clients.file}"}}
"""
    with Sink() as sink:
        config = configure(
            folder, sink.address, name="central", listen="tls://127.0.0.1:0", extra=extra, sources='"*" = "none"\n'
        )
        with AgentProcess(config) as agent:
            yield Central(agent, sink, folder, root.file)


def test_from_the_unix_socket_to_the_end_and_back(central: Central) -> None:
    with AgentProcess(central.edge("edge")) as edge:
        edge.wait_for("ready")
        with Wire.through(central.folder / "edge.sock") as client:
            frames = [frame(f"{number}", call(ADA, f"e-{number}"), {"n": number}) for number in range(50)]
            assert client.deliver(frames, window=20) == [str(number) for number in range(50)]
        totals = edge.stop()

    assert (totals["records_out"], totals["alerts"]) == (100, 1)
    arrived = [entry.record for entry in central.sink.entries]
    assert [record["n"] for record in arrived if "n" in record] == list(range(50))
    assert [record["eventID"] for record in arrived if "alerts" in record] == ["e-0"]


WRONG = {
    "key": (
        {"shared_key": '"another"'},
        "in the handshake: the server refuses: shared_key mismatch",
        "shared_key mismatch",
    ),
    "no-key": (
        {"shared_key": "", "username": "", "password": ""},
        "the server asks for a shared key, but none is set (output.shared_key)",
        None,
    ),
    "password": (
        {"password": '"guess"'},
        "in the handshake: the server refuses: username/password mismatch",
        "username/password mismatch",
    ),
    "no-certificate": (
        {"tls.cert": "", "tls.key": ""},
        "it may want a certificate that it trusts (output.tls.cert)",
        "no TLS: peer did not return a certificate",
    ),
    "stranger": (
        {"tls.cert": '"stranger.crt"', "tls.key": '"stranger.key"'},
        "it may want a certificate that it trusts (output.tls.cert)",
        "no TLS: certificate verify failed",
    ),
    "root": (
        {"tls.ca": '"clients.ca.pem"'},
        "its certificate cannot be verified: unable to get local issuer certificate (output.tls.ca)",
        None,
    ),
    "name": (
        {"tls.server_name": '"other.example.com"'},
        "Hostname mismatch, certificate is not valid for 'other.example.com' (output.tls.server_name)",
        None,
    ),
}
"""What is changed, what the agent at the edge says then, and what the central one does, if it hears of it."""


@pytest.mark.parametrize("which", WRONG)
def test_whatever_is_wrong_is_told_where_it_can_be_mended(central: Central, which: str) -> None:
    changed, here, there = WRONG[which]
    with AgentProcess(central.edge(which, **changed)) as edge:
        told = edge.wait_for("downstream_lost" if which == "no-key" else "downstream_unreachable")
        assert told["server"] == f"tls://localhost:{central.agent.port}"
        assert told["reason"].endswith(here)
        edge.stop()
    if there is not None:
        refused = [each for each in central.agent.events if each["event"] == "connection_refused"]
        assert any(each["reason"].startswith(there) and each["peer"].startswith("127.0.0.1:") for each in refused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_acks_under_tls_are_a_record_each(tmp_path: Path, version: ssl.TLSVersion) -> None:
    root = Authority(tmp_path, "root")
    pem = root.issue("127.0.0.1")
    extra = f'input: tls = {{cert = "{pem.cert}", key = "{pem.key}"}}'
    client = ssl.create_default_context(cafile=root.file)
    client.minimum_version = client.maximum_version = version
    with Sink() as sink:
        config = configure(tmp_path, sink.address, listen="tls://127.0.0.1:0", extra=extra)
        with AgentProcess(config) as agent, Wire.secured(agent.port, client, name="127.0.0.1") as wire:
            wire.send(b"".join(frame(f"{number}", {"n": number}) for number in range(40)))
            acks = [wire.socket.recv(1 << 16) for _ in range(40)]
    assert acks == [pack({"ack": str(number)}) for number in range(40)]


def test_a_server_may_be_named_by_its_address(tmp_path: Path) -> None:
    root = Authority(tmp_path, "root")
    pem = root.issue("127.0.0.1")
    server = f'input: tls = {{cert = "{pem.cert}", key = "{pem.key}"}}'
    with Sink() as sink:
        config = configure(tmp_path, sink.address, name="central", listen="tls://127.0.0.1:0", extra=server)
        with AgentProcess(config) as agent:
            tls = f'output: tls = {{ca = "{root.file}"}}'
            with (
                AgentProcess(configure(tmp_path, f"tls://127.0.0.1:{agent.port}", name="edge", extra=tls)) as edge,
                Source(edge.port) as client,
            ):
                client.send(frame("c", {"n": 1}))
                assert client.ack() == "c"


class NeverLettingGo:
    """A TLS server that acks one message on each connection, and answers no goodbye."""

    def __init__(self, pem: Pem) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*pem)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections: list[ssl.SSLSocket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the end of the test
            while True:
                connection = self._context.wrap_socket(self._listener.accept()[0], server_side=True)
                self.connections.append(connection)
                reader = KeepingReader(0)
                for got in reader.feed(memoryview(connection.recv(1 << 16))):
                    connection.sendall(pack({"ack": got.chunk}))

    def close(self) -> None:
        self._listener.close()
        for connection in self.connections:
            connection.close()


def test_a_server_that_answers_no_goodbye_holds_nobody_up(tmp_path: Path) -> None:
    root = Authority(tmp_path, "root")
    extra = f'output: tls = {{ca = "{root.file}"}}\noutput: connection_max_age = "10ms"'
    with contextlib.closing(NeverLettingGo(root.issue("localhost"))) as server:
        config = configure(tmp_path, f"tls://localhost:{server.port}", extra=extra)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            started = time.monotonic()
            for number in range(3):
                client.send(frame(f"{number}", {"n": number}))
                assert client.ack() == str(number)
            assert time.monotonic() - started < 15
        assert len(server.connections) >= 3


def test_who_looks_after_an_agent_needs_none_of_its_keys(tmp_path: Path) -> None:
    """They are in the environment of the service, and not in that of a shell or of cron."""
    with Sink() as sink:
        config = configure(tmp_path, sink.address, extra='input: shared_key = "${FIRSTSEEN_TEST_KEY}"')
        config.write_text(config.read_text().replace('[http]\nlisten = ""', f'[http]\nlisten = "unix:{tmp_path}/http"'))
        with AgentProcess(config, environment={"FIRSTSEEN_TEST_KEY": "the key"}) as agent:
            agent.wait_for("ready")
            for command in ("state stats", "state list", "state export", "rules list", "health", "top --once"):
                asked = [FIRSTSEEN, *command.split(), "-c", str(config)]
                done = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=60)
                assert (done.returncode, done.stderr) == (0, ""), command


def test_a_start_with_a_certificate_that_has_expired_says_so(tmp_path: Path) -> None:
    pem = Authority(tmp_path, "root").issue("localhost", not_after=datetime(2020, 1, 31, tzinfo=UTC))
    extra = f'input: tls = {{cert = "{pem.cert}", key = "{pem.key}"}}'
    with Sink() as sink:
        config = configure(tmp_path, sink.address, listen="tls://127.0.0.1:0", extra=extra)
        with AgentProcess(config) as agent:
            told = agent.wait_for("certificate_not_valid")
            agent.stop()
    assert (told["level"], told["setting"]) == ("warning", "input.tls.cert")
    assert told["reason"] == f"{pem.cert} has expired: it was valid until 2020-01-31T00:00:00Z"
