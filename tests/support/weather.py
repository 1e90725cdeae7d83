"""Peers as they are on bad days, and what an agent costs while it stands them."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from support.agent import FIRST_RULE, write_config
from support.peer_frames import Frame, entry_v1, forward, unpacker
from support.peers import TIMEOUT_S, Reply, Sink, Source

TIME_NS = 1_790_000_000_000_000_000


def frame(chunk: str | None, *records: dict[str, Any], tag: str = "aws") -> bytes:
    """A Forward frame; without a chunk id nobody waits for its ack."""
    entries = [entry_v1(record, TIME_NS) for record in records]
    return forward(tag, entries) if chunk is None else forward(tag, entries, chunk=chunk)


def filler(chunk: str, size: int, tag: str = "app") -> bytes:
    """A frame of about that many bytes, in which no rule finds anything."""
    return frame(chunk, {"chunk": chunk, "log": "x" * size}, tag=tag)


def configure(
    folder: Path,
    *servers: str,
    name: str = "firstseen",
    standby: Sequence[str] = (),
    level: str = "info",
    rules: Path = FIRST_RULE,
    listen: str = "127.0.0.1:0",
    extra: str = "",
    sources: str = "",
) -> Path:
    """A configuration in ``folder``, with a state of its own; ``sources`` are the lines of that section."""
    path = write_config(
        folder / f"{name}.toml",
        downstream=servers[0],
        state=folder / f"{name}.state",
        rules=rules,
        listen=listen,
        extra=extra,
    )
    text = re.sub(
        r"(?m)^servers = .*$", f"servers = {json.dumps(servers)}\nstandby = {json.dumps(standby)}", path.read_text()
    )
    path.write_text(f"{text}[sources]\n{sources}".replace('level = "info"', f'level = "{level}"'))
    return path


class Wire(Source):
    """A client on a connection that is there already."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(TIMEOUT_S)
        self.socket = connected
        self._acks = unpacker()

    @classmethod
    def through(cls, path: Path) -> Wire:
        """Over a unix socket."""
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(str(path))
        return cls(connected)

    @classmethod
    def secured(cls, port: int, context: ssl.SSLContext, host: str = "127.0.0.1", name: str = "localhost") -> Wire:
        """Under TLS."""
        plain = socket.create_connection((host, port), TIMEOUT_S)
        return cls(context.wrap_socket(plain, server_hostname=name))

    @classmethod
    def at(cls, port: int, address: str) -> Wire:
        """From another address of this machine."""
        return cls(socket.create_connection(("127.0.0.1", port), TIMEOUT_S, source_address=(address, 0)))


class Pusher:
    """A client that sends all it has, as fast as it may, and then waits for every ack; on a thread."""

    def __init__(self, port: int, frames: Sequence[bytes]) -> None:
        self.acks: list[Any] = []
        self.fault: BaseException | None = None
        self._frames = frames
        self._source = Source(port)
        self._thread = threading.Thread(target=self._push, daemon=True)
        self._thread.start()

    def _push(self) -> None:
        try:
            with self._source as source:
                self.acks = source.deliver(self._frames, window=len(self._frames) + 1)
        except BaseException as error:  # noqa: BLE001  # `join` raises it in the test
            self.fault = error

    def join(self) -> list[Any]:
        """The acks, once all are there."""
        self._thread.join(2 * TIMEOUT_S)
        if self.fault is not None:
            raise self.fault
        assert not self._thread.is_alive(), "still waiting for acks"
        return self.acks


class Deaf:
    """A server that takes connections and never reads a byte of them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._listener.close()


class Mumbler(Sink):
    """A server whose replies come byte by byte."""

    def _answer(self, connection: socket.socket, reply: Reply) -> bool:
        for byte in reply.data:
            connection.sendall(bytes((byte,)))
        return not reply.close


class Diary:
    """Notes in one list what several sinks got, in the order in which it came; asks ``script`` what to reply."""

    def __init__(self, script: Callable[[Frame], Reply]) -> None:
        self.chunks: list[str] = []
        self._script = script

    def __call__(self, frame: Frame) -> Reply:
        self.chunks.append(frame.chunk)
        return self._script(frame)


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """What a process takes now; ``VmHWM`` for the most it ever took."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"(?m)^{what}:\s+(\d+) kB$", status)
    assert found is not None
    return int(found[1]) / 1024


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
