"""``python -m bench.flow``: what the agent costs, beside a bare TCP relay over the same bytes in the same run.

Source, agent and sink are three processes; acks are chained from the sink to the source. See README.md for what the
numbers mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.processes import Downstream, Peer, cpu_ns, memory_kib, sink
from bench.targets import Target, targets
from support.agent import AgentProcess

MODES = ("forward", "packed", "gzip")
IDLE_S = 1.0
FIRST = "firstseen one"
"""The agent of which it is known what it has to find."""


@dataclass(frozen=True)
class Sample:
    """One target, one mode, one round: what the target's process used while the source's records went through."""

    mode: str
    target: str
    round: int
    records: int
    bytes: int
    seconds: float
    cpu_us: float

    @property
    def us_per_record(self) -> float:
        return self.cpu_us / self.records

    @property
    def s_per_gb(self) -> float:
        return self.cpu_us * 1e3 / self.bytes

    @property
    def records_per_s(self) -> float:
        return self.records / self.seconds


@dataclass(frozen=True)
class Agent:
    """What one agent took and counted over the whole run; ``idle_us_per_s`` of CPU when nothing comes."""

    idle_us_per_s: float
    rss_kib: int
    peak_rss_kib: int
    totals: dict[str, int]


@dataclass(frozen=True)
class Outcome:
    """Everything that a run found out."""

    machine: dict[str, Any]
    samples: list[Sample]
    agents: dict[str, Agent]
    latencies: dict[str, list[float]]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _arguments(arguments)
    with tempfile.TemporaryDirectory(prefix="firstseen-bench-") as folder:
        outcome = _measure(options, Path(folder))
    if options.json:
        print(json.dumps(asdict(outcome), indent=1))
    else:
        _print(outcome)
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.flow", description=__doc__)
    parser.add_argument("--modes", default="forward,packed", help=f"of {', '.join(MODES)} (%(default)s)")
    parser.add_argument("--size", type=int, default=2_000_000, help="bytes of a chunk (%(default)s)")
    parser.add_argument("--chunks", type=int, default=200, help="sent in each round (%(default)s)")
    parser.add_argument("--count", type=int, default=8, help="chunks that are different (%(default)s)")
    parser.add_argument(
        "--hits", type=int, help="most records in a chunk that the rule matches (as they come, about 1 %%)"
    )
    parser.add_argument("--window", type=int, default=4, help="chunks sent ahead of their acks (%(default)s)")
    parser.add_argument(
        "--new-every", type=int, default=10, help="chunks from one new caller to the next (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--warm-up", type=int, default=40, metavar="CHUNKS", help="not measured (%(default)s)")
    parser.add_argument("--share", type=float, help="part of the records that are hits, such as 0.2")
    parser.add_argument(
        "--rules",
        default="one",
        help="one, shipped, elastic, many, or paths, with commas between them: an agent for each (%(default)s)",
    )
    parser.add_argument("--fluent-bit", action="store_true", help="beside Fluent Bit as well, if it is installed")
    parser.add_argument("--latency", action="store_true", help="then how long acks take at half of each one's load")
    parser.add_argument("--json", action="store_true", help="every sample, as JSON")
    options = parser.parse_args(arguments)
    options.modes = options.modes.split(",")
    if not set(options.modes) <= set(MODES):
        parser.error(f"--modes: choose from {', '.join(MODES)}")
    return options


def _measure(options: argparse.Namespace, folder: Path) -> Outcome:
    with ExitStack() as stack:
        downstream = stack.enter_context(sink())
        every = stack.enter_context(
            targets(options.rules.split(","), downstream.port, folder, fluent_bit=options.fluent_bit)
        )
        names = ("size", "count", "hits", "share", "window", "new_every")
        source = stack.enter_context(Peer("bench.source", json.dumps({name: getattr(options, name) for name in names})))
        for target in every:
            source.ask("connect", name=target.name, port=target.port)
        flow = _Flow(options, source, downstream)
        samples = flow.rounds(every)
        latencies = flow.latencies(every, samples) if options.latency else {}
        agents = {}
        for target in every:
            if target.agent is not None:
                idle, memory = _idle(target.pid), memory_kib(target.pid)
                agents[target.name] = Agent(idle, *memory, _checked(target, target.agent, flow.sent[target.name]))
    return Outcome(_machine(), samples, agents, latencies)


class _Flow:
    """Sends through targets, and notes what each was sent in all."""

    def __init__(self, options: argparse.Namespace, source: Peer, downstream: Downstream) -> None:
        self._options = options
        self._source = source
        self._downstream = downstream
        self.sent: dict[str, Counter[str]] = {}

    def rounds(self, every: Sequence[Target]) -> list[Sample]:
        """The samples of all rounds, targets in turn."""
        for mode in self._options.modes:
            for target in every:
                self._run(mode, target, -1, self._options.warm_up)
        samples = []
        for number in range(self._options.rounds):
            turn = number % len(every)
            for mode in self._options.modes:
                in_turn = [*every[turn:], *every[:turn]]
                samples += [self._run(mode, target, number, self._options.chunks)[0] for target in in_turn]
        return samples

    def latencies(self, every: Sequence[Target], samples: Sequence[Sample]) -> dict[str, list[float]]:
        """How long each ack took, in seconds, where half as much comes as the target can take; of those that chain."""
        found = {}
        for target in every:
            own = [
                sample for sample in samples if sample.target == target.name and sample.mode == self._options.modes[0]
            ]
            interval_s = 2 * statistics.median(sample.seconds for sample in own) / self._options.chunks
            if target.chains:
                found[target.name] = self._run(self._options.modes[0], target, -1, self._options.chunks, interval_s)[1]
        return found

    def _run(
        self, mode: str, target: Target, number: int, chunks: int, interval_s: float = 0.0
    ) -> tuple[Sample, list[float]]:
        self._source.ask("prepare", mode=mode, chunks=chunks)
        behind = self._downstream.records
        before = cpu_ns(target.pid)
        done = self._source.ask("run", name=target.name, interval_s=interval_s)
        if not target.chains:
            self._downstream.wait_for(behind + done["records"])
        used = cpu_ns(target.pid) - before
        sent = self.sent.setdefault(target.name, Counter())
        sent.update({key: done[key] for key in ("records", "matches", "alerts")})
        return Sample(mode, target.name, number, done["records"], done["bytes"], done["seconds"], used / 1000), done[
            "waits"
        ]


def _idle(pid: int) -> float:
    """Microseconds of CPU in a second in which nothing comes."""
    before = cpu_ns(pid)
    time.sleep(IDLE_S)
    return (cpu_ns(pid) - before) / 1000 / IDLE_S


def _checked(target: Target, agent: AgentProcess, sent: Mapping[str, int]) -> dict[str, int]:
    """What it was sent and made of it. A figure counts only if the work was done: every record, every hit."""
    totals = dict(agent.stop())
    judged = {name: totals[name] for name in ("matches", "alerts")}
    known = sent if target.name == FIRST else {**sent, **judged}
    expected = {
        "records_in": sent["records"],
        "records_out": sent["records"],
        "records_rejected": 0,
        "matches": known["matches"],
        "alerts": known["alerts"],
        "suppressed": known["matches"] - known["alerts"],
    }
    counted = {name: totals[name] for name in expected}
    if counted != expected:
        raise SystemExit(f"{target.name} counted {counted}, where {expected} is right")
    return {"records": sent["records"], **judged, "candidates": totals["candidates"]}


def _machine() -> dict[str, Any]:
    """What the figures hang on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": f"{os.cpu_count()} x {model}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("msgpack", "uvloop", "lmdb", "ahocorasick-rs")},
        "load_average": os.getloadavg()[0],
    }


def _print(outcome: Outcome) -> None:
    machine = outcome.machine
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    print(f"{machine['date']}, {machine['cpu']}, Linux {machine['kernel']}, Python {machine['python']}, {packages}")
    print(f"load average {machine['load_average']:.1f}; minimum, median and maximum of the rounds\n")
    print(f"{'':26}{'CPU µs/record':>20}{'CPU s/GB':>22}{'records/s':>32}{'a core':>8}")
    for mode in dict.fromkeys(sample.mode for sample in outcome.samples):
        for target in dict.fromkeys(sample.target for sample in outcome.samples):
            _print_row(mode, target, [s for s in outcome.samples if (s.mode, s.target) == (mode, target)])
        _print_ratios(mode, outcome)
    records = {sample.records for sample in outcome.samples}
    size = sum(sample.bytes for sample in outcome.samples) / sum(sample.records for sample in outcome.samples)
    print(f"\nrecords of {size:,.0f} bytes on the wire, up to {max(records):,} in a round")
    for name, agent in outcome.agents.items():
        shares = ", ".join(
            f"{agent.totals[what] / agent.totals['records']:.1%} {what}" for what in ("candidates", "matches")
        )
        print(
            f"{name}: {agent.peak_rss_kib / 1024:.1f} MiB at most, {agent.rss_kib / 1024:.1f} MiB at the end; "
            f"idle: {agent.idle_us_per_s:.0f} µs of CPU a second; {shares}; "
            + ", ".join(f"{number:,} {what}" for what, number in agent.totals.items())
        )
    for name, waits in outcome.latencies.items():
        ms = sorted(wait * 1000 for wait in waits)
        median, late = statistics.median(ms), ms[int(len(ms) * 0.99)]
        print(f"{name}: acks at half the load after {median:.1f} ms, 99 % within {late:.1f} ms")


def _print_row(mode: str, target: str, samples: Sequence[Sample]) -> None:
    cores = statistics.median(sample.cpu_us / 1e6 / sample.seconds for sample in samples)
    print(
        f"{mode:8}{target:18}"
        f"{_spread(sample.us_per_record for sample in samples):>20}"
        f"{_spread(sample.s_per_gb for sample in samples):>22}"
        f"{_spread((sample.records_per_s for sample in samples), '{:,.0f}'):>32}"
        f"{cores:>8.0%}"
    )


def _print_ratios(mode: str, outcome: Outcome) -> None:
    """Each agent's CPU as a multiple of that of each other target and of the first agent, in the same round."""
    used = {(sample.target, sample.round): sample.us_per_record for sample in outcome.samples if sample.mode == mode}
    rounds = sorted({number for _, number in used})
    first, *_ = outcome.agents
    for agent in outcome.agents:
        for other in dict.fromkeys(target for target, _ in used):
            if other == agent or (other in outcome.agents and other != first):
                continue
            ratios = _spread((used[agent, number] / used[other, number] for number in rounds), "{:.1f}")
            print(f"{mode:8}{agent} / {other}: {ratios} times the CPU")


def _spread(numbers: Iterable[float], form: str = "{:.2f}") -> str:
    found = list(numbers)
    return " ".join(form.format(number) for number in (min(found), statistics.median(found), max(found)))


if __name__ == "__main__":
    sys.exit(main())
