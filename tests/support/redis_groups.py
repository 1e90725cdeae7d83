"""Several real Redis servers that hold one state: a primary that Sentinels watch, and a cluster."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from firstseen.errors import StoreError
from firstseen.stateurl import StateUrl
from firstseen.store.redis.access import Access
from firstseen.store.redis.link import Link
from support.redis import SERVER, TIMEOUT_S, RedisServer, free_port

SLOTS = 16_384
DOWN_AFTER_MS = 500
"""A server that is silent for this long is down."""


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for it."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, f"waited for {TIMEOUT_S} s: {what}"
        time.sleep(0.02)


def folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


class Group(ABC):
    """Several servers, all of which end with it, and where one of them does not start."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.servers: list[RedisServer] = []
        with ExitStack() as undo:
            undo.callback(self._stack.close)
            self._begin()
            undo.pop_all()

    @abstractmethod
    def _begin(self) -> None:
        """Start them."""

    def start(self, folder: Path, *settings: str, password: str = "") -> RedisServer:
        """One more."""
        server = self._stack.enter_context(RedisServer(folder, *settings, password=password))
        self.servers.append(server)
        return server

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stack.close()


class Watched(Group):
    """A primary and a replica with ``password``, and three Sentinels, which ask for ``sentinel_password``."""

    def __init__(self, parent: Path, password: str = "", sentinel_password: str = "") -> None:
        self._parent, self._password, self._sentinel_password = parent, password, sentinel_password
        self._access = Access(sentinel_password=sentinel_password.encode() or None)
        super().__init__()

    def _begin(self) -> None:
        parent, password, sentinel_password = self._parent, self._password, self._sentinel_password
        secured = ["--masterauth", password] if password else []
        self.primary = self.start(folder(parent, "primary"), *secured, password=password)
        replica_of = ["--replicaof", f"127.0.0.1 {self.primary.port}", "--repl-diskless-sync-delay", "0"]
        self.replica = self.start(folder(parent, "replica"), *secured, *replica_of, password=password)
        self._ports = [free_port() for _ in range(3)]
        for number, port in enumerate(self._ports):
            own = f"requirepass {sentinel_password}\n" if sentinel_password else ""
            own += f"sentinel auth-pass main {password}\n" if password else ""
            self._watch(folder(parent, f"sentinel{number}"), port, own)
        user = f":{password}@" if password else ""
        places = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        self.url = StateUrl(f"redis+sentinel://{user}{places}/main")
        for port in self._ports:
            until(lambda port=port: self._is_ready(port), "the Sentinels know each other and the replica")

    def _watch(self, folder: Path, port: int, more: str) -> None:
        assert SERVER is not None
        file = folder / "sentinel.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor main 127.0.0.1 {self.primary.port} 2\n"
            f"sentinel down-after-milliseconds main {DOWN_AFTER_MS}\nsentinel failover-timeout main 3000\n{more}"
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([SERVER, str(file), "--sentinel"], stdout=log, stderr=log)
        self._stack.callback(process.wait, TIMEOUT_S)
        self._stack.callback(process.kill)

    def asked(self, port: int, *command: str) -> Any:
        """What the Sentinel at ``port`` answers."""
        password = (self._access.sentinel_password or b"").decode()
        link = Link(StateUrl(f"redis://{f':{password}@' if password else ''}127.0.0.1:{port}"), Access())
        try:
            return link.call(*command)
        finally:
            link.close()

    def _is_ready(self, port: int) -> bool:
        try:
            self.asked(port, "SENTINEL CKQUORUM", "main")
            return len(self.asked(port, "SENTINEL SENTINELS", "main")) == len(self._ports) - 1 and bool(
                self.asked(port, "SENTINEL REPLICAS", "main")
            )
        except StoreError:
            return False

    def link(self) -> Link:
        """A way to the primary, by the Sentinels."""
        return Link(self.url, self._access)

    def is_replicated(self) -> bool:
        """Whether the replica has all that was written to the primary so far."""
        told: Any = self.primary.call("INFO", "replication")
        return bool(told["slave0"]["offset"] == told["master_repl_offset"])


class ClusterOfServers(Group):
    """Three primaries, each with a third of the slots."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._buses: dict[RedisServer, int] = {}
        super().__init__()

    def _begin(self) -> None:
        for _ in range(3):
            self.add()
        edges = [SLOTS * number // 3 for number in range(4)]
        for server, first, beyond in zip(self.servers, edges, edges[1:], strict=False):
            server.call("CLUSTER ADDSLOTSRANGE", first, beyond - 1)
        for server in self.servers[1:]:
            self.meet(server)
        self.settle()

    @property
    def url(self) -> StateUrl:
        """That of one of them: it names the others."""
        return StateUrl(f"redis+cluster://127.0.0.1:{self.servers[0].port}")

    def add(self) -> RedisServer:
        """One more, which has no slots and knows nobody."""
        bus = free_port()
        number = len(self.servers)
        server = self.start(
            folder(self._parent, f"node{number}"),
            *("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "2000"),
        )
        server.call("CLUSTER SET-CONFIG-EPOCH", number + 1)
        self._buses[server] = bus
        return server

    def meet(self, server: RedisServer) -> None:
        """It becomes one of them."""
        first = self.servers[0]
        server.call("CLUSTER MEET", "127.0.0.1", first.port, self._buses[first])

    def settle(self) -> None:
        """Wait until they all know each other and have all slots."""
        until(lambda: all(self._is_well(server) for server in self.servers), "the cluster is well")

    def _is_well(self, server: RedisServer) -> bool:
        told: Any = server.call("CLUSTER INFO")
        said = told if isinstance(told, dict) else dict(line.split(":") for line in told.decode().split("\r\n") if line)
        return said["cluster_state"] == "ok" and int(said["cluster_known_nodes"]) == len(self.servers)

    def id_of(self, server: RedisServer) -> str:
        told: Any = server.call("CLUSTER MYID")
        return told.decode() if isinstance(told, bytes) else str(told)

    def owner(self, slot: int) -> RedisServer:
        """Who has this slot, as the first server knows."""
        told: Any = self.servers[0].call("CLUSTER SLOTS")
        rows = told if isinstance(told, list) else [[*slots, [*at["primary"]]] for slots, at in told.items()]
        port = next(int(row[2][1]) for row in rows if int(row[0]) <= slot <= int(row[1]))
        return next(server for server in self.servers if server.port == port)

    def link(self) -> Link:
        """A way to all of them."""
        return Link(self.url, Access())
