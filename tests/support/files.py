"""A file that another program writes."""

from __future__ import annotations

import time
from pathlib import Path

TIMEOUT_S = 60.0


class Lines:
    """The lines of a file; they can only be looked at again and again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wait_for(self, count: int) -> list[str]:
        """All lines, once that many of them differ."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            text = self._path.read_text() if self._path.exists() else ""
            lines = text[: text.rfind("\n") + 1].splitlines()
            if len(set(lines)) >= count:
                return lines
            assert time.monotonic() < deadline, f"{self._path} has {len(lines)} of {count} lines"
            time.sleep(0.05)
