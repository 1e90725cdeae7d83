"""Writes into what is built from a checkout which revision of it that is; all else is in setup.cfg.

A source archive knows by itself, being made by git from a revision: see .gitattributes.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FILE = "firstseen/revision.txt"


class BuildWithRevision(build_py):
    """Copies the modules, and beside them the revision where git knows it."""

    def run(self) -> None:
        """Called by setuptools."""
        super().run()
        revision = _revision()
        if revision and not self.editable_mode:
            (Path(self.build_lib) / FILE).write_text(f"{revision}\n")


def _revision() -> str:
    """The commit that is checked out here, with ``+changes`` behind it where something is not committed; else empty."""
    if not (ROOT / ".git").exists():  # an archive: any repository around it is another one
        return ""
    try:
        commit = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--", "plugin", "setup.cfg", "setup.py", "pyproject.toml")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("+changes" if changes else "")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603  # nobody else's
    return done.stdout.strip()


setup(cmdclass={"build_py": BuildWithRevision})
