"""Which event files a command line means: what it names, and what lies below the directories that it names."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from firstseen.errors import InputError

SUFFIXES = (".json", ".ndjson", ".jsonl", ".log")
"""Names (also with ``.gz`` behind) that are taken from a directory; a file that is named is read whatever its name."""


def event_files(arguments: Sequence[str]) -> Iterator[str]:
    """The files that are meant: directories walked in order of names, ``-`` for standard input. Raises `InputError`.

    What is named is given whatever it is, also a named pipe; of directories only files are, also of those that links
    below them lead to, each directory once. One that cannot be read, and a link that leads nowhere, are given too, so
    that whoever opens them is told what is wrong.
    """
    for argument in arguments:
        path = Path(argument)
        try:
            is_directory = argument != "-" and stat.S_ISDIR(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{argument}: there is no such file or directory") from None
        except OSError as error:
            raise InputError(f"{argument}: {error.strerror}") from error
        if is_directory:
            yield from map(str, sorted(_below(path)))
        else:
            yield argument


def _below(directory: Path) -> Iterator[Path]:
    """Links are followed behind all else, so that a directory with a path of its own is known by that."""
    unreadable: list[Path] = []
    walked: set[tuple[int, int]] = set()
    starts = deque([directory])
    while starts:
        for folder, folders, names in os.walk(starts.popleft(), onerror=lambda error: unreadable.append(_place(error))):
            found = Path(folder).stat()
            identity = found.st_dev, found.st_ino
            if identity in walked:
                folders.clear()
                continue
            walked.add(identity)
            starts.extend(path for name in sorted(folders) if (path := Path(folder, name)).is_symlink())
            yield from (path for name in names if _is_event_file(path := Path(folder, name)) and not _is_none(path))
    yield from unreadable


def _place(error: OSError) -> Path:
    return Path(error.filename)


def _is_none(path: Path) -> bool:
    """Whether it is no file, and none is missed: an editor's lock is a hidden link that leads nowhere."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return path.name.startswith(".")


def _is_event_file(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(SUFFIXES)
