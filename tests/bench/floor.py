"""``python -m bench.floor PORT TARGET``: the least that a server of the Forward protocol in Python does.

It takes each frame to its end, which only stepping over its objects tells, and sends it on as it is; what comes back
goes back. It looks at nothing, keeps nothing and checks nothing: an agent in Python cannot take less.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Generator
from itertools import cycle
from typing import cast

import msgpack
import uvloop

READ_SIZE = 1 << 18
SLICE = 1 << 16
"""Bytes that the library is given at a time, as the agent gives them: its copy of them stays in the CPU's cache."""

LARGEST = 1 << 22
"""Bytes of a frame, at the most."""

BUFFERS = 32
"""Frames on their way, at the most: what was sent is written over after so many, and must have been delivered."""

ARRAYS = frozenset((*range(0x90, 0xA0), 0xDC, 0xDD))
"""First bytes of what holds the entries of a frame in Forward mode: they are stepped over one by one."""


class Frame:
    """Finds the end of the frame that ``data`` begins with, which is filled in order."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._unpacker = msgpack.Unpacker(read_size=1 << 12, max_buffer_size=LARGEST)
        self._fed = 0
        self._steps = self._over_all()

    def end(self, filled: int) -> int | None:
        """How long it is, where so much of it is there; None while that is not all."""
        for _ in self._steps:
            if self._fed == filled:
                return None
            behind = min(self._fed + SLICE, filled)
            self._unpacker.feed(self._data[self._fed : behind])
            self._fed = behind
        found: int = self._unpacker.tell()
        return found

    def _over_all(self) -> Generator[None, None, None]:
        """Yields where it has stepped over all that was fed, and needs more."""
        header, skip, tell = self._unpacker.read_array_header, self._unpacker.skip, self._unpacker.tell
        elements = yield from _when_fed(header)
        yield from _when_fed(skip)
        while tell() == self._fed:
            yield
        if self._data[tell()] in ARRAYS:
            left = yield from _when_fed(header)
            while left:
                try:
                    while left:
                        skip()
                        tell()
                        left -= 1
                except msgpack.OutOfData:
                    yield
        else:
            yield from _when_fed(skip)
        for _ in range(elements - 2):
            yield from _when_fed(skip)


def _when_fed(call: Callable[[], int]) -> Generator[None, None, int]:
    while True:
        try:
            return call()
        except msgpack.OutOfData:
            yield


class Towards(asyncio.BufferedProtocol):
    """The connection to the target: what comes from it goes back."""

    transport: asyncio.WriteTransport

    def __init__(self, back: asyncio.WriteTransport) -> None:
        self._back = back
        self._data = bytearray(READ_SIZE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's are not of asyncio's classes

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._data

    def buffer_updated(self, nbytes: int) -> None:
        self._back.write(bytes(self._data[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._back.close()


class From(asyncio.BufferedProtocol):
    """The connection of a source: each frame of it goes on when it is there."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._buffers = cycle([memoryview(bytearray(LARGEST)) for _ in range(BUFFERS)])
        self._begin(b"")
        self._on: asyncio.WriteTransport | None = None

    def _begin(self, there: bytes | memoryview) -> None:
        """The next frame, of which something may be there."""
        self._data = next(self._buffers)
        self._data[: len(there)] = there
        self._filled = len(there)
        self._frame = Frame(self._data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        source = cast(asyncio.Transport, transport)
        source.pause_reading()
        self._opening = asyncio.create_task(self._open(source))

    async def _open(self, source: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        _, towards = await loop.create_connection(lambda: Towards(source), "127.0.0.1", self._target)
        self._on = towards.transport
        source.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._data[self._filled : self._filled + READ_SIZE]

    def buffer_updated(self, nbytes: int) -> None:
        assert self._on is not None
        self._filled += nbytes
        while self._filled and (end := self._frame.end(self._filled)) is not None:
            self._on.write(self._data[:end])
            self._begin(self._data[end : self._filled])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._on is not None:
            self._on.close()


async def _serve(port: int, target: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: From(target), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.floor", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("target", type=int, help="port on this machine that frames go on to")
    options = parser.parse_args()
    uvloop.run(_serve(options.port, options.target))


if __name__ == "__main__":
    main()
