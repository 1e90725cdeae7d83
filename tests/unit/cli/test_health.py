import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firstseen.cli import main
from firstseen.net.tls import server_context
from support.authority import Authority

READY = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nready\n"
UNREADY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\nno_rules\n"


class Agent:
    """Answers one request with ``answer``; `request` is what it was asked, once `asked` has returned."""

    def __init__(self, listening: socket.socket, answer: bytes, tls: ssl.SSLContext | None = None) -> None:
        self._listening, self._answer, self._tls = listening, answer, tls
        self.request = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as peer:
            while b"\r\n\r\n" not in self.request:
                self.request += peer.recv(4096)
            peer.sendall(self._answer)

    def asked(self) -> list[bytes]:
        self._thread.join(60.0)
        return self.request.split(b"\r\n")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def port(listening: socket.socket) -> int:
    number: int = listening.getsockname()[1]
    return number


def health(folder: Path, listen: str, *arguments: str, more: str = "") -> Result:
    file = folder / "firstseen.toml"
    file.write_text(f'[http]\nlisten = "{listen}"\n{more}')
    return CliRunner().invoke(main, ["health", "-c", str(file), *arguments])


def test_ready(tmp_path: Path, listening: socket.socket) -> None:
    agent = Agent(listening, READY)
    result = health(tmp_path, f"127.0.0.1:{port(listening)}")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "ready\n", "")
    assert agent.asked()[0] == b"GET /readyz HTTP/1.1"
    assert b"Host: localhost" in agent.asked()


def test_not_ready(tmp_path: Path, listening: socket.socket) -> None:
    Agent(listening, UNREADY)
    result = health(tmp_path, f"127.0.0.1:{port(listening)}")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "no_rules\n")


def test_alive(tmp_path: Path, listening: socket.socket) -> None:
    agent = Agent(listening, READY)
    assert health(tmp_path, f"127.0.0.1:{port(listening)}", "--live").exit_code == 0
    assert agent.asked()[0] == b"GET /livez HTTP/1.1"


def test_one_that_listens_on_all_addresses_is_asked_on_this_machine(tmp_path: Path, listening: socket.socket) -> None:
    Agent(listening, READY)
    result = health(tmp_path, f"0.0.0.0:{port(listening)}", more='token = "correct horse battery"\n')
    assert result.exit_code == 0


def test_who_knows_the_token_is_told_why(tmp_path: Path, listening: socket.socket) -> None:
    agent = Agent(listening, UNREADY)
    result = health(tmp_path, f"127.0.0.1:{port(listening)}", more='token = "correct horse battery"\n')
    assert result.stderr == "no_rules\n"
    assert b"Authorization: Bearer correct horse battery" in agent.asked()


def test_a_unix_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        agent = Agent(listening, READY)
        assert health(tmp_path, f"unix:{tmp_path}/socket").exit_code == 0
        assert b"Host: localhost" in agent.asked()


@pytest.mark.parametrize("certificates_are_asked_for", [False, True])
def test_under_tls(tmp_path: Path, listening: socket.socket, certificates_are_asked_for: bool) -> None:
    root = Authority(tmp_path, "root")
    pem = root.issue("collector.example.com")
    ca = root.file if certificates_are_asked_for else None
    Agent(listening, READY, server_context(pem.cert, pem.key, ca))
    more = f'tls.cert = "{pem.cert}"\ntls.key = "{pem.key}"\n' + (f'tls.client_ca = "{ca}"\n' if ca else "")
    result = health(tmp_path, f"tls://127.0.0.1:{port(listening)}", more=more)
    assert (result.exit_code, result.output) == (0, "ready\n")


def test_a_stranger_under_tls_is_asked_without_the_token(tmp_path: Path, listening: socket.socket) -> None:
    """As an agent is whose certificate was renewed since it read it: it is as ready as before."""
    root = Authority(tmp_path, "root")
    pem, other = root.issue("new.example.com"), root.issue("old.example.com")
    hung_up, asked = [], []

    def serve() -> None:
        context = server_context(other.cert, other.key, None)
        for _ in range(2):
            connection, _ = listening.accept()
            with context.wrap_socket(connection, server_side=True) as peer:
                request = peer.recv(4096)
                (asked if request else hung_up).append(request)
                if request:
                    peer.sendall(READY)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    more = f'token = "correct horse battery"\ntls.cert = "{pem.cert}"\ntls.key = "{pem.key}"\n'
    result = health(tmp_path, f"tls://127.0.0.1:{port(listening)}", more=more)
    thread.join(60.0)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "ready\n", "")
    assert (hung_up, len(asked)) == ([b""], 1)
    assert b"Authorization" not in asked[0]


def test_nobody_there(tmp_path: Path, listening: socket.socket) -> None:
    number = port(listening)
    listening.close()
    result = health(tmp_path, f"127.0.0.1:{number}")
    assert result.exit_code == 1
    assert result.stderr == (
        f"firstseen: no answer from 127.0.0.1:{number} (http.listen): [Errno 111] Connection refused\n"
    )


def test_somebody_who_does_not_answer(tmp_path: Path, listening: socket.socket) -> None:
    result = health(tmp_path, f"127.0.0.1:{port(listening)}", "--timeout", "0.1")
    assert result.exit_code == 1
    assert "timed out" in result.stderr


def test_somebody_who_speaks_something_else(tmp_path: Path, listening: socket.socket) -> None:
    Agent(listening, b"220 mail.example.com ESMTP\r\n")
    result = health(tmp_path, f"127.0.0.1:{port(listening)}")
    assert result.exit_code == 1
    assert "no answer from" in result.stderr


@pytest.mark.parametrize(("listen", "why"), [("", 'http.listen is ""'), ("127.0.0.1:0", "another one at each start")])
def test_nothing_to_ask(tmp_path: Path, listen: str, why: str) -> None:
    result = health(tmp_path, listen)
    assert result.exit_code == 1
    assert why in result.stderr


def test_a_configuration_that_is_wrong(tmp_path: Path) -> None:
    assert health(tmp_path, "nowhere").exit_code == 78


ELSEWHERE = [
    '[input]\nshared_key = "${FIRSTSEEN_TEST_KEY}"\n',
    '[input]\nshared_key_file = "gone"\n',
    "[output]\nserver = 5\n",
    "[xyzzy]\n",
]


@pytest.mark.parametrize("arguments", [[], ["--live"]], ids=str)
@pytest.mark.parametrize("more", ELSEWHERE)
def test_what_is_wrong_elsewhere_in_the_file_says_nothing_of_the_agent(
    tmp_path: Path, listening: socket.socket, more: str, arguments: list[str]
) -> None:
    Agent(listening, READY)
    result = health(tmp_path, f"127.0.0.1:{port(listening)}", *arguments, more=more)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "ready\n", "")


@pytest.mark.parametrize("token", ["short", "${FIRSTSEEN_TEST_KEY}"])
def test_whether_it_lives_is_asked_without_the_token(tmp_path: Path, listening: socket.socket, token: str) -> None:
    Agent(listening, READY)
    more = f'token = "{token}"\n[input]\nshared_key = "${{FIRSTSEEN_TEST_KEY}}"\n'
    refused = health(tmp_path, f"127.0.0.1:{port(listening)}", more=more)
    assert (refused.exit_code, "http.token: " in refused.stderr) == (78, True)
    assert "input.shared_key" not in refused.stderr
    assert health(tmp_path, f"127.0.0.1:{port(listening)}", "--live", more=more).exit_code == 0


@pytest.mark.parametrize("text", ["[http\n", '[htpp]\nlisten = "127.0.0.1:1"\n', "http = 5\n"])
def test_a_file_that_does_not_say_where_the_agent_listens(tmp_path: Path, text: str) -> None:
    file = tmp_path / "firstseen.toml"
    file.write_text(text)
    result = CliRunner().invoke(main, ["health", "--live", "-c", str(file)])
    assert (result.exit_code, result.stderr.startswith(f"{file}:1: ")) == (78, True)
