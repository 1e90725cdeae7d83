"""Against real servers: what is told is what they answer."""

from __future__ import annotations

import contextlib
import re
import signal
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firstseen.errors import StoreError
from firstseen.stateurl import StateUrl
from firstseen.store.redis import link as module
from firstseen.store.redis.access import Access
from firstseen.store.redis.link import AT_ONCE, ENTER, Link
from support.authority import Authority
from support.redis import RedisServer, free_port, new_prefix

pytestmark = pytest.mark.redis

NOTHING = Access()
ROOT = r"tls.ca under \[state\] has to hold the root of its certificate"


class Secured:
    """A server that speaks TLS beside plain, asks for certificates then, and knows the user ada."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder, "own")
        pem = authority.issue("127.0.0.1")
        client = authority.issue("agent.example.com")
        self.ca, self.cert, self.key = authority.file, client.cert, client.key
        self.other_ca = Authority(folder, "other").file
        self.tls_port = free_port()
        files = {"cert-file": pem.cert, "key-file": pem.key, "ca-cert-file": authority.file}
        settings = [part for name, file in files.items() for part in (f"--tls-{name}", str(file))]
        settings += ["--tls-port", str(self.tls_port), "--tls-auth-clients", "yes"]
        self.server = RedisServer(folder, *settings)
        self.server.call("ACL", "SETUSER", "ada", "on", ">p@ss word", "~own:*", "+get", "+set")

    def tls(self, **changed: Any) -> Access:
        return Access(**{"ca": self.ca, "cert": self.cert, "key": self.key, **changed})


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    made = Secured(tmp_path_factory.mktemp("secured"))
    yield made
    made.server.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """One that a test may do anything to."""
    with RedisServer(tmp_path) as made:
        yield made


def answer(url: str, access: Access = NOTHING, *command: str) -> Any:
    link = Link(StateUrl(url), access)
    try:
        return link.call(*(command or ("GET", "own:nothing")))
    finally:
        link.close()


def complaint(url: str, access: Access = NOTHING, *command: str) -> str:
    with pytest.raises(StoreError) as caught:
        answer(url, access, *command)
    return str(caught.value)


def test_tls_with_certificates_on_both_sides(secured: Secured) -> None:
    url = f"rediss://127.0.0.1:{secured.tls_port}"
    assert answer(url, secured.tls(), "SET", "own:a", "1") is True
    assert answer(url, secured.tls(), "GET", "own:a") == b"1"


def test_verification_can_be_turned_off(secured: Secured) -> None:
    unverified = secured.tls(ca=None, verify=False)
    assert answer(f"rediss://localhost:{secured.tls_port}", unverified) is None


@pytest.mark.parametrize(
    ("url", "changed", "advice"),
    [
        ("rediss://127.0.0.1:{tls}", {"ca": "other_ca"}, ROOT),
        ("rediss://127.0.0.1:{tls}", {"ca": None}, ROOT),
        ("rediss://localhost:{tls}", {}, "name it in state.url as its certificate does"),
        ("rediss://127.0.0.1:{tls}", {"cert": None, "key": None}, "for .*tls.cert and tls.key"),
        ("redis://127.0.0.1:{tls}", {}, "where it speaks TLS, state.url begins with rediss"),
    ],
)
def test_what_is_wrong_with_tls(secured: Secured, url: str, changed: dict[str, str | None], advice: str) -> None:
    url = url.format(tls=secured.tls_port)
    access = secured.tls(**{name: value and getattr(secured, value) for name, value in changed.items()})
    said = complaint(url, access)
    assert said.startswith(f"the state at {url} cannot be reached: ")
    assert re.search(rf"; .*{advice}$", said)


def test_tls_to_a_plain_server(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.1)  # it waits for the end of what it takes for a line
    said = complaint(f"rediss://127.0.0.1:{redis_server.port}")
    assert said.endswith("; nothing answers there, or not in what state.url begins with (rediss:// is TLS)")


def test_users_and_passwords(secured: Secured) -> None:
    at = f"127.0.0.1:{secured.server.port}"
    assert answer(f"redis://ada:p%40ss%20word@{at}") is None
    assert answer(f"redis://{at}", Access(username="ada", password=b"p@ss word")) is None
    assert answer(f"redis://bob:wrong@{at}", Access(username="ada", password=b"p@ss word")) is None


@pytest.mark.parametrize(
    ("user", "access"),
    [("ada:wr0ng", Access()), ("eve:p%40ss%20word", Access()), ("ada", Access(password=b"wr0ng"))],
)
def test_a_wrong_password_is_told_of_without_it(secured: Secured, user: str, access: Access) -> None:
    said = complaint(f"redis://{user}@127.0.0.1:{secured.server.port}", access)
    shown = user.partition(":")[0] + (":********" if ":" in user else "")
    assert said == (
        f"the state at redis://{shown}@127.0.0.1:{secured.server.port} cannot be reached: invalid username-password "
        "pair or user is disabled; look at username and password, under [state] or in its url"
    )


def test_no_password_where_one_is_needed(tmp_path: Path) -> None:
    with RedisServer(tmp_path, password="s3cret") as server:
        said = complaint(f"redis://127.0.0.1:{server.port}")
        assert said.endswith("Authentication required; look at username and password, under [state] or in its url")
        assert answer(str(server.url).replace("********", "s3cret")) is None


@pytest.mark.parametrize("command", [("HGET", "own:a", "f"), ("GET", "others:a")])
def test_what_a_user_may_not_do(secured: Secured, command: tuple[str, ...]) -> None:
    said = complaint(f"redis://ada:p%40ss%20word@127.0.0.1:{secured.server.port}", Access(), *command)
    assert "cannot be used: " in said
    assert said.endswith("; what its user must be allowed is in docs/state.md (ACL SETUSER)")


def test_answers_come_in_the_order_of_the_commands(redis_server: RedisServer) -> None:
    prefix, link = new_prefix(), redis_server.link()
    numbers = range(AT_ONCE + 10)
    assert link.together([]) == []
    assert link.together([("SET", prefix + b"%d" % number, number) for number in numbers]) == [True] * len(numbers)
    assert link.together([("GET", prefix + b"%d" % number) for number in numbers]) == [b"%d" % n for n in numbers]
    assert sorted(set(link.keys(prefix + b"*"))) == sorted(prefix + b"%d" % number for number in numbers)
    assert link.size() >= len(numbers)
    assert [told["maxmemory_policy"] for told in link.about("memory")] == ["noeviction"]
    link.close()


def test_after_it_was_closed_it_connects_again(redis_server: RedisServer) -> None:
    link = redis_server.link()
    link.close()
    link.close()
    assert link.call("GET", new_prefix()) is None
    link.close()


def test_a_server_that_forgot_its_scripts_learns_them_again(redis_server: RedisServer) -> None:
    prefix, link = new_prefix(), redis_server.link()
    redis_server.call("SCRIPT", "FLUSH")
    commands = [("SET", prefix + b"a", 1), ENTER.on(prefix + b"h", "f", "", "new"), ("GET", prefix + b"a")]
    assert link.together(commands) == [True, 1, b"1"]
    assert link.call("HGET", prefix + b"h", "f") == b"new"
    link.close()


def test_one_that_was_killed_is_used_again_when_it_is_back(server: RedisServer) -> None:
    link = server.link()
    assert link.call(*ENTER.on(b"h", "f", "", "new")) == 1
    server.kill()
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:\d+/0 cannot be reached: .*[Cc]onnect"):
        link.call("HGET", "h", "f")
    server.start()
    assert link.call(*ENTER.on(b"h", "f", "", "new")) == 1
    assert link.call("HGET", "h", "f") == b"new"
    link.close()


def test_a_full_one_says_what_to_do_and_takes_more_when_it_may(server: RedisServer) -> None:
    link = server.link()
    server.call("CONFIG", "SET", "maxmemory", 1)
    for command in (("SET", "a", "1"), ENTER.on(b"h", "f", "", "new")):
        with pytest.raises(StoreError) as caught:
            link.call(*command)
        assert "cannot be used: " in str(caught.value)
        assert str(caught.value).endswith(
            "it is full: give it a larger maxmemory, or forget terms (firstseen state forget)"
        )
    server.call("CONFIG", "SET", "maxmemory", 0)
    assert link.call(*ENTER.on(b"h", "f", "", "new")) == 1
    link.close()


def test_a_replica_is_no_place_for_a_state(server: RedisServer) -> None:
    server.call("REPLICAOF", "127.0.0.1", free_port())
    for command in (("SET", "a", "1"), ENTER.on(b"h", "f", "", "new")):
        said = complaint(str(server.url), Access(), *command)
        assert said.endswith("it is a replica: name the primary, or Sentinels (redis+sentinel://)")


def test_one_that_hangs_is_given_up_after_a_while(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.1)
    link = server.link()
    assert link.call("SET", "a", "1") is True
    server.signal(signal.SIGSTOP)
    with pytest.raises(StoreError, match="cannot be reached: Timeout"):
        link.call("GET", "a")
    server.signal(signal.SIGCONT)
    assert link.call("GET", "a") == b"1"
    link.close()


@contextlib.contextmanager
def saying(answer: bytes) -> Iterator[int]:
    """The port of something that says this to whatever is said to it."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(1_000):
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_one_that_reads_its_files() -> None:
    with saying(b"-LOADING Redis is loading the dataset in memory\r\n") as port:
        said = complaint(f"redis://127.0.0.1:{port}")
    assert said.endswith(
        "cannot be reached: Redis is loading the dataset in memory; it reads its files, and answers then"
    )


def test_something_else_that_listens_there() -> None:
    with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        said, said_in_tls = complaint(f"redis://127.0.0.1:{port}"), complaint(f"rediss://127.0.0.1:{port}")
    assert said.endswith("something else than Redis or Valkey seems to listen there")
    assert said_in_tls.endswith("it does not seem to speak TLS there: redis:// instead of rediss://")


def test_a_database_that_there_is_not(redis_server: RedisServer) -> None:
    said = complaint(f"redis://127.0.0.1:{redis_server.port}/99")
    assert said.endswith("name another database behind the / of state.url")


def test_no_cluster_and_no_sentinel(redis_server: RedisServer) -> None:
    said = complaint(f"redis+cluster://127.0.0.1:{redis_server.port}")
    assert said.endswith("it is no cluster: redis:// instead of redis+cluster://")
    said = complaint(f"redis+sentinel://127.0.0.1:{redis_server.port}/main")
    assert said.endswith("it is no Sentinel: redis:// instead of redis+sentinel://")


def silence(link: Link, since_s: float) -> StoreError | None:
    """What is wrong as soon as it was not heard for a moment."""
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s:
        if (told := link.silence(since_s, 0.01)) is not None:
            return told
    return None


def test_a_server_that_answered_lately_is_not_silent(server: RedisServer) -> None:
    link = server.link()
    long_ago_s = time.monotonic() - 100
    link.call("PING")
    server.signal(signal.SIGSTOP)
    assert link.silence(long_ago_s, 50) is None
    assert "it does not answer" in str(silence(link, long_ago_s))
    server.signal(signal.SIGCONT)
    link.close()


def test_a_server_that_answers_on_a_new_connection_is_not_silent(server: RedisServer) -> None:
    """It was the connection that was lost without a word."""
    link = server.link()
    long_ago_s = time.monotonic() - 100
    assert link.silence(long_ago_s, 5) is None
    server.signal(signal.SIGSTOP)
    assert link.silence(long_ago_s, 5) is None  # it has just been heard
    assert "it does not answer" in str(silence(link, long_ago_s))
    server.signal(signal.SIGCONT)
    link.close()
