"""The sending process: ``python -m bench.source``, told what to do on standard input, one JSON object a line.

``connect`` opens a connection that has a name; ``prepare`` makes ready what the next ``run`` sends; ``run`` sends it, a
few chunks ahead of their acks, and answers what that was. All that costs time happens in ``prepare``.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from bench.data import Mode, Template, compressed, templates
from support.peers import Source

CONNECT_S = 10.0


class Load:
    """The chunks of one mode; every run takes the same ones in the same order."""

    def __init__(self, mode: Mode, size: int, count: int, hits: int | None, share: float | None) -> None:
        self.mode = mode
        self._templates = templates(mode, size, count, hits, share)
        self._chunk = 0
        self._event = 0

    def take(self, chunks: int, callers: Iterator[int]) -> Iterator[tuple[Template, int, bytes | bytearray]]:
        """Template, caller and frame of each; a frame is good until the next is taken, unless it is compressed."""
        for template in islice(cycle(self._templates), chunks):
            caller = next(callers)
            template.renew(self._chunk, self._event, caller)
            self._chunk += 1
            self._event += template.hits
            yield template, caller, compressed(template.frame) if self.mode == "gzip" else template.frame


class Sender:
    """Connections by name, and what went over each."""

    def __init__(
        self, size: int, count: int, hits: int | None, share: float | None, window: int, new_every: int
    ) -> None:
        self._share = share
        self._size = size
        self._count = count
        self._hits = hits
        self._window = window
        self._new_every = new_every
        self._loads: dict[Mode, Load] = {}
        self._connections: dict[str, Source] = {}
        self._arns: dict[str, set[str]] = {}
        self._callers = 0
        self._prepared: Iterator[tuple[Template, int, bytes | bytearray]] = iter(())

    def connect(self, name: str, port: int) -> dict[str, Any]:
        """Waits until somebody listens there."""
        until = time.monotonic() + CONNECT_S
        while True:
            try:
                self._connections[name] = Source(port)
                break
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
        self._arns[name] = set()
        return {}

    def prepare(self, mode: Mode, chunks: int) -> dict[str, Any]:
        load = self._loads.get(mode)
        if load is None:
            load = self._loads[mode] = Load(mode, self._size, self._count, self._hits, self._share)
        taken = load.take(chunks, self._who())
        self._prepared = iter(list(taken)) if mode == "gzip" else taken
        return {}

    def _who(self) -> Iterator[int]:
        """A number for each chunk's caller: mostly 0, who is known."""
        for chunk in range(sys.maxsize):
            is_new = self._new_every > 0 and chunk % self._new_every == 0
            self._callers += is_new
            yield self._callers if is_new else 0

    def run(self, name: str, interval_s: float = 0.0) -> dict[str, Any]:
        """Send what was prepared; the last ack ends the clock.

        With an interval, chunks are sent that long apart, and of each it is told how long its ack took.
        """
        source = self._connections[name]
        sent: list[tuple[Template, int]] = []
        waits: list[float] = []
        size = waiting = 0
        began = time.perf_counter()
        for template, caller, frame in self._prepared:
            if interval_s:
                time.sleep(max(began + len(sent) * interval_s - time.perf_counter(), 0))
            leaves = time.perf_counter()
            source.send(frame)
            sent.append((template, caller))
            size += len(frame)
            waiting += 1
            if waiting >= (1 if interval_s else self._window):
                source.ack()
                waiting -= 1
            waits.append(time.perf_counter() - leaves)
        for _ in range(waiting):
            source.ack()
        seconds = time.perf_counter() - began
        before = len(self._arns[name])
        for template, caller in sent:
            self._arns[name] |= template.arns
            if caller and template.caller_at:
                self._arns[name].add(str(caller))
        return {
            "seconds": seconds,
            "waits": waits if interval_s else [],
            "chunks": len(sent),
            "records": sum(template.records for template, _ in sent),
            "bytes": size,
            "matches": sum(template.hits for template, _ in sent),
            "alerts": len(self._arns[name]) - before,
        }

    def close(self) -> None:
        for source in self._connections.values():
            source.socket.shutdown(socket.SHUT_WR)
            source.close()


def main() -> None:
    sender = Sender(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        name, options = json.loads(line)
        print(json.dumps(getattr(sender, name)(**options)), flush=True)
    sender.close()


if __name__ == "__main__":
    main()
