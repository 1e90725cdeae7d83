"""What the state costs: bytes a term on disk, time to get and to claim, time to prune, memory. See README.md.

PYTHONPATH=tests python -m bench.store --terms 1000000
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.store.base import RuleState
from firstseen.store.compaction import compact
from firstseen.store.lmdb import LmdbStore

DAY_MS = 86_400_000
LAW = NewTermsLaw(10 * DAY_MS)
RULE = RuleState(b"8 bytes.", "30fbf4db-c502-4e68-a239-2e99af0f70da", "The first call", LAW.reach_ms)
START_MS = 1_790_000_000_000
GROUP = 1_000
SAMPLE = 20_000
EMPTY = 2_000


def arn(number: int) -> tuple[str]:
    return (f"arn:aws:iam::111122223333:user/team-{number % 97:02}/{number:08}",)


def event(number: int) -> str:
    return str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128)))


def claim_and_confirm(store: LmdbStore, numbers: Iterable[int], time_ms: int, salt: int) -> None:
    """One chunk: each term claimed, and all of them confirmed in one commit."""
    store.confirm(
        [store.claim(RULE, arn(number), Occurrence(time_ms, event(number + salt)), LAW) for number in numbers]
    ).result()


def timed(run: Callable[[int], object], numbers: Iterable[int]) -> str:
    """Microseconds that it takes for one: half of the time, and in 99 of 100 cases."""
    took = []
    for number in numbers:
        start = time.perf_counter_ns()
        run(number)
        took.append((time.perf_counter_ns() - start) / 1_000)
    return f"{statistics.median(took):.1f} µs (99 %: {statistics.quantiles(took, n=100)[98]:.1f})"


def memory() -> str:
    """Resident bytes of this process: its own, and those that are pages of the file."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    own, shared = (int(lines[name].split()[0]) >> 10 for name in ("RssAnon", "RssFile"))
    return f"{own} MiB of its own, {shared} MiB of mapped files"


def bench(folder: Path, terms: int, chance: random.Random) -> None:
    store = LmdbStore.open(folder, max(1 << 30, terms * 400))
    store.register(RULE, START_MS)
    numbers = list(range(terms))
    chance.shuffle(numbers)
    start = time.perf_counter()
    for at in range(0, terms, GROUP):
        claim_and_confirm(store, numbers[at : at + GROUP], START_MS + at, 0)
        if at == EMPTY:
            report("claim and confirm, the first terms", f"{(time.perf_counter() - start) / at * 1e6:.1f} µs a term")
    report("claim and confirm, all of them", f"{(time.perf_counter() - start) / terms * 1e6:.1f} µs a term")
    last = chance.sample(numbers, SAMPLE)
    start = time.perf_counter()
    for at in range(0, SAMPLE, GROUP):
        claim_and_confirm(store, last[at : at + GROUP], START_MS + terms + 1, 1)
    report("claim and confirm, known terms", f"{(time.perf_counter() - start) / SAMPLE * 1e6:.1f} µs a term")
    sizes = store.stats()
    report("on disk", f"{sizes.file_bytes / terms:.0f} bytes a term, {sizes.used_bytes / terms:.0f} in use")
    get = timed(lambda number: store.get(RULE.key, arn(number)), chance.sample(numbers, SAMPLE))
    report("get", get)
    claims = []
    occurrence = Occurrence(START_MS + terms + 2, event(-1))
    known = chance.sample(numbers, SAMPLE)
    report("claim, known", timed(lambda number: claims.append(store.claim(RULE, arn(number), occurrence, LAW)), known))
    new = range(terms, terms + SAMPLE)
    report("claim, new", timed(lambda number: claims.append(store.claim(RULE, arn(number), occurrence, LAW)), new))
    store.release(claims)
    report("memory", memory())
    store.close()
    start = time.perf_counter()
    after = compact(folder).after
    report("compacted", f"{after / terms:.0f} bytes a term, in {time.perf_counter() - start:.1f} s")
    store = LmdbStore.open(folder, max(1 << 30, terms * 400))
    prune(store, "look at all terms, forget none", START_MS)
    prune(store, "forget all terms", START_MS + 100 * DAY_MS)
    assert store.stats().entries == 0
    store.close()


def prune(store: LmdbStore, what: str, now_ms: int) -> None:
    """A whole round at once, which the agent does in small steps."""
    before = store.swept
    started, steps = time.perf_counter(), 0
    longest = 0.0
    while store.swept.rounds == before.rounds:
        start = time.perf_counter()
        store.prune(now_ms).result()
        longest = max(longest, time.perf_counter() - start)
        steps += 1
    took, pruned = time.perf_counter() - started, store.swept.pruned - before.pruned
    report(what, f"{took:.1f} s in {steps} steps, the longest {longest * 1e3:.1f} ms; {pruned} forgotten")


def report(what: str, figure: str) -> None:
    print(f"{what:<36} {figure}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--terms", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="Where the state is made; by default a temporary one.")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        bench(Path(made), options.terms, random.Random(options.seed))
