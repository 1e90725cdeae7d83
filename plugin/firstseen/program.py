"""What tells this program from every other one, be it of the same version: for what one leaves to the next."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from pathlib import Path

from firstseen import __version__, plainfile


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
    for folder, folders, names in os.walk(Path(__file__).parent):
        folders.sort()
        for name in sorted(names):
            if name.endswith((".py", ".txt")) and not name.startswith("."):
                content = plainfile.read(Path(folder, name))
                total.update(f"{folder}/{name} {len(content)}\n".encode("utf-8", "surrogateescape"))
                total.update(content)
    return total.digest()
