"""A listener for tests: what comes is put on a desk, and the test settles it. Runs on the loop of the agent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import uvloop

from firstseen.forward.buffers import Pool
from firstseen.net.clients import Clients
from firstseen.net.listener import Listener
from firstseen.net.ticket import Ticket

TIMEOUT_S = 60


def message(chunk: str | None = None, text: str = "x") -> bytes:
    frame = ["app", 1, {"text": text}]
    return msgpack.packb(frame if chunk is None else [*frame, {"chunk": chunk}])


def ack(chunk: str) -> bytes:
    return msgpack.packb({"ack": chunk})


class Desk:
    """Takes the tickets; the test settles them."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.refused = 0
        self.unreadable = 0
        self.pauses = 0
        self.clients = Clients(asyncio.get_running_loop().time)
        self._news = asyncio.Event()

    def take(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)
        self._news.set()

    def refuse(self, unreadable: bool) -> None:  # as the listener calls it
        self.refused += 1
        self.unreadable += unreadable
        self._news.set()

    def paused(self) -> None:
        self.pauses += 1

    async def has(self, count: int) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.tickets) < count:
                self._news.clear()
                await self._news.wait()

    async def has_refused(self, count: int) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while self.refused < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def listening(
    max_in_flight: int = 1 << 20, *, tls: ssl.SSLContext | None = None, heartbeat: bool = False, **settings: Any
) -> AsyncIterator[tuple[Listener, Desk, int]]:
    """A listener on a free port; ``settings`` are its own."""
    desk = Desk()
    given = {"pool": Pool(), "max_frame": 1 << 20, "max_in_flight": max_in_flight, **settings}
    listener = Listener(clients=desk.clients, handle=desk.take, refuse=desk.refuse, paused=desk.paused, **given)
    address = await listener.listen("127.0.0.1", 0, tls, heartbeat=heartbeat)
    try:
        yield listener, desk, int(address.rpartition(":")[2])
    finally:
        await listener.drain(0)


async def connect(port: int, data: bytes = b"", **tls: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **tls)
    writer.write(data)
    return reader, writer


async def read(reader: asyncio.StreamReader, size: int) -> bytes:
    async with asyncio.timeout(TIMEOUT_S):
        return await reader.readexactly(size)


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(TIMEOUT_S):
        return await reader.read()


async def turns(count: int = 50) -> None:
    """Let the loop turn: what could happen without further input has then happened."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())
