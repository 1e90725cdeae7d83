"""The way to the servers: connections as the address says, commands sent together, and what goes wrong in words."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha1
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from firstseen.errors import StoreError
from firstseen.stateurl import HostPort, StateUrl
from firstseen.store.redis.access import Access
from firstseen.store.redis.cluster import Cluster, cluster
from firstseen.store.redis.faults import is_gone, told, told_of_key
from firstseen.store.redis.server import OneServer, keys_of, primary, single

TIMEOUT_S = 5.0
"""For connecting, and for an answer."""

AT_ONCE = 1_000
"""Commands sent before their answers are read: each waits in memory on both ends."""

Part = bytes | str | int


class Script:
    """One of the scripts beside this module, as a command on one key."""

    def __init__(self, name: str) -> None:
        self.source = resources.files(__package__).joinpath(f"{name}.lua").read_bytes()
        self._digest = sha1(self.source, usedforsecurity=False).hexdigest()

    def on(self, key: bytes, *arguments: Part) -> tuple[Part, ...]:
        """The command."""
        return self.across([key], *arguments)

    def across(self, keys: Sequence[bytes], *arguments: Part) -> tuple[Part, ...]:
        """The command on several keys, which one server has to hold: see `Link.is_divided`."""
        return ("EVALSHA", self._digest, len(keys), *keys, *arguments)


_SCRIPTS = [
    Script(name) for name in ("claim", "note", "free", "remember", "swap", "register", "enter", "fold", "prolong")
]
CLAIM, NOTE, FREE, REMEMBER, SWAP, REGISTER, ENTER, FOLD, PROLONG = _SCRIPTS


class Link:
    """Connections to what ``url`` names, made when they are needed and made again when they break. For any thread.

    Everything raises `StoreError`, also where the server answers that it cannot.
    """

    def __init__(self, url: StateUrl, access: Access) -> None:
        self._url = url
        self._access = access
        self._lock = threading.Lock()
        self._made: OneServer | Cluster | None = None
        self._heard_s = 0.0
        self._known: Sequence[HostPort] = ()  # a cluster's servers, of which the address may name only one

    @property
    def is_divided(self) -> bool:
        """Whether keys lie on several servers, so that one command reaches no two of them for sure."""
        return self._url.kind == "cluster"

    def call(self, *command: Part) -> Any:
        """One command, and its answer."""
        return self.together([command])[0]

    def together(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """These commands, each done or not, and their answers; all of them are sent before the first is waited for.

        Those on one key are done in order. What fails may have been done, some of it or all.
        """
        answers = self.each(commands)
        for answer in answers:
            if isinstance(answer, StoreError):
                raise answer
        return answers

    def each(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """The same, with a `StoreError` for the answer where a command fails for what lies under its key."""
        answers: list[Any] = []
        for start in range(0, len(commands), AT_ONCE):
            answers += self._sent(commands[start : start + AT_ONCE])
        return answers

    def keys(self, pattern: bytes) -> Iterator[bytes]:
        """All keys that fit, in no order; those that come or go meanwhile are among them or not, some twice."""
        with self._used() as servers:
            yield from servers.keys(pattern)

    def about(self, section: str) -> list[Mapping[str, Any]]:
        """What each server that holds a part of the state says of itself."""
        with self._used() as servers:
            return servers.about(section)

    def size(self) -> int:
        """How many keys there are in the database, with those that are not of this state."""
        with self._used() as servers:
            return servers.size()

    def silence(self, since_s: float, for_s: float) -> StoreError | None:
        """What is wrong where nothing was answered for so long, though it was asked ``since_s`` (`time.monotonic`).

        A connection may be lost without a word, and the server be well: a new one is tried before.
        """
        if time.monotonic() - max(since_s, self._heard_s) < for_s:
            return None
        if self._answers_anew(for_s / 2):
            self._heard_s = time.monotonic()
            return None
        return StoreError(f"the state at {self._url} cannot be reached: it does not answer")

    def _answers_anew(self, within_s: float) -> bool:
        """Whether it does on a new connection; each attempt may take so long."""
        try:
            with contextlib.closing(self._connected(within_s)) as servers:
                servers.size()
        except (RedisError, RedisClusterException, OSError):
            return False
        return True

    def close(self) -> None:
        """Close the connections. Nobody else may be using them."""
        with self._lock:
            if self._made is not None:
                with contextlib.suppress(RedisError, OSError):
                    self._made.close()
                self._made = None

    def _let_go(self, servers: OneServer | Cluster | None) -> None:
        """Connect anew from now on. Another thread may be using what there is: it is closed when nobody does."""
        with self._lock:
            if servers is not None and self._made is servers:
                self._known = servers.hosts
                self._made = None

    def _sent(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        with self._used() as servers:
            answers = servers.together(commands)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                # Servers forget scripts when they start, and one that takes over may not know them yet.
                for script in _SCRIPTS:
                    servers.load(script.source)
                answers = servers.together(commands)
            for place, answer in enumerate(answers):
                if isinstance(answer, Exception):
                    answers[place] = told_of_key(self._url, answer, keys_of(commands[place]))
                    if answers[place] is None:
                        raise answer
        self._heard_s = time.monotonic()
        return answers

    @contextlib.contextmanager
    def _used(self) -> Iterator[OneServer | Cluster]:
        servers = None
        try:
            servers = self._servers()
            yield servers
        except (RedisError, RedisClusterException, OSError) as error:
            if is_gone(error):
                self._let_go(servers)
            raise told(self._url, error) from error

    def _servers(self) -> OneServer | Cluster:
        with self._lock:
            if self._made is None:
                self._made = self._connected()
            return self._made

    def _connected(self, timeout_s: float | None = None) -> OneServer | Cluster:
        options = self._options(TIMEOUT_S if timeout_s is None else timeout_s)
        match self._url.kind:
            case "single":
                return single(self._url, options)
            case "sentinel":
                return primary(self._url, self._access, options)
            case "cluster":
                return cluster(self._url, self._known, options)

    def _options(self, timeout_s: float) -> dict[str, Any]:
        url, access = self._url, self._access
        options: dict[str, Any] = {
            "username": access.username or url.username,
            "password": access.password if access.password is not None else url.password,
            "protocol": 2,
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "socket_keepalive": True,
        }
        if url.tls:
            options |= {
                "ssl": True,
                "ssl_ca_certs": access.ca and str(access.ca),
                "ssl_certfile": access.cert and str(access.cert),
                "ssl_keyfile": access.key and str(access.key),
                "ssl_cert_reqs": "required" if access.verify else "none",
                "ssl_check_hostname": access.verify,
            }
        return options
