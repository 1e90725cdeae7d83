"""``python -m bench.several``: what one more agent on the same machine adds, with a state of its own or one for all.

Each agent has a source and a sink of its own, so that nothing but the machine, and the state where they share one, is
common to them. All get the same chunks, at the same time and as fast as they take them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.processes import Peer, cpu_ns, sink
from bench.rulesets import rules_called
from support.agent import AgentProcess, write_config
from support.redis import RedisServer

OWN, SHARED = "a state each", "one state in Redis"


class Sample(NamedTuple):
    """One round of some agents: what they took together in a second, and what a record cost them, Redis not counted."""

    records_per_s: float
    us_per_record: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.several", description=__doc__)
    parser.add_argument("--rules", default="shipped", help="one, shipped, elastic, many, or a path (%(default)s)")
    parser.add_argument("--most", type=int, default=2, help="agents at the same time (%(default)s)")
    parser.add_argument("--mode", default="forward", help="forward, packed or gzip (%(default)s)")
    parser.add_argument("--size", type=int, default=2_000_000, help="bytes of a chunk (%(default)s)")
    parser.add_argument("--chunks", type=int, default=100, help="sent to each in each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    options = parser.parse_args(arguments)
    found: dict[tuple[str, int], list[Sample]] = {}
    with tempfile.TemporaryDirectory(prefix="firstseen-bench-") as folder, ExitStack() as stack:
        (redis := Path(folder, "redis")).mkdir()
        server = stack.enter_context(RedisServer(redis))
        states = {OWN: "", SHARED: f'state: url = "{server.url}"'}
        running = {
            (kind, number): stack.enter_context(_Agents(options, Path(folder), f"{number} with {kind}", number, extra))
            for kind, extra in states.items()
            for number in range(1, options.most + 1)
        }
        for _ in range(options.rounds + 1):  # the first is none: everything is new in it
            for name, agents in running.items():
                found.setdefault(name, []).append(agents.run(options.chunks))
    for (kind, number), samples in found.items():
        one = [sample.records_per_s for sample in found[kind, 1][1:]]
        here = [sample.records_per_s for sample in samples[1:]]
        gain = _spread([two / before for two, before in zip(here, one, strict=True)], ".2f")
        cost = _spread([sample.us_per_record for sample in samples[1:]], ".1f")
        print(f"{number} with {kind}: {_spread(here, ',.0f')} records/s, {gain} of one; {cost} µs a record")
    return 0


class _Agents:
    """So many agents, each between a source and a sink."""

    def __init__(self, options: argparse.Namespace, folder: Path, name: str, count: int, extra: str) -> None:
        self._options, self._folder, self._name, self._count, self._extra = options, folder, name, count, extra
        self._stack = ExitStack()
        self._agents: list[AgentProcess] = []
        self._sources: list[Peer] = []

    def __enter__(self) -> _Agents:
        sending = {"size": self._options.size, "count": 8, "hits": None, "share": None, "window": 4, "new_every": 10}
        for number in range(self._count):
            place = f"{self._name}-{number}"
            config = write_config(
                self._folder / f"{place}.toml",
                downstream=f"127.0.0.1:{self._stack.enter_context(sink()).port}",
                state=self._folder / f"state-{place}",
                rules=rules_called(self._options.rules, self._folder),
                extra=self._extra,
            )
            agent = self._stack.enter_context(AgentProcess(config))
            source = self._stack.enter_context(Peer("bench.source", json.dumps(sending)))
            source.ask("connect", name="it", port=agent.port)
            self._agents.append(agent)
            self._sources.append(source)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, chunks: int) -> Sample:
        """All of them at the same time, from the first byte to the last ack."""
        for source in self._sources:
            source.ask("prepare", mode=self._options.mode, chunks=chunks)
        before = sum(cpu_ns(agent.pid) for agent in self._agents)
        with ThreadPoolExecutor(self._count) as pool:
            done = list(pool.map(lambda source: source.ask("run", name="it", interval_s=0.0), self._sources))
        used_us = (sum(cpu_ns(agent.pid) for agent in self._agents) - before) / 1000
        records = sum(each["records"] for each in done)
        return Sample(records / max(each["seconds"] for each in done), used_us / records)


def _spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


if __name__ == "__main__":
    raise SystemExit(main())
