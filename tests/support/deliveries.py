"""A forwarder for tests, and what it delivered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgpack

from firstseen.forward.outgoing import Frame
from firstseen.net.delivery import Delivery
from firstseen.net.downstream import Target
from firstseen.net.forwarder import Forwarder
from firstseen.net.lane import Backoff
from firstseen.notation import Endpoint
from support.loopback import TIMEOUT_S


def frame(chunk: str | None = "one") -> Frame:
    options = {} if chunk is None else {"chunk": chunk}
    data = msgpack.packb(["app", [[1, {"n": chunk}]], options])
    return Frame("app", (data[:5], memoryview(data)[5:]), len(data), chunk)


class Deliveries:
    """Submits frames and notes the order in which they are delivered."""

    def __init__(self, forwarder: Forwarder) -> None:
        self.forwarder = forwarder
        self.done: list[str] = []
        self.refused: dict[str, str] = {}
        self._news = asyncio.Event()

    def submit(self, name: str, *frames: Frame, source: str | None = None) -> None:
        self.forwarder.submit(
            Delivery(frames, lambda: self._delivered(name), lambda reason: self._refused(name, reason), source)
        )

    def _refused(self, name: str, reason: str) -> None:
        self.refused[name] = reason
        self._news.set()

    def _delivered(self, name: str) -> None:
        self.done.append(name)
        self._news.set()

    async def until(self, *names: str) -> None:
        await self.until_true(lambda: self.done == list(names))

    async def until_true(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not true():
                self._news.clear()
                await self._news.wait()


def target(port: int, **settings: Any) -> Target:
    """A server on this host, from which acks are wanted."""
    usual = {"require_ack": True, "ack_timeout_s": TIMEOUT_S, "hush_s": 0.02}
    return Target(Endpoint(f"127.0.0.1:{port}"), **{**usual, **settings})


@asynccontextmanager
async def forwarding(*servers: Target, standby: Sequence[Target] = ()) -> AsyncIterator[tuple[Deliveries, list[int]]]:
    """A forwarder at work; how many frames it had to send again, each time."""
    retried: list[int] = []
    forwarder = Forwarder(servers, standby, lambda: Backoff(lambda: 0.0, first_s=0.001, most_s=0.01), retried.append)
    task = asyncio.create_task(forwarder.run())
    try:
        yield Deliveries(forwarder), retried
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
