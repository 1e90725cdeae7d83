"""Copies of files that are mapped into memory: who writes over the original changes nothing in them.

Where a file gets shorter while it is mapped, the system ends the process that looks at what is gone (SIGBUS).
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final, NamedTuple

from firstseen import plainfile
from firstseen.errors import FirstseenError
from firstseen.store.disk import make_folder

PIECE: Final = 1 << 20
"""Bytes that are copied at a time."""

SETTLED_NS: Final = 2_000_000_000
"""How old a change must be for the next one to have another time: file systems have clocks of up to two seconds."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CopyError(FirstseenError):
    """There can be no copy, for a reason that lies not with the original: for want of room if ``is_full``."""

    def __init__(self, what: str, *, is_full: bool) -> None:
        super().__init__(what)
        self.is_full = is_full


class Copies:
    """Copies in ``folder``, which is made where it is missing; they have no name, so that no crash leaves one there.

    One thread at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[Path, _Copy] = {}

    def of(self, path: Path) -> Path:
        """Where a copy of this file can be opened, until it is asked for anew. It is the same where nothing changed.

        Raises `OSError` where the file cannot be read, and `CopyError`.
        """
        kept = self._kept.get(path)
        if kept is None or kept.version != _version(path.stat()):
            made = self._made(path)
            if kept is not None:
                kept.file.close()
            kept = self._kept[path] = made
        return Path(f"/proc/self/fd/{kept.file.fileno()}")

    def keep_only(self, paths: Collection[Path]) -> None:
        """Let go of those of other files; what has mapped one keeps it for as long as that."""
        for path in self._kept.keys() - set(paths):
            self._kept.pop(path).file.close()

    def close(self) -> None:
        """Let go of all of them."""
        self.keep_only(())

    def _made(self, path: Path) -> _Copy:
        with plainfile.opened(path) as original, ExitStack() as undo:
            found = os.fstat(original.fileno())
            begun_ns = time.time_ns()
            try:
                make_folder(self._folder)
                file = undo.enter_context(tempfile.TemporaryFile(dir=self._folder))
                shutil.copyfileobj(original, file, PIECE)
                file.flush()
            except OSError as error:
                what = f"{path} cannot be copied to {self._folder}: {error.strerror or error}"
                raise CopyError(what, is_full=error.errno in _FULL) from error
            if _version(os.fstat(original.fileno())) != _version(found):
                raise OSError(errno.EBUSY, "it is being written just now: load it again when it is whole", str(path))
            undo.pop_all()
        settled = begun_ns - max(found.st_mtime_ns, found.st_ctime_ns) > SETTLED_NS
        return _Copy(_version(found) if settled else None, file)


class _Copy(NamedTuple):
    """Of which version of a file, None where that may be two, and the copy."""

    version: tuple[int, ...] | None
    file: IO[bytes]


def _version(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
