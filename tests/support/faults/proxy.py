"""A TCP proxy between two peers that breaks what passes: at a byte, in one direction or both, or for a while."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable

READ_SIZE = 1 << 14


class How(enum.Enum):
    """What becomes of a connection at the byte where it is cut."""

    RESET = "reset"
    CLOSE = "closed"
    HALF = "half-closed"
    """This direction ends, and what still comes in it is dropped; the other direction goes on."""


class Way:
    """One direction of a connection."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._moves = asyncio.Event()
        self._moves.set()
        self._left: int | None = None
        self._cut: Callable[[], None] = lambda: None
        self.broken = asyncio.Event()

    def cut_after(self, size: int, cut: Callable[[], None]) -> None:
        """Call ``cut`` once that many more bytes have passed, and pass no more."""
        self._left, self._cut = size, cut
        if not size:
            self.cut_now()

    def cut_now(self) -> None:
        """Wherever it is."""
        if not self.broken.is_set():
            self.broken.set()
            self._cut()

    def stop(self) -> None:
        self._moves.clear()

    def go_on(self) -> None:
        self._moves.set()

    def end(self) -> None:
        """No more will come in this direction."""
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    async def run(self) -> None:
        """Pass on what comes, until it ends."""
        while data := await self._reader.read(READ_SIZE):
            await self._moves.wait()
            if self.broken.is_set() or self._writer.is_closing():
                continue
            if self._left is not None:
                data = data[: self._left]
                self._left -= len(data)
            self._writer.write(data)
            await self._writer.drain()
            if self._left == 0:
                self.cut_now()
        if not self.broken.is_set():
            self.end()


class Link:
    """One connection through the proxy; ``ways`` are towards the server and back."""

    def __init__(self, client: tuple[StreamReader, StreamWriter], server: tuple[StreamReader, StreamWriter]) -> None:
        self._writers = (client[1], server[1])
        self.ways = (Way(client[0], server[1]), Way(server[0], client[1]))
        self.over = asyncio.Event()

    async def run(self) -> None:
        try:
            await asyncio.gather(*(way.run() for way in self.ways))
        except OSError:
            pass  # one of the peers is gone
        finally:
            self.close()
            self.over.set()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    def reset(self) -> None:
        for writer in self._writers:
            abort(writer)

    async def cut(self, way: Way, size: int, how: How, patience_s: float) -> None:
        """Cut the connection when ``size`` more bytes passed, or where it is when that takes too long."""
        way.cut_after(size, {How.RESET: self.reset, How.CLOSE: self.close, How.HALF: way.end}[how])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(way.broken.wait(), patience_s)
        way.cut_now()

    async def stall(self, way: Way, seconds: float) -> None:
        """Pass nothing on in one direction for so long, nor read it once the buffers are full."""
        way.stop()
        await asyncio.sleep(seconds)
        way.go_on()


def abort(writer: StreamWriter) -> None:
    """Close with a reset, dropping what was not sent."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it is closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    """Listens on ``port``, and connects to ``target``, which moves; while that is None everybody is sent away."""

    def __init__(self) -> None:
        self.target: int | None = None
        self.port = 0
        self._links: dict[Link, None] = {}
        self._linked = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, limit=READ_SIZE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        links = list(self._links)
        for link in links:
            link.reset()
        for link in links:
            await link.over.wait()
        await self._server.wait_closed()

    @property
    def is_used(self) -> bool:
        return bool(self._links)

    async def any_link(self, rng: random.Random) -> Link:
        """One of those that stand, or the next one."""
        async with self._linked:
            await self._linked.wait_for(lambda: self._links)
        return rng.choice(list(self._links))

    async def _accepted(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            if self.target is None:
                raise ConnectionRefusedError  # as if nobody listened there
            server = await asyncio.open_connection("127.0.0.1", self.target, limit=READ_SIZE)
        except OSError:
            abort(writer)
            return
        link = Link((reader, writer), server)
        self._links[link] = None
        async with self._linked:
            self._linked.notify_all()
        try:
            await link.run()
        finally:
            del self._links[link]
