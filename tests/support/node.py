"""Forward clients and a server in Node.js: the scripts in ``tests/interop``, run in processes of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from support.program import Program

TIMEOUT_S = 60.0


class Told(NamedTuple):
    """How many events were acked, and what went wrong."""

    acked: int
    faults: list[str]


def send(script: Path, events: list[dict[str, Any]], **options: Any) -> Told:
    """Run a client to its end; ``options`` are what the script is told."""
    done = subprocess.run(
        ["node", str(script), json.dumps(options)],
        input="\n".join(map(json.dumps, events)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return Told(**json.loads(done.stdout))


class NodeServer(Program):
    """``forward_server.js``: the entries that it took."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(["node", str(folder / "forward_server.js"), json.dumps(options)])
        self.wait_until(lambda: bool(self.lines))
        self.port: int | None = json.loads(self.lines[0]).get("port")

    def wait_for_entries(self, count: int) -> list[dict[str, Any]]:
        """All that came, once it is so many; each with tag, seconds, nanoseconds and record."""
        self.wait_until(lambda: len(self.lines) > count)
        return [json.loads(line) for line in self.lines[1:]]

    @property
    def entries(self) -> int:
        """How many have come."""
        return len(self.lines) - 1
