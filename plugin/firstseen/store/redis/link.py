"""The way to the servers: connections as the address says, commands sent together, and what goes wrong in words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha1
from importlib import resources
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from firstseen.errors import StoreError
from firstseen.stateurl import StateUrl
from firstseen.store.redis.access import Access

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
        return ("EVALSHA", self._digest, 1, key, *arguments)


_SCRIPTS = [Script(name) for name in ("claim", "note", "free", "remember", "swap", "register", "enter")]
CLAIM, NOTE, FREE, REMEMBER, SWAP, REGISTER, ENTER = _SCRIPTS


class Link:
    """Connections to what ``url`` names, made when they are needed and made again when they break. For any thread.

    Everything raises `StoreError`, also where the server answers that it cannot.
    """

    def __init__(self, url: StateUrl, access: Access) -> None:
        self._url = url
        self._access = access
        self._made: Any = None

    def call(self, *command: Part) -> Any:
        """One command, and its answer."""
        return self.together([command])[0]

    def together(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """These commands, each done or not, and their answers; all of them are sent before the first is waited for.

        What fails may have been done, some of it or all.
        """
        answers: list[Any] = []
        for start in range(0, len(commands), AT_ONCE):
            answers += self._sent(commands[start : start + AT_ONCE])
        return answers

    def keys(self, pattern: bytes) -> Iterator[bytes]:
        """All keys that fit, in no order; those that come or go meanwhile are among them or not, some twice."""
        with self._told():
            yield from self._client().scan_iter(match=pattern, count=1_000)

    def about(self, section: str) -> list[Mapping[str, Any]]:
        """What each server that holds a part of the state says of itself."""
        with self._told():
            client = self._client()
            if isinstance(client, RedisCluster):
                told: Mapping[str, Mapping[str, Any]] = client.info(section, target_nodes=RedisCluster.PRIMARIES)
                return list(told.values()) if "used_memory" not in told else [told]
            return [client.info(section)]

    def size(self) -> int:
        """How many keys there are in the database, with those that are not of this state."""
        with self._told():
            size: int = self._client().dbsize()
        return size

    def close(self) -> None:
        """Let go of the connections."""
        if self._made is not None:
            with contextlib.suppress(RedisError, OSError):
                self._made.close()

    def _sent(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        with self._told():
            client = self._client()
            answers = self._executed(client, commands)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                self._load(client)
                answers = self._executed(client, commands)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    def _executed(self, client: Any, commands: Sequence[Sequence[Part]]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers

    def _load(self, client: Any) -> None:
        """On every server: they forget scripts when they start, and one that takes over may not know them yet."""
        for script in _SCRIPTS:
            if isinstance(client, RedisCluster):
                client.execute_command("SCRIPT LOAD", script.source, target_nodes=RedisCluster.PRIMARIES)
            else:
                client.execute_command("SCRIPT LOAD", script.source)

    def _client(self) -> Any:
        if self._made is None:
            self._made = _KINDS[self._url.kind](self._url, self._options())
        return self._made

    def _options(self) -> dict[str, Any]:
        url, access = self._url, self._access
        options: dict[str, Any] = {
            "username": access.username or url.username,
            "password": access.password if access.password is not None else url.password,
            "socket_timeout": TIMEOUT_S,
            "socket_connect_timeout": TIMEOUT_S,
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

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ResponseError as error:
            raise StoreError(f"the state at {self._url} cannot be used: {error}{_advice(error)}") from error
        except (RedisError, RedisClusterException, OSError) as error:
            self.close()
            self._made = None  # a cluster or a Sentinel may have other servers to name by now
            raise StoreError(f"the state at {self._url} cannot be reached: {error or repr(error)}") from error


def _single(url: StateUrl, options: dict[str, Any]) -> Any:
    (host, port), *_ = url.hosts
    return redis.Redis(host=host, port=port, db=url.database, retry=Retry(NoBackoff(), 1), **options)


def _sentinel(url: StateUrl, options: dict[str, Any]) -> Any:
    # Sentinels have users and passwords of their own, if any: the server's are not for them.
    asking = {name: value for name, value in options.items() if name not in ("username", "password")}
    sentinels = Sentinel(list(url.hosts), sentinel_kwargs=asking, retry=Retry(NoBackoff(), 1), **options)
    return sentinels.master_for(url.service, db=url.database)


def _cluster(url: StateUrl, options: dict[str, Any]) -> Any:
    return RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in url.hosts], **options)


_KINDS: Mapping[str, Callable[[StateUrl, dict[str, Any]], Any]] = {
    "single": _single,
    "sentinel": _sentinel,
    "cluster": _cluster,
}


def _advice(error: ResponseError) -> str:
    """What the operator can do about what the server answered."""
    said = str(error)
    if "OOM" in said or "maxmemory" in said:
        return "; it is full: give it a larger maxmemory, or forget something (`firstseen state forget`)"
    if "NOAUTH" in said or "WRONGPASS" in said or "NOPERM" in said:
        return "; look at [state] username and password, and at what the server lets this user do"
    if "READONLY" in said:
        return "; it is a replica: name the primary, or Sentinels (redis+sentinel://)"
    if "MISCONF" in said:
        return "; it cannot write its own files"
    return ""
