"""A real Fluent Bit: its configuration, its process, and what it logs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from support.program import Program

marks = [
    pytest.mark.interop,
    pytest.mark.fluentbit,
    pytest.mark.skipif(shutil.which("fluent-bit") is None, reason="needs fluent-bit on PATH"),
]

Settings = dict[str, Any]


def free_port() -> int:
    """A port that nobody listens on: Fluent Bit and Fluentd cannot say which one they took.

    It is none of those that the system gives to whoever connects somewhere in the meantime.
    """
    while True:
        port = random.randrange(12_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def forward(port: int, **settings: Any) -> Settings:
    """An input that listens there, or an output that sends there, with what else is said; ``__`` stands for a dot."""
    given = {name.replace("__", "."): value for name, value in settings.items()}
    return {"name": "forward", "listen": "127.0.0.1", "host": "127.0.0.1", "port": port} | given


class FluentBit(Program):
    """``fluent-bit``, started, and listening if it is to listen, once it is made."""

    def __init__(self, config: Path, **environment: str) -> None:
        super().__init__(["fluent-bit", "-c", str(config)], environment=os.environ | environment)
        try:
            self.wait_for("started")  # inputs are set up before the threads of outputs start
        except BaseException:
            self.__exit__(None, None, None)
            raise

    @classmethod
    def between(cls, folder: Path, name: str, source: Settings, *sinks: Settings) -> FluentBit:
        """One with that input and those outputs, which match all tags where they do not say which."""
        source = {key: value for key, value in source.items() if key != "host"}
        outputs = [
            {"match": "*", "retry_limit": "no_limits"} | {key: value for key, value in sink.items() if key != "listen"}
            for sink in sinks
        ]
        # Quick to flush, and to try again.
        service = {"flush": 0.1, "grace": 1, "scheduler.base": 1, "scheduler.cap": 1}
        config = folder / f"{name}.yaml"
        # A JSON document is a YAML document.
        config.write_text(json.dumps({"service": service, "pipeline": {"inputs": [source], "outputs": outputs}}))
        return cls(config)
