"""Reads files that must be plain ones: what is none could block its reader for ever, or never come to an end.

A link to a plain file is one. Whatever is wrong is an `OSError` whose ``strerror`` says what, and what to do about it,
so that whoever reads tells of it as of a file that is not there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

MOST_BYTES: Final = 16 << 20
"""What is written by hand or by a program for people is far smaller."""

_KINDS: Final = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read(path: Path, most: int = MOST_BYTES) -> bytes:
    """What is in the file; raises `OSError`, also for one of more than ``most`` bytes."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(min(size, most) + 1)
        if content is None:  # one that would have to be waited for, as /proc/kmsg is
            raise OSError(errno.EINVAL, "it is no file with a content of its own", str(path))
        if len(content) > size:  # it grows, or is one of those that do not know their size
            content += file.read(most + 1 - len(content))
    if len(content) <= most:
        return content
    raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB: is it the right file?", str(path))


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open to be read; raises `OSError` where it is no plain one."""
    require(path)
    # Non-blocking, and looked at again, since another file may have taken its place by now.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(number, "rb") as file:
        _require(os.fstat(number), path)
        yield file


def require(path: Path) -> None:
    """Raises `OSError` where this is no plain file. For files that somebody else opens."""
    _require(path.stat(), path)


def _require(found: os.stat_result, path: Path) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "something else")
    raise OSError(errno.EINVAL, f"it is {kind} and no file: put a file in its place, or take it away", str(path))
