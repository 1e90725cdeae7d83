"""A downstream for tests of the forwarder: an asyncio server whose behaviour is a coroutine, one call a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack

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

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def ack(self, frame: list[Any]) -> None:
        await self.write(msgpack.packb({"ack": frame[-1]["chunk"]}))

    async def until_closed(self) -> None:
        """Waits until the other end is gone."""
        while await self._reader.read(1 << 16):
            pass


@asynccontextmanager
async def downstream(script: Script) -> AsyncIterator[int]:
    """Serves with ``script``, which gets the number of the connection from 0; yields the port."""
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

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
    assert not faults
