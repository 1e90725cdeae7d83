"""Who sends: the clients of the listener by where they come from, and how each of them does.

A client that connects anew is the same client. There is room for a number of them; beyond it those that have been
silent for longest are forgotten, never one that is connected or waits for something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from firstseen.net.peers import Peer

MOST = 256
"""Clients that are remembered."""


class Client:
    """One of them; times are by the clock of `Clients`, None where nothing happened yet.

    ``lag_ms`` is how long before its latest chunk came the first entry of that was made, by two clocks that may differ.
    """

    __slots__ = (
        *("bytes", "chunks", "connections", "in_flight", "lag_ms"),
        *("origin", "refused", "secure", "settled_s", "took_s"),
    )

    def __init__(self, peer: Peer) -> None:
        self.origin = peer.origin
        self.secure = peer.secure
        self.connections = 0
        self.chunks = 0
        self.bytes = 0
        self.in_flight = 0
        self.refused = 0
        self.lag_ms: int | None = None
        self.took_s: float | None = None
        self.settled_s: float | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it is neither connected nor waits for an ack."""
        return not self.connections and not self.in_flight


class Clients:
    """All of them; ``clock`` is steady, in seconds. One thread only."""

    def __init__(self, clock: Callable[[], float], most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._by_origin: dict[str, Client] = {}
        self.lag_ms: int | None = None
        """Of the latest chunk of all."""

    def __iter__(self) -> Iterator[Client]:
        return iter(self._by_origin.values())

    @property
    def connections(self) -> int:
        """How many there are, of all clients."""
        return sum(client.connections for client in self)

    def opened(self, peer: Peer) -> None:
        """A client connected."""
        client = self._of(peer)
        client.connections += 1
        client.secure = peer.secure

    def closed(self, peer: Peer) -> None:
        """A connection ended."""
        self._of(peer).connections -= 1

    def took(self, peer: Peer, size: int) -> None:
        """A chunk of so many bytes came."""
        client = self._by_origin.get(peer.origin) or self._of(peer)
        client.chunks += 1
        client.bytes += size
        client.in_flight += 1
        client.took_s = self._clock()

    def settled(self, peer: Peer, *, safe: bool) -> None:
        """A chunk is settled: it was delivered, and acked where that was asked for, if ``safe``."""
        client = self._by_origin.get(peer.origin) or self._of(peer)
        client.in_flight -= 1
        if safe:
            client.settled_s = self._clock()

    def lags(self, peer: Peer, lag_ms: int) -> None:
        """The first entry of a chunk was made so many milliseconds ago."""
        self._of(peer).lag_ms = self.lag_ms = lag_ms

    def refused(self, peer: Peer) -> None:
        """A connection has to close because of what came on it, or did not: it may not have been one yet."""
        self._of(peer).refused += 1

    def _of(self, peer: Peer) -> Client:
        client = self._by_origin.get(peer.origin)
        if client is None:
            client = self._by_origin[peer.origin] = Client(peer)
            self._forget_but(client)
        return client

    def _forget_but(self, new: Client) -> None:
        beyond = len(self._by_origin) - self._most
        if beyond > 0:
            idle = [client for client in self if client.is_idle and client is not new]
            idle.sort(key=lambda client: client.settled_s or client.took_s or 0.0)
            for silent in idle[:beyond]:
                del self._by_origin[silent.origin]
