"""What Prometheus wants to know of any process, as Linux tells it."""

from __future__ import annotations

import math
import os
import resource
import time
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc/self")


class Process(NamedTuple):
    """CPU time, memory, files. ``started_s`` is since the epoch."""

    cpu_s: float
    resident_bytes: int
    virtual_bytes: int
    started_s: float
    open_files: int
    most_files: float


class ProcessReader:
    """Reads what changes; when the process started is read once."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._page = os.sysconf("SC_PAGE_SIZE")
        ticks = int(_fields(proc)[19])
        boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        self._started_s = boot_s + ticks / os.sysconf("SC_CLK_TCK")

    def read(self) -> Process:
        """As it is now. Raises `OSError` where there is no ``/proc``."""
        fields = _fields(self._proc)
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = resource.getrusage(resource.RUSAGE_SELF)
        return Process(
            cpu_s=used.ru_utime + used.ru_stime,
            resident_bytes=int(fields[21]) * self._page,
            virtual_bytes=int(fields[20]),
            started_s=self._started_s,
            open_files=sum(1 for _ in (self._proc / "fd").iterdir()),
            most_files=math.inf if most == resource.RLIM_INFINITY else most,
        )


def _fields(proc: Path) -> list[str]:
    """Of proc_pid_stat(5), from the third on: the second is a name in brackets, with anything in it."""
    return (proc / "stat").read_text().rpartition(")")[2].split()
