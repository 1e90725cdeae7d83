"""What tells this program from every other one, be it of the same version: for what one leaves to the next."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from functools import cache
from io import FileIO
from operator import attrgetter
from pathlib import Path

from firstseen import __version__


@cache
def loaded() -> bytes | None:
    """The `digest` of what is loaded; None where the sources could not be read.

    Asked for the first time before the modules are imported that it is about: one that takes their place while they
    are is not the one that runs.
    """
    try:
        return digest()
    except OSError:
        return None


def digest() -> bytes:
    """Of the sources that are there now, and of what reads rule files for them; takes some milliseconds.

    Raises `OSError` where they cannot be read.
    """
    import msgspec
    import tomli

    total = hashlib.sha256(f"{sys.version} {__version__} {tomli.__version__} {msgspec.__version__}".encode())
    for path in _sources(Path(__file__).parent):
        with FileIO(path) as file:
            content = file.read()
        total.update(f"{path} {len(content)}\n".encode("utf-8", "surrogateescape"))
        total.update(content)
    return total.digest()


def _sources(folder: str | Path) -> Iterator[str]:
    """The plain files in it that are a part of the program, in order; an editor's locks and copies are none."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=attrgetter("name"))
    for entry in found:
        if entry.is_dir():
            yield from _sources(entry.path)
        elif entry.name.endswith((".py", ".txt")) and not entry.name.startswith(".") and entry.is_file():
            yield entry.path
