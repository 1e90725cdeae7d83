"""A real Fluentd: its process, and what it logs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.program import Program

marks = [
    pytest.mark.interop,
    pytest.mark.fluentd,
    pytest.mark.skipif(shutil.which("fluentd") is None, reason="needs fluentd on PATH"),
]


class Fluentd(Program):
    """``fluentd``, started once it is made."""

    def __init__(self, config: Path, **environment: str) -> None:
        super().__init__(
            ["fluentd", "--no-supervisor", "-c", str(config)], environment=os.environ | {"TZ": "UTC"} | environment
        )
        try:
            self.wait_for("fluentd worker is now running")
        except BaseException:
            self.__exit__(None, None, None)
            raise
