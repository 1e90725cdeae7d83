"""How the processes of the suite talk with it: a JSON object a line, on their standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

Command = dict[str, Any]


def say(**told: object) -> None:
    """Written before this returns: a pipe keeps what a killed process wrote to it."""
    line = memoryview(json.dumps(told).encode() + b"\n")
    while line:
        line = line[os.write(1, line) :]


async def listen(obey: Callable[[Command], None]) -> None:
    """Read commands until there are none any more."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        obey(json.loads(line))


class Child:
    """A process of the suite, from the other side: what it says goes to ``hear``."""

    def __init__(self, process: asyncio.subprocess.Process, hear: Callable[[dict[str, Any]], None]) -> None:
        self._process = process
        self._hearing = asyncio.create_task(self._hear(hear))

    @classmethod
    async def start(cls, module: str, arguments: list[str], hear: Callable[[dict[str, Any]], None]) -> Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
        )
        return cls(process, hear)

    async def _hear(self, hear: Callable[[dict[str, Any]], None]) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            hear(json.loads(line))

    async def ended(self) -> int:
        """Wait until it has; the code with which it did."""
        await asyncio.shield(self._hearing)  # whoever gives up waiting must not end the hearing
        return await self._process.wait()

    @property
    def runs(self) -> bool:
        return self._process.returncode is None

    def tell(self, **command: object) -> None:
        assert self._process.stdin is not None
        if self.runs:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.runs:
            self._process.send_signal(number)

    async def kill(self) -> int:
        """SIGKILL; everything it said is heard when this returns. The code with which it ended."""
        self._signal(signal.SIGKILL)
        return await self.ended()
