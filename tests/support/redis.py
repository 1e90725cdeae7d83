"""A real Redis server for tests: started, killed, and started again over what it had written."""

from __future__ import annotations

import itertools
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from firstseen.errors import StoreError
from firstseen.stateurl import StateUrl
from firstseen.store.base import Claim, Wanted
from firstseen.store.redis.access import Access
from firstseen.store.redis.link import Link
from firstseen.store.redis.owner import Owner
from firstseen.store.redis.store import RedisStore

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
LEASE_MS = 30_000
TIMEOUT_S = 30.0

_numbers = itertools.count()


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class RedisServer:
    """``redis-server`` in a folder; each write is on the disk before its answer. As a context manager it ends."""

    def __init__(self, folder: Path, *arguments: str, port: int | None = None, password: str = "") -> None:
        self.folder = folder
        self.password = password
        if password:
            arguments = ("--requirepass", password, *arguments)
        self.port = free_port() if port is None else port
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> StateUrl:
        user = f":{self.password}@" if self.password else ""
        return StateUrl(f"redis://{user}127.0.0.1:{self.port}/0")

    def start(self) -> None:
        """Start it, over what an earlier one has left."""
        assert SERVER is not None
        command = [SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning", *self._arguments]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(b"PING\r\n")
                    answer = connection.recv(100)
                    if answer.startswith((b"+PONG", b"-NOAUTH")):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError((self.folder / "log").read_text())

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP has it hang, SIGCONT go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()  # also where it is stopped
            self._process.wait(TIMEOUT_S)
            self._process = None

    def link(self) -> Link:
        """A way to it."""
        return Link(self.url, Access())

    def call(self, *command: bytes | str | int) -> object:
        """One command to it."""
        link = self.link()
        try:
            return link.call(*command)
        finally:
            link.close()

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.kill()


def new_prefix() -> bytes:
    """One that no other test has."""
    return b"test%d:" % next(_numbers)


class Servers(Protocol):
    """One, or several that hold a state together."""

    def link(self) -> Link:
        """A way to them."""


class Fleet:
    """A state on ``server`` under a prefix of its own, and the agents that were opened on it."""

    def __init__(
        self,
        server: Servers,
        folder: Path,
        lease_ms: int = LEASE_MS,
        trouble: Callable[[StoreError | None], None] = lambda _: None,
    ) -> None:
        self.server = server
        self._folder = folder
        self.prefix = new_prefix()
        self._lease_ms = lease_ms
        self._trouble = trouble
        self.opened: list[RedisStore] = []

    def agent(self, name: str = "a") -> RedisStore:
        """One more, or one again."""
        owner = Owner.take(self._folder / name)
        store = RedisStore(self.server.link(), self.prefix, owner, self._lease_ms, self._trouble)
        store.begin()
        self.opened.append(store)
        return store

    def kill(self, store: RedisStore) -> None:
        """It gives nothing back."""
        self.opened.remove(store)
        store._courier.close()
        store._link.close()
        store._owner.release()

    def close(self) -> None:
        for store in self.opened:
            store.close()


def claim_all(store: RedisStore, wanted: Sequence[Wanted]) -> list[Claim]:
    """Reserve these, wait for that, and claim them."""
    reservation = store.reservation()
    for each in wanted:
        reservation.add(each)
    try:
        reservation.ask().result(TIMEOUT_S)
        return [store.claim(*each) for each in wanted]
    finally:
        reservation.end()
