"""An agent over a large state and one over an empty one, in turns under the same load: what a record costs, and memory.

Of the records 20 in each chunk match the first shipped rule, as in `bench.flow`. *Known* callers are any of the many
that the large state has, and a few of them over and over for the other agent; *new* ones neither has seen.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.data import is_hit
from bench.processes import cpu_ns, sink
from support import corpus
from support.agent import AgentProcess, write_config
from support.peer_frames import entry_v1, forward
from support.peers import Source

RECORDS = 1_880
HITS = 20
CHUNKS = 40
WINDOW = 4
FEW = 1_000
"""Callers that the agent with the empty state knows."""
TIME_NS = 1_790_100_000_000_000_000
WARM_UP = 10

Named = Callable[[int], str]


class Load:
    """Chunks of records of a synthetic day; ``arn`` and ``event`` give the names of callers and events by number.

    The first ``known`` are known; from ``new`` on nobody is.
    """

    def __init__(self, known: int, new: int, arn: Named, event: Named, chance: random.Random) -> None:
        day = corpus.day(records=4_000)
        self._hit = next(record for record in day if is_hit(record))
        others = [record for record in day if not is_hit(record)][: RECORDS - HITS]
        self._others = [entry_v1(record, TIME_NS) for record in others]
        self._known, self._arn, self._event, self._chance = known, arn, event, chance
        self._new = new
        self._number = 0

    def chunks(self, count: int, *, known: int | None) -> list[bytes]:
        """So many chunks, in which any of the first ``known`` call, or with None only new ones."""
        return [self._chunk(self._callers(known)) for _ in range(count)]

    def _callers(self, known: int | None) -> Iterator[int]:
        for _ in range(HITS):
            self._new += known is None
            yield self._new if known is None else self._chance.randrange(min(known, self._known))

    def _chunk(self, callers: Iterator[int]) -> bytes:
        entries = list(self._others)
        step = len(entries) // HITS
        for place, caller in enumerate(callers):
            self._number += 1
            entries.insert(place * step, entry_v1(self._record(caller), TIME_NS))
        return forward("aws.cloudtrail", entries, chunk=f"c-{self._number}", size=len(entries))

    def _record(self, caller: int) -> dict[str, object]:
        identity = {**self._hit["userIdentity"], "arn": self._arn(caller)}
        return {**self._hit, "userIdentity": identity, "eventID": self._event(-self._number)}


def compare(folder: Path, rule: Path, load: Load, known: int, rounds: int) -> Iterator[tuple[str, str]]:
    """What there is to report, line by line. ``folder`` has the large state in ``large``; the other is made in it."""
    with ExitStack() as stack:
        downstream = stack.enter_context(sink())
        agents: dict[str, AgentProcess] = {}
        sources: dict[str, Source] = {}
        for name in ("large", "empty"):
            config = write_config(
                folder / f"{name}.toml", downstream=f"127.0.0.1:{downstream}", state=folder / name, rules=rule
            )
            config.write_text(config.read_text().replace("64MiB", f"{max(1 << 30, known * 400) >> 20}MiB"))
            agents[name] = stack.enter_context(AgentProcess(config))
            sources[name] = stack.enter_context(Source(agents[name].port))
        of = {"large": known, "empty": min(FEW, known)}
        for name, source in sources.items():
            source.deliver(load.chunks(WARM_UP if name == "large" else max(WARM_UP, FEW // HITS * 5), known=of[name]))
            yield f"memory, {name}, before", memory(agents[name].pid)
        for kind in ("known", "new"):
            used: dict[str, list[float]] = {name: [] for name in agents}
            for number in range(rounds):
                for name in list(agents) if number % 2 else list(agents)[::-1]:
                    frames = load.chunks(CHUNKS, known=of[name] if kind == "known" else None)
                    before = cpu_ns(agents[name].pid)
                    sources[name].deliver(frames, WINDOW)
                    used[name].append((cpu_ns(agents[name].pid) - before) / 1e3 / CHUNKS / RECORDS)
            for name, each in used.items():
                yield f"a record, {kind} callers, {name}", f"{statistics.median(each):.2f} µs of CPU ({spread(each)})"
            ratios = [large / empty for large, empty in zip(used["large"], used["empty"], strict=True)]
            yield f"large / empty, {kind} callers", f"{statistics.median(ratios):.2f} times ({spread(ratios)})"
        for name, agent in agents.items():
            yield f"memory, {name}, after", memory(agent.pid)
            totals = agent.stop()
            if totals["records_in"] != totals["records_out"] or totals["records_rejected"]:
                raise SystemExit(f"not all records went through: {totals}")
            yield f"{name} counted", f"{totals['alerts']} alerts, {totals['suppressed']} suppressed"


def spread(numbers: list[float]) -> str:
    return f"{min(numbers):.2f}-{max(numbers):.2f}"


def memory(pid: int | str) -> str:
    """Resident bytes of a process: its own, and those that are pages of files, which it shares with the page cache."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    own, shared, file = (int(lines[name].split()[0]) / 1024 for name in ("RssAnon", "RssShmem", "RssFile"))
    return f"{own + shared:.1f} MiB of its own, {file:.0f} MiB of mapped files"
