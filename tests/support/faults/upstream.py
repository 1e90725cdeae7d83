"""A client in a process of its own that keeps every chunk in a file until it is acked, as Fluent Bit does.

Each folder of the spool is a channel: one connection, whose chunks go out in the order of their names, at most a window
of them unacked. Whenever the connection ends, it starts again with the oldest that is not acked, under the same id.
What happens is said on standard output, before the file goes: who kills this process learns of every ack it took.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import socket
import ssl
import time
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any

from support.faults.greeting import greet_server
from support.faults.lines import Command, listen, say
from support.peer_frames import elements, unpack, unpacker

READ_SIZE = 1 << 16
MOST_PAUSE_S = 0.15
CONNECT_S = 2.0


def chunk_of(frame: bytes) -> str:
    """The id that the ack will carry."""
    chunk: str = unpack(elements(frame)[-1])["chunk"]
    return chunk


class Channel:
    """One folder and its connection."""

    def __init__(self, folder: Path, chosen: argparse.Namespace) -> None:
        self._folder = folder
        self._port: int = chosen.port
        self._key: str | None = chosen.key
        self._tls = ssl.create_default_context(cafile=chosen.ca) if chosen.ca else None
        self._window: int = chosen.window
        self._news = asyncio.Event()
        self._on_their_way: dict[str, Path] = {}

    def look(self) -> None:
        """There may be something new in the folder."""
        self._news.set()

    async def run(self) -> None:
        while True:
            # The connection is cut, or nobody is there: that is what all this is about.
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                await self._connected()
            await asyncio.sleep(random.uniform(0, MOST_PAUSE_S))

    async def _connected(self) -> None:
        self._on_their_way.clear()
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
        try:
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._key:
                async with asyncio.timeout(CONNECT_S):
                    await greet_server(reader, writer, self._key.encode(), b"upstream")
            sending = asyncio.create_task(self._send(writer))
            try:
                await self._read_acks(reader)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        finally:
            writer.transport.abort()

    async def _send(self, writer: StreamWriter) -> None:
        sent: set[Path] = set()
        while True:
            self._news.clear()
            for path in sorted(self._folder.glob("*.chunk")):
                if path not in sent and len(self._on_their_way) < self._window:
                    frame = path.read_bytes()
                    chunk = chunk_of(frame)
                    say(handed=chunk, time=time.monotonic_ns())
                    sent.add(path)
                    self._on_their_way[chunk] = path
                    if writer.is_closing():
                        return
                    writer.write(frame)
                    await writer.drain()
            await self._news.wait()

    async def _read_acks(self, reader: StreamReader) -> None:
        acks = unpacker()
        while data := await reader.read(READ_SIZE):
            now = time.monotonic_ns()
            acks.feed(data)
            for reply in acks:
                self._acked(reply, now)
        raise EOFError

    def _acked(self, reply: Any, now: int) -> None:
        chunk = reply["ack"]
        path = self._on_their_way.pop(chunk, None)
        if path is None:
            say(strange=chunk)
            return
        say(acked=chunk, time=now)
        path.unlink()
        self._news.set()


async def run(chosen: argparse.Namespace) -> None:
    channels = [Channel(folder, chosen) for folder in sorted(chosen.spool.iterdir())]

    def obey(_: Command) -> None:
        for channel in channels:
            channel.look()

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(channel.run()) for channel in channels]
        await listen(obey)
        for task in running:
            task.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(prog="support.faults.upstream")
    parser.add_argument("spool", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--window", type=int, default=1)
    parser.add_argument("--key")
    parser.add_argument("--ca")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
