"""A downstream for tests of the forwarder: an asyncio server whose behaviour is a coroutine, one call a connection."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack

from firstseen.forward.handshake import ServerHandshake, ServerKeys
from firstseen.forward.outgoing import Frame
from firstseen.net.delivery import Delivery, Parcel
from firstseen.net.downstream import Downstream

TIMEOUT_S = 60

Script = Callable[["Conversation", int], Awaitable[None]]


class Conversation:
    """One connection: whole frames in, bytes out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unpacker = msgpack.Unpacker(strict_map_key=False)

    async def frame(self) -> list[Any]:
        """The next frame; raises `EOFError` when there is none."""
        while True:
            for frame in self._unpacker:
                return frame
            data = await self._reader.read(1 << 16)
            if not data:
                raise EOFError
            self._unpacker.feed(data)

    async def begun(self) -> None:
        """Waits until some of a frame is there."""
        self._unpacker.feed(await self._reader.readexactly(1))

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def ack(self, frame: list[Any]) -> None:
        await self.write(msgpack.packb({"ack": frame[-1]["chunk"]}))

    def half_close(self) -> None:
        """Say that no more will come from here."""
        self._writer.write_eof()

    async def read_slowly(self, size: int) -> None:
        """Read so many bytes, and little of what is here at a time."""
        while size > 0:
            size -= len(await self._reader.read(1 << 16))
            await asyncio.sleep(0.002)

    async def rest(self) -> bytes:
        """All that comes until the other end is gone."""
        return await self._reader.read()

    async def until_closed(self) -> None:
        """Waits until the other end is gone."""
        while await self._reader.read(1 << 16):
            pass


@asynccontextmanager
async def downstream(
    script: Script, port: int = 0, *, tls: ssl.SSLContext | None = None, path: Path | None = None
) -> AsyncIterator[int]:
    """Serves with ``script``, which gets the number of the connection from 0; yields the port (0 with a ``path``)."""
    number = -1
    faults: list[BaseException] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        try:
            await script(Conversation(reader, writer), number)
        except (EOFError, ConnectionError):
            pass
        except BaseException as error:
            faults.append(error)
            raise
        finally:
            writer.close()

    if path is not None:
        server = await asyncio.start_unix_server(serve, path)
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    try:
        yield 0 if path is not None else server.sockets[0].getsockname()[1]
    finally:
        server.close()
    assert not faults


async def serve(peer: Conversation, _: int) -> None:
    """Acks everything."""
    while True:
        await peer.ack(await peer.frame())


def greeting(keys: ServerKeys) -> Callable[[Conversation, int], Awaitable[None]]:
    """A server with the other end of the handshake; it stays open, whatever came of that."""

    async def script(peer: Conversation, number: int) -> None:
        handshake = ServerHandshake(keys, os.urandom)
        await peer.write(handshake.helo)
        greeted = handshake.feed(msgpack.packb(await peer.frame()))
        assert greeted is not None
        await peer.write(greeted.reply)
        await serve(peer, number)

    return script


def parcel(chunk: str | None = "one", size: int = 1) -> Parcel:
    data = msgpack.packb(["app", b"x" * size, {} if chunk is None else {"chunk": chunk}])
    frame = Frame("app", (data[:5], memoryview(data)[5:]), len(data), chunk)
    return Parcel(frame, Delivery([frame], lambda: None, lambda _: None), 0, 0.0)


class Settled:
    """Parcels as they are settled."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        self._news = asyncio.Event()

    def __call__(self, settled: Parcel) -> None:
        self.parcels.append(settled)
        self._news.set()

    async def are(self, *parcels: Parcel) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.parcels) < len(parcels):
                self._news.clear()
                await self._news.wait()
        assert self.parcels == list(parcels)


async def lost(connection: Downstream) -> str:
    """Waits until the connection is over; why it is."""
    async with asyncio.timeout(TIMEOUT_S):
        return await connection.lost
