"""How much memory a process has taken at most, and how long a peer of it waits meanwhile."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

from support.peer_frames import pack
from support.peers import Source

EVERY_S = 0.02


def peak_mb(pid: int) -> float:
    """The most memory that the process held resident, in MiB, since it started or since `forget_peak`."""
    (kb,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(kb) / 1024


def forget_peak(pid: int) -> None:
    """Measure from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class Bystander:
    """A client that goes on sending small chunks while others do what they do; ``worst_s`` is its slowest ack."""

    def __init__(self, port: int) -> None:
        self.acked = 0
        self.worst_s = 0.0
        self.fault: BaseException | None = None
        self._source = Source(port)
        self._source.socket.settimeout(120)
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            while not self._stop.wait(EVERY_S):
                begun_s = time.monotonic()
                chunk = f"good-{self.acked}"
                self._source.send(pack(["good", [[1_790_000_000, {"n": self.acked}]], {"chunk": chunk}]))
                assert self._source.ack() == chunk
                self.acked += 1
                self._begun.set()
                self.worst_s = max(self.worst_s, time.monotonic() - begun_s)
        except BaseException as error:  # noqa: BLE001  # told of at the end
            self.fault = error

    def __enter__(self) -> Bystander:
        self._thread.start()
        assert self._begun.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(120)
        self._source.close()
        if self.fault is not None:
            raise self.fault
