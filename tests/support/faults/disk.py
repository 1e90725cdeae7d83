"""A small disk that can be filled: a tmpfs of its own."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from pathlib import Path

BLOCK = bytes(4096)


class Disk:
    """Mounted at ``path`` from construction to `close`. Raises `OSError` where that is not permitted.

    ``was_full`` says that it was at some time since somebody last set it to False.
    """

    def __init__(self, path: Path, size: int) -> None:
        path.mkdir()
        self.path = path
        self.was_full = False
        self.has_room = asyncio.Event()
        self.has_room.set()
        self._filler = path / "filler"
        try:
            told = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "firstseen-faults", str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise OSError("there is no mount command") from None
        if told.returncode:
            raise OSError(told.stderr.strip() or f"mount ended with {told.returncode}")

    def fill(self) -> None:
        """To the last block."""
        self.was_full = True
        self.has_room.clear()
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            while True:
                os.write(descriptor, BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(descriptor)

    def empty(self) -> None:
        self._filler.unlink(missing_ok=True)
        self.has_room.set()

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
