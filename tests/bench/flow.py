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
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.processes import Peer, cpu_ns, memory_kib, relay, relays, sink
from support.agent import FIRST_RULE, AgentProcess, write_config

AGENT = "firstseen"
MODES = ("forward", "packed", "gzip")
IDLE_S = 1.0


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
class Outcome:
    """Everything that a run found out."""

    machine: dict[str, Any]
    samples: list[Sample]
    idle_us_per_s: float
    rss_kib: int
    peak_rss_kib: int
    totals: dict[str, int]


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
    parser.add_argument(
        "--rules",
        type=lambda text: Path(text).resolve(),
        default=FIRST_RULE,
        help="a file or a directory (%(default)s); of others matches are told of",
    )
    parser.add_argument("--json", action="store_true", help="every sample, as JSON")
    options = parser.parse_args(arguments)
    options.modes = options.modes.split(",")
    if not set(options.modes) <= set(MODES):
        parser.error(f"--modes: choose from {', '.join(MODES)}")
    return options


def _measure(options: argparse.Namespace, folder: Path) -> Outcome:
    with ExitStack() as stack:
        downstream = stack.enter_context(sink())
        config = write_config(
            folder / "bench.toml", downstream=f"127.0.0.1:{downstream}", state=folder / "state", rules=options.rules
        )
        agent = stack.enter_context(AgentProcess(config))
        targets = {AGENT: (agent.pid, agent.port)}
        for name in relays():
            targets[name] = stack.enter_context(relay(name, downstream, folder))
        names = ("size", "count", "hits", "window", "new_every")
        load = {name: getattr(options, name) for name in names}
        source = stack.enter_context(Peer("bench.source", json.dumps(load)))
        for name, (_, port) in targets.items():
            source.ask("connect", name=name, port=port)
        samples, sent = _rounds(options, source, targets)
        idle = _idle(agent.pid)
        rss, peak = memory_kib(agent.pid)
        totals = dict(agent.stop())
        _check(totals, sent if options.rules == FIRST_RULE else sent | _judged(totals))
        sent |= _judged(totals)
    machine = _machine()
    return Outcome(machine, samples, idle, rss, peak, sent)


def _rounds(
    options: argparse.Namespace, source: Peer, targets: dict[str, tuple[int, int]]
) -> tuple[list[Sample], dict[str, int]]:
    """The samples of all rounds, targets in turn, and what the agent was sent in all."""
    sent = dict.fromkeys(("records", "matches", "alerts"), 0)

    def run(mode: str, name: str, number: int, chunks: int) -> Sample:
        source.ask("prepare", mode=mode, chunks=chunks)
        before = cpu_ns(targets[name][0])
        done = source.ask("run", name=name)
        used = cpu_ns(targets[name][0]) - before
        if name == AGENT:
            for key in sent:
                sent[key] += done[key]
        return Sample(mode, name, number, done["records"], done["bytes"], done["seconds"], used / 1000)

    names = list(targets)
    for mode in options.modes:
        for name in names:
            run(mode, name, -1, options.warm_up)
    samples = []
    for number in range(options.rounds):
        turn = number % len(names)
        for mode in options.modes:
            samples += [run(mode, name, number, options.chunks) for name in names[turn:] + names[:turn]]
    return samples, sent


def _idle(pid: int) -> float:
    """Microseconds of CPU in a second in which nothing comes."""
    before = cpu_ns(pid)
    time.sleep(IDLE_S)
    return (cpu_ns(pid) - before) / 1000 / IDLE_S


def _judged(totals: dict[str, Any]) -> dict[str, int]:
    return {name: totals[name] for name in ("matches", "alerts")}


def _check(totals: dict[str, Any], sent: dict[str, int]) -> None:
    """A figure counts only if the work was done: every record went through, every hit was judged."""
    expected = {
        "records_in": sent["records"],
        "records_out": sent["records"],
        "records_rejected": 0,
        "matches": sent["matches"],
        "alerts": sent["alerts"],
        "suppressed": sent["matches"] - sent["alerts"],
    }
    counted = {name: totals[name] for name in expected}
    if counted != expected:
        raise SystemExit(f"the agent counted {counted}, where {expected} is right")


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
    print(f"{'':18}{'CPU µs/record':>20}{'CPU s/GB':>22}{'records/s':>32}{'a core':>8}")
    for mode in dict.fromkeys(sample.mode for sample in outcome.samples):
        for target in dict.fromkeys(sample.target for sample in outcome.samples):
            _print_row(mode, target, [s for s in outcome.samples if (s.mode, s.target) == (mode, target)])
        _print_ratios(mode, outcome.samples)
    records = {sample.records for sample in outcome.samples}
    size = sum(sample.bytes for sample in outcome.samples) / sum(sample.records for sample in outcome.samples)
    hits = outcome.totals["matches"] / outcome.totals["records"]
    print(f"\nrecords of {size:,.0f} bytes on the wire, up to {max(records):,} in a round, {hits:.1%} hits")
    print(
        f"agent: {outcome.peak_rss_kib / 1024:.1f} MiB at most, {outcome.rss_kib / 1024:.1f} MiB at the end", end="; "
    )
    print(f"idle: {outcome.idle_us_per_s:.0f} µs of CPU a second")
    print("in all: " + ", ".join(f"{number:,} {name}" for name, number in outcome.totals.items()))


def _print_row(mode: str, target: str, samples: Sequence[Sample]) -> None:
    cores = statistics.median(sample.cpu_us / 1e6 / sample.seconds for sample in samples)
    print(
        f"{mode:8}{target:10}"
        f"{_spread(sample.us_per_record for sample in samples):>20}"
        f"{_spread(sample.s_per_gb for sample in samples):>22}"
        f"{_spread((sample.records_per_s for sample in samples), '{:,.0f}'):>32}"
        f"{cores:>8.0%}"
    )


def _print_ratios(mode: str, samples: Sequence[Sample]) -> None:
    """The agent's CPU as a multiple of each relay's, of the same round."""
    used = {(sample.target, sample.round): sample.us_per_record for sample in samples if sample.mode == mode}
    rounds = sorted({number for _, number in used})
    for target in dict.fromkeys(sample.target for sample in samples if sample.target != AGENT):
        ratios = _spread((used[AGENT, number] / used[target, number] for number in rounds), "{:.1f}")
        print(f"{mode:8}{AGENT} / {target}: {ratios} times the CPU")


def _spread(numbers: Iterable[float], form: str = "{:.2f}") -> str:
    found = list(numbers)
    return " ".join(form.format(number) for number in (min(found), statistics.median(found), max(found)))


if __name__ == "__main__":
    sys.exit(main())
