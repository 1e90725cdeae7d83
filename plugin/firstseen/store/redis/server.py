"""One server: a single one, or the primary that Sentinels name at the moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from firstseen.stateurl import HostPort, StateUrl
from firstseen.store.redis.access import Access

SCAN = 1_000
"""Keys that a server looks at before it serves others."""

Command = Sequence[bytes | str | int]


def keys_of(command: Command) -> Sequence[bytes | str | int]:
    """Those that a command is on: behind the script, its digest and their number, or the one behind the name."""
    return command[3 : 3 + int(command[2])] if command[0] == "EVALSHA" else command[1:2]


class OneServer:
    """Connections to it. Everything raises what redis-py does, or `OSError`."""

    hosts: Sequence[HostPort] = ()
    """Nothing that the address does not say."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def together(self, commands: Sequence[Command]) -> list[Any]:
        """The answer to each, or the error with which the server answered."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return pipeline.execute(raise_on_error=False)

    def load(self, script: bytes) -> None:
        """Have it know this script."""
        self._client.execute_command("SCRIPT LOAD", script)

    def keys(self, pattern: bytes) -> Iterator[bytes]:
        """Those that fit."""
        yield from self._client.scan_iter(match=pattern, count=SCAN)

    def about(self, section: str) -> list[Mapping[str, Any]]:
        """What it says of itself."""
        told: Mapping[str, Any] = self._client.info(section)
        return [told]

    def size(self) -> int:
        """How many keys there are."""
        size: int = self._client.dbsize()
        return size

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def single(url: StateUrl, options: Mapping[str, Any]) -> OneServer:
    """The one in ``url``."""
    (host, port), *_ = url.hosts
    return OneServer(redis.Redis(host=host, port=port, db=url.database, retry=_once_more(), **options))


def primary(url: StateUrl, access: Access, options: Mapping[str, Any]) -> OneServer:
    """The one that the Sentinels in ``url`` name, asked anew for each connection."""
    # Sentinels have users of their own: a server's password is not for them.
    own = {
        "username": access.sentinel_username or None,
        "password": access.sentinel_password,
        "retry": Retry(NoBackoff(), 0),  # there are others to ask
    }
    sentinels = _Sentinels(list(url.hosts), sentinel_kwargs={**options, **own}, retry=_once_more(), **options)
    return OneServer(sentinels.master_for(url.service, db=url.database))


class _Sentinels(Sentinel):
    """Tells what each of them said; of that redis-py tells no more than the classes of errors."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Where the primary is. Raises `MasterNotFoundError`."""
        said = []
        for place, sentinel in enumerate(self.sentinels):
            at = sentinel.connection_pool.connection_kwargs
            try:
                watched: Any = sentinel.sentinel_masters()
            except RedisError as error:
                said.append(f"{at['host']}:{at['port']} cannot be asked: {error}")
                continue
            state = watched.get(service_name)
            if state and self.check_master_state(state, service_name):
                self.sentinels[0], self.sentinels[place] = sentinel, self.sentinels[0]
                return state["ip"], int(state["port"])
            said.append(f"{at['host']}:{at['port']} {'takes it for down' if state else 'does not know it'}")
        raise MasterNotFoundError(f"no Sentinel names a primary for {service_name} ({', '.join(said)})")


def _once_more() -> Retry:
    """A connection that was idle for long may be found broken only when it is used."""
    return Retry(NoBackoff(), 1)
