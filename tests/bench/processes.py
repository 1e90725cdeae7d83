"""The processes of a benchmark: started, measured, ended. What a process used is asked of the kernel."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

STOP_S = 10.0
DELIVERY_S = 60.0

FLOOR = "python"
"""The relay that is always there: `bench.floor`."""


def cpu_ns(pid: int) -> int:
    """User and system time of the process with all its threads, from its CPU clock: nanoseconds, not clock ticks."""
    return time.clock_gettime_ns((~pid << 3) | 2)  # the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)


def memory_kib(pid: int) -> tuple[int, int]:
    """Resident now, and at most so far."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]), int(fields["VmHWM"].split()[0])


class Peer:
    """A Python process that answers one line of JSON to each line it is given."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, command: str, /, **options: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, options]) + "\n")
        self._process.stdin.flush()
        return self.read()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self._process.communicate(timeout=STOP_S)


class Downstream:
    """A sink in a process of its own, that acks, counts and keeps nothing."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.port: int = peer.read()["port"]

    @property
    def records(self) -> int:
        """How many came so far."""
        return int(self._peer.ask("totals")["records"])

    def wait_for(self, records: int) -> None:
        """Until so many came in all."""
        until = time.monotonic() + DELIVERY_S
        while self.records < records:
            if time.monotonic() > until:
                raise TimeoutError(f"downstream has {self.records} records, and waited for {records}")
            time.sleep(0.02)


@contextmanager
def sink() -> Iterator[Downstream]:
    """A downstream."""
    with Peer("support.peers", "sink", "--count") as peer:
        yield Downstream(peer)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def socat(port: int, target: int, folder: Path) -> Sequence[str]:
    """One process for one connection, with a buffer that suits it."""
    del folder
    listen, connect = f"TCP-LISTEN:{port},bind=127.0.0.1,nodelay", f"TCP:127.0.0.1:{target},nodelay"
    return ["socat", "-b", "65536", listen, connect]


def haproxy(port: int, target: int, folder: Path) -> Sequence[str]:
    """One thread, TCP mode, nothing logged; all else as it comes."""
    config = folder / "haproxy.cfg"
    config.write_text(
        "global\n  nbthread 1\n"
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
        f"listen relay\n  bind 127.0.0.1:{port}\n  server sink 127.0.0.1:{target}\n"
    )
    return ["haproxy", "-q", "-db", "-f", str(config)]


def floor(port: int, target: int, folder: Path) -> Sequence[str]:
    """What any agent in Python does before it looks at anything."""
    del folder
    return [sys.executable, "-m", "bench.floor", str(port), str(target)]


RELAYS = {"socat": socat, "haproxy": haproxy, FLOOR: floor}


def relays() -> list[str]:
    """Those that are installed here."""
    return [name for name in RELAYS if name == FLOOR or shutil.which(name)]


@contextmanager
def relay(name: str, target: int, folder: Path) -> Iterator[tuple[int, int]]:
    """A bare relay to ``target``; gives its process id and port."""
    port = free_port()
    process = subprocess.Popen(RELAYS[name](port, target, folder), stdin=subprocess.DEVNULL)
    try:
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(STOP_S)
