"""A cluster: each command goes to the server that has its key, to all servers before the first answer is waited for.

redis-py's pipelines do that too. But where a server does not answer they go on with each of its commands alone, and
wait for each; and while keys move to a server that has no slots yet, they do not find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import AskError, ClusterError, MovedError, ResponseError

from firstseen.stateurl import HostPort, StateUrl
from firstseen.store.redis.server import SCAN, Command, keys_of

MOST_REDIRECTS = 5
"""How often one command is sent on before something is wrong with the cluster."""


class _Sending(NamedTuple):
    """A command on its way, by its place among all; to ``node`` where another server named that."""

    place: int
    command: Command
    node: ClusterNode | None = None
    asking: bool = False


class Cluster:
    """Connections to its primaries. Everything raises what redis-py does, or `OSError`.

    Of two commands on one key the first is done first.
    """

    def __init__(self, client: RedisCluster) -> None:
        self._client = client
        self._newcomers: dict[HostPort, ClusterNode] = {}  # keys move there, and it has no slots yet

    @property
    def hosts(self) -> Sequence[HostPort]:
        """All its servers, as far as they are known."""
        return [HostPort(node.host, node.port) for node in self._client.get_nodes()]

    def together(self, commands: Sequence[Command]) -> list[Any]:
        """The answer to each, or the error with which a server answered."""
        answers: list[Any] = [None] * len(commands)
        left = [_Sending(place, command) for place, command in enumerate(commands)]
        for _ in range(MOST_REDIRECTS):
            again: list[_Sending] = []
            moved = False
            for node, sending, answer in self._exchanged(left):
                if isinstance(answer, AskError):  # which a `MovedError` is as well
                    is_moved = isinstance(answer, MovedError)
                    to = self._node(answer.host or node.host, answer.port)
                    again.append(_Sending(sending.place, sending.command, to, asking=not is_moved))
                    moved = moved or is_moved
                else:
                    answers[sending.place] = answer
            if moved:
                self._client.nodes_manager.initialize()
            if not again:
                return answers
            left = sorted(again)
        raise ClusterError(f"its servers send a command from one to the other, the last time to {left[0].node}")

    def load(self, script: bytes) -> None:
        """Have every server know this script."""
        unlisted = (node for place, node in self._newcomers.items() if self._client.get_node(*place) is None)
        for server in (*self._primaries(), *map(self._server, unlisted)):
            server.execute_command("SCRIPT LOAD", script)

    def keys(self, pattern: bytes) -> Iterator[bytes]:
        """Those that fit."""
        self._client.nodes_manager.initialize()  # whose slots were moved may have been asked for nothing since
        for server in self._primaries():
            yield from server.scan_iter(match=pattern, count=SCAN)

    def about(self, section: str) -> list[Mapping[str, Any]]:
        """What each server says of itself."""
        return [server.info(section) for server in self._primaries()]

    def size(self) -> int:
        """How many keys there are."""
        return sum(server.dbsize() for server in self._primaries())

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
        for node in self._newcomers.values():
            self._server(node).close()

    def _primaries(self) -> Iterable[redis.Redis]:
        return [self._server(node) for node in self._client.get_primaries()]

    def _server(self, node: ClusterNode) -> redis.Redis:
        server: redis.Redis = self._client.get_redis_connection(node)
        return server

    def _node(self, host: str, port: int) -> ClusterNode:
        known: ClusterNode | None = self._client.get_node(host, port)
        if known is not None:
            return known
        return self._newcomers.setdefault(HostPort(host, port), ClusterNode(host, port))

    def _exchanged(self, sendings: Sequence[_Sending]) -> list[tuple[ClusterNode, _Sending, Any]]:
        """Each with the server that answered it, and what it answered."""
        shares: dict[HostPort, tuple[ClusterNode, list[_Sending]]] = {}
        for sending in sendings:
            node = sending.node or self._client.get_node_from_key(keys_of(sending.command)[0])
            shares.setdefault(HostPort(node.host, node.port), (node, []))[1].append(sending)
        with ExitStack() as stack:
            opened = []
            for node, share in shares.values():
                server = self._server(node)
                connection = server.connection_pool.get_connection()
                stack.callback(server.connection_pool.release, connection)
                unread = stack.enter_context(ExitStack())
                unread.callback(connection.disconnect)  # else the next would take these answers for its own
                packed = connection.pack_commands(part for each in share for part in _packable(each))
                connection.send_packed_command(packed)
                opened.append((node, server, connection, share, unread))
            answered = []
            for node, server, connection, share, unread in opened:
                for sending in share:
                    answered.append((node, sending, _answer(server, connection, sending)))
                unread.pop_all()
            return answered


def cluster(url: StateUrl, known: Sequence[HostPort], options: Mapping[str, Any]) -> Cluster:
    """That of the servers in ``url``; ``known`` are others, which are asked as well where it is."""
    hosts = dict.fromkeys((*url.hosts, *known))
    return Cluster(RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in hosts], **options))


def _packable(sending: _Sending) -> Iterator[Command]:
    if sending.asking:
        yield ("ASKING",)
    yield sending.command


def _answer(server: redis.Redis, connection: Any, sending: _Sending) -> Any:
    try:
        if sending.asking:
            server.parse_response(connection, "ASKING")
        return server.parse_response(connection, sending.command[0])
    except ResponseError as error:
        return error
