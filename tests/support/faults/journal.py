"""Frames in a file, each with the time at which it was taken: what a killed server took stays known."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

HEAD = struct.Struct(">QI")


class Journal:
    """A new file of one process's own."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def write(self, time_ns: int, frames: Iterable[bytes]) -> None:
        """These frames were taken; durable when this returns."""
        data = memoryview(b"".join(HEAD.pack(time_ns, len(frame)) + frame for frame in frames))
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file)


def read(path: Path) -> Iterator[tuple[int, bytes]]:
    """(time, frame) of each; one that was cut short by a kill was not taken."""
    data = path.read_bytes()
    at = 0
    while at + HEAD.size <= len(data):
        time_ns, size = HEAD.unpack_from(data, at)
        at += HEAD.size + size
        if at <= len(data):
            yield time_ns, data[at - size : at]
