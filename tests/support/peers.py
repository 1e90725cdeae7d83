"""Both ends that the agent talks to, sharing no line with the agent.

`Source` is a client. `Sink` is a server: in this process, on threads, or as ``python -m support.peers sink``.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from support.peer_frames import CountingReader, Entry, Frame, KeepingReader, pack, unpacker

TIMEOUT_S = 60.0
READ_SIZE = 1 << 18


class Source:
    """A client on one connection."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((host, port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._acks = unpacker()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        self.socket.sendall(data)

    def ack(self) -> Any:
        """The chunk id of the next ack, waited for; raises `EOFError` where the server closes instead."""
        while True:
            for reply in self._acks:
                return reply["ack"]
            data = self._receive()
            if not data:
                raise EOFError("the server closed the connection")
            self._acks.feed(data)

    def closes(self) -> bool:
        """Whether the server closes without another ack; waits for either."""
        return not self._receive()

    def is_silent(self) -> bool:
        """Whether nothing has come by now."""
        self.socket.setblocking(False)
        try:
            return not self.socket.recv(1)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT_S)

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(READ_SIZE)
        except ConnectionResetError:
            return b""

    def deliver(self, frames: Iterable[bytes], window: int = 1) -> list[Any]:
        """Send frames that each ask for an ack, at most ``window`` of them unacked; returns the acks as they came."""
        acks: list[Any] = []
        for sent, frame in enumerate(frames, 1):
            self.send(frame)
            if sent - len(acks) >= window:
                acks.append(self.ack())
        return acks + [self.ack() for _ in range(sent - len(acks))]

    def drop(self) -> None:
        """Close, also where another thread waits for an ack: that one is told that there is none."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a sink does about a frame: write ``data`` after ``delay_s``, or when told to, and perhaps close."""

    data: bytes = b""
    delay_s: float = 0.0
    held: bool = False
    close: bool = False


Script = Callable[[Frame], Reply]
"""Asked once for each frame, in the thread of its connection."""


def acked(frame: Frame) -> Reply:
    return Reply() if frame.chunk is None else Reply(pack({"ack": frame.chunk}))


def held(frame: Frame) -> Reply:
    """Acked when `Sink.release` is called, not before."""
    return replace(acked(frame), held=True)


def closed(frame: Frame) -> Reply:
    """The connection closes, without an ack."""
    return Reply(close=True)


def wrong(frame: Frame) -> Reply:
    """An ack for a chunk that nobody sent."""
    return Reply(pack({"ack": "bm9ib2R5IHNlbnQgdGhpcw=="}))


def late(seconds: float) -> Script:
    return lambda frame: replace(acked(frame), delay_s=seconds)


def in_turn(*scripts: Script) -> Script:
    """The n-th frame gets the n-th script, every later one the last."""
    turns = itertools.chain(scripts, itertools.repeat(scripts[-1]))

    def script(frame: Frame) -> Reply:
        return next(turns)(frame)

    return script


class Sink:
    """A server on threads, one for each connection. All that arrived stays in `frames`, unless it only counts."""

    def __init__(self, script: Script = acked, *, port: int = 0, count_only: bool = False) -> None:
        self.frames: list[Frame] = []
        self.records = 0
        self.chunks = 0
        self.size = 0
        self.connections = 0
        self.faults: list[Exception] = []
        self._script = script
        self._count_only = count_only
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._open: dict[int, socket.socket] = {}
        self._held: list[tuple[socket.socket, bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def entries(self) -> list[Entry]:
        return [entry for frame in list(self.frames) for entry in frame.entries]

    @property
    def totals(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("records", "chunks", "size", "connections")}

    def wait_until(self, true: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
        """Until ``true()``, which is asked at each frame and connection; raises `TimeoutError`."""
        with self._news:
            if not self._news.wait_for(lambda: bool(self.faults) or true(), timeout_s):
                raise TimeoutError(f"downstream waited {timeout_s} s in vain; it has {self.totals}")
        if self.faults:
            raise self.faults[0]

    def wait_for(self, records: int, timeout_s: float = TIMEOUT_S) -> None:
        """Until that many records came in all."""
        self.wait_until(lambda: self.records >= records, timeout_s)

    def use(self, script: Script) -> None:
        """Another script, from the next frame on."""
        self._script = script

    def release(self) -> None:
        """Send the acks that were held, as far as their connections still stand."""
        with self._news:
            waiting, self._held = self._held, []
        for connection, data in waiting:
            with contextlib.suppress(OSError):
                connection.sendall(data)

    def drop(self) -> None:
        """Close every connection, as a server that restarts."""
        with self._news:
            for connection in self._open.values():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._news:
                if self._closing.is_set():
                    connection.close()
                    return
                number = self.connections
                self.connections += 1
                self._open[number] = connection
                self._news.notify_all()
            thread = threading.Thread(target=self._serve, args=(number, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, number: int, connection: socket.socket) -> None:
        reader = CountingReader(number) if self._count_only else KeepingReader(number)
        buffer = memoryview(bytearray(READ_SIZE))
        try:
            while size := connection.recv_into(buffer):
                for frame in reader.feed(buffer[:size]):
                    reply = self._script(frame)
                    self._took(frame, connection, reply)
                    if not self._answer(connection, reply):
                        return
        except OSError:
            pass  # the peer is gone, or `drop` was called: both are what tests do
        except Exception as error:  # noqa: BLE001  # whatever it is, `wait_until` raises it in the test
            with self._news:
                self.faults.append(error)
                self._news.notify_all()
        finally:
            with self._news:
                del self._open[number]
            connection.close()

    def _took(self, frame: Frame, connection: socket.socket, reply: Reply) -> None:
        with self._news:
            if reply.held:  # before anybody is told of the frame, who may release it then
                self._held.append((connection, reply.data))
            self.records += frame.records
            self.chunks += 1
            self.size += frame.size
            if not self._count_only:
                self.frames.append(frame)
            self._news.notify_all()

    def _answer(self, connection: socket.socket, reply: Reply) -> bool:
        """False where the connection ends."""
        if reply.delay_s and self._closing.wait(reply.delay_s):
            return False
        if reply.data and not reply.held:
            connection.sendall(reply.data)
        return not reply.close


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints ``{"port": N}``, then the totals at each line of standard input, and a last time where that ends."""
    parser = argparse.ArgumentParser(prog="support.peers")
    parser.add_argument("peer", choices=["sink"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--count", action="store_true", help="keep nothing of what comes")
    parser.add_argument("--hold", action="store_true", help="never ack")
    chosen = parser.parse_args(arguments)
    with Sink(held if chosen.hold else acked, port=chosen.port, count_only=chosen.count) as sink:
        print(json.dumps({"port": sink.port}), flush=True)
        for _ in sys.stdin:
            print(json.dumps(sink.totals), flush=True)
        print(json.dumps(sink.totals), flush=True)


if __name__ == "__main__":
    main()
