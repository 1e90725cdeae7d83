"""A server in a process of its own that writes what it took to a journal, durably, before it acks it.

Commands on standard input spoil the next ack, in one of the ways of `Ack`; each is answered when it happened.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import enum
import socket
import ssl
import time
from asyncio import StreamReader, StreamWriter
from collections import deque
from pathlib import Path

from support.faults.greeting import greet_client
from support.faults.journal import Journal
from support.faults.lines import Command, listen, say
from support.faults.upstream import READ_SIZE, chunk_of
from support.peer_frames import CuttingReader, pack


class Ack(enum.StrEnum):
    """How an ack goes wrong."""

    WRONG = "wrong"
    """For a chunk that nobody sent."""
    MISSING = "missing"
    TWICE = "twice"
    LATE = "late"
    SPLIT = "split"
    """In pieces of a byte, with pauses."""
    GARBAGE = "garbage"
    """No msgpack at all."""


WRONG = pack({"ack": "bm9ib2R5IHNlbnQgdGhpcw=="})
GARBAGE = b"\xc1" * 8
BYTE_PAUSE_S = 0.005


class Server:
    """Takes frames on any number of connections."""

    def __init__(self, journal: Journal, key: str | None) -> None:
        self._journal = journal
        self._key = key
        self._spoiled: deque[tuple[Ack, float]] = deque()

    def obey(self, command: Command) -> None:
        self._spoiled.append((Ack(command["ack"]), command["seconds"]))

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError):
            pass  # the connection was cut
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a problem of the run
            say(problem=f"downstream read something odd: {error!r}")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._key:
            await greet_client(reader, writer, self._key.encode(), b"downstream")
        frames = CuttingReader()
        while data := await reader.read(READ_SIZE):
            taken = list(frames.feed(data))
            if not taken:
                continue
            self._journal.write(time.monotonic_ns(), taken)
            for frame in taken:
                if writer.is_closing():
                    return
                await self._ack(chunk_of(frame), writer)
                await writer.drain()

    async def _ack(self, chunk: str, writer: StreamWriter) -> None:
        ack = pack({"ack": chunk})
        if not self._spoiled:
            writer.write(ack)
            return
        how, seconds = self._spoiled.popleft()
        say(spoiled=how)
        match how:
            case Ack.WRONG:
                writer.write(WRONG)
            case Ack.GARBAGE:
                writer.write(GARBAGE)
            case Ack.TWICE:
                writer.write(ack + ack)
            case Ack.LATE:
                await asyncio.sleep(seconds)
                if not writer.is_closing():
                    writer.write(ack)
            case Ack.SPLIT:
                for at in range(len(ack)):
                    if not writer.is_closing():
                        writer.write(ack[at : at + 1])
                    await asyncio.sleep(BYTE_PAUSE_S)


async def run(chosen: argparse.Namespace) -> None:
    tls = None
    if chosen.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(chosen.cert, chosen.cert_key)
    server = Server(Journal(chosen.journal), chosen.key)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    say(port=listener.sockets[0].getsockname()[1])
    await listen(server.obey)


def main() -> None:
    parser = argparse.ArgumentParser(prog="support.faults.downstream")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--key")
    parser.add_argument("--cert")
    parser.add_argument("--cert-key")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
