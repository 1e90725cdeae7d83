"""What a page tells people to run, and a shell that runs it: in a network of its own, so that its ports are free."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from shutil import which
from tempfile import NamedTemporaryFile

from support.program import Program

ROOT = Path(__file__).parents[2]

_UP = 'ip link set lo up && exec "$0" "$@"'
APART = ["unshare", *(["--map-root-user"] if os.getuid() else []), "--net", "sh", "-c", _UP]
"""Runs a command where nobody else is on 127.0.0.1."""


def can_be_apart() -> bool:
    """Whether this machine lets us have such a network."""
    return (
        which("unshare") is not None
        and subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0
    )


def blocks(page: str, language: str = "sh") -> list[str]:
    """The blocks of code in the text of a page that are of this language, in their order."""
    found = re.finditer(rf"^( *)```{language}\n(.*?)^\1```$", page, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block[2]) for block in found]


def section(page: str, title: str) -> str:
    """What stands under a headline, up to the next one of its rank."""
    rank = title.partition(" ")[0]
    _, found, rest = page.partition(f"\n{title}\n")
    assert found, f"there is no {title}"
    return rest.partition(f"\n{rank} ")[0]


class Reader(Program):
    """A bash that does what a page says, in ``folder``; ``through`` is run around it, in which that is ``inside``.

    In a network of its own, unless it is not to be ``apart``. It ends at the first command that fails. What it left
    running is killed with it.
    """

    def __init__(
        self, folder: Path, *, through: Sequence[str] = (), inside: Path | None = None, apart: bool = True
    ) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "HOME": str(inside or folder), "PYTHONUTF8": "1"}
        self._folder, self._inside = folder, inside or folder
        self._told = 0
        super().__init__(
            ["setsid", *(APART if apart else []), *through, "bash", "-e"], folder=folder, environment=environment
        )

    def run(self, commands: str) -> str:
        """What they say, and whoever still runs says meanwhile, up to their end."""
        self._told += 1
        begun, mark = len(self.lines), f"-- {self._told} --"
        with NamedTemporaryFile("w", dir=self._folder, prefix=".told-", delete=False) as file:
            file.write(commands)
        self.tell(f". {self._inside / Path(file.name).name}; echo; echo '{mark}'")
        # Others may be in the middle of a line of theirs just then.
        self.wait_until(lambda: any(mark in line for line in self.lines[begun:]))
        Path(file.name).unlink()
        told = "\n".join(self.lines[begun:])
        return told[: told.index(mark)].rstrip("\n")

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # all of it has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        super().kill()
