"""Which revision of the sources this is, where whatever it was installed from knew that."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("revision.txt")  # importlib.resources takes longer to import than all else here

_UNKNOWN: Final = "$"
"""What the file begins with in a checkout: git writes the revision into its archives, and setup.py into wheels."""


@functools.cache
def revision() -> str:
    """The id of the commit, with ``+changes`` behind it where there were some beyond it; empty if it is not known."""
    written = _FILE.read_text("ascii").strip()
    return "" if written.startswith(_UNKNOWN) else written
