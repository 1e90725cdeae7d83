"""What the state costs: bytes a term on disk, time to get and to claim, time to prune, memory. See README.md.

PYTHONPATH=tests python -m bench.store --terms 1000000
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID

from bench.remembering import Load, compare, memory
from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.matches import history_of, law_of
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.rules.loader import load_rules
from firstseen.store.base import Entry, RuleState
from firstseen.store.compaction import compact
from firstseen.store.lmdb import LmdbStore
from support.agent import FIRST_RULE

DAY_MS = 86_400_000
START_MS = time.time_ns() // 1_000_000 - DAY_MS
"""Yesterday: for an agent that runs today, all of them are known."""
GROUP = 1_000
SAMPLE = 20_000
COLD_SAMPLE = 5_000
(_RULE,) = load_rules([FIRST_RULE]).rules
_LAW = law_of(_RULE)
assert isinstance(_LAW, NewTermsLaw)
LAW = _LAW
RULE = RuleState(history_of(_RULE), _RULE.id, _RULE.name, LAW.reach_ms)


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


def map_size(terms: int) -> int:
    return max(1 << 30, terms * 400)


def fill(folder: Path, numbers: list[int]) -> None:
    """Remember each of them once, a chunk's worth in a transaction, in this order: as it is written in the end.

    Without waiting for the disk, and without the claims before it: what these take is measured afterwards.
    """
    store = LmdbStore.open(folder, map_size(len(numbers)), durable=False)
    store.register([RULE], START_MS)
    start = time.perf_counter()
    for at in range(0, len(numbers), GROUP):
        found = {}
        for number in numbers[at : at + GROUP]:
            entry = Entry(
                RULE.key, arn(number), Sighting(START_MS + at, START_MS + at, 1, event(number), event(number))
            )
            found[state_key(RULE.key, entry.terms)] = entry
        store.fold(found, {}, max)
    report("filled", f"{(time.perf_counter() - start) / len(numbers) * 1e6:.1f} µs a term, not durable")
    sizes = store.stats()
    assert sizes.entries == len(numbers)
    report(
        "on disk", f"{sizes.file_bytes / len(numbers):.1f} bytes a term, {sizes.used_bytes / len(numbers):.1f} in use"
    )
    store.close()


def forget_cached_pages(folder: Path) -> None:
    """Have the kernel drop what it holds of the file; it is open nowhere."""
    file = os.open(folder / "lmdb" / "data.mdb", os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def ask(folder: Path, terms: int, chance: random.Random) -> None:
    """How long it takes to get and to claim, cold and warm; durable, as in an agent."""
    forget_cached_pages(folder)
    store = LmdbStore.open(folder, map_size(terms))
    cold = [chance.randrange(terms) for _ in range(COLD_SAMPLE)]
    report("get, cold", timed(lambda number: store.get(RULE.key, arn(number)), cold))
    for number in range(terms // 20):  # a page holds some 35
        store.get(RULE.key, arn(chance.randrange(terms)) if number % 2 else arn(number * 20 % terms))
    known = [chance.randrange(terms) for _ in range(SAMPLE)]
    report("get, warm", timed(lambda number: store.get(RULE.key, arn(number)), known))
    claims = []
    occurrence = Occurrence(START_MS + terms + 2, event(-1))

    def claim(number: int) -> None:
        claims.append(store.claim(RULE, arn(number), occurrence, LAW))

    report("claim, known", timed(claim, known))
    report("claim, new", timed(claim, range(terms, terms + SAMPLE)))
    store.release(claims)
    start = time.perf_counter()
    for at in range(0, SAMPLE, GROUP):
        claim_and_confirm(store, known[at : at + GROUP], START_MS + terms + 1, 1)
    report("claim and confirm, known terms", f"{(time.perf_counter() - start) / SAMPLE * 1e6:.1f} µs a term, durable")
    start = time.perf_counter()
    for at in range(terms, terms + SAMPLE, GROUP):
        claim_and_confirm(store, range(at, at + GROUP), START_MS + terms + 1, 1)
    report("claim and confirm, new terms", f"{(time.perf_counter() - start) / SAMPLE * 1e6:.1f} µs a term, durable")
    report("memory of this process", memory("self"))
    store.close()


def control(folder: Path, terms: int) -> None:
    """The same in an empty state."""
    store = LmdbStore.open(folder, map_size(terms))
    store.register([RULE], START_MS)
    start = time.perf_counter()
    for at in range(0, SAMPLE, GROUP):
        claim_and_confirm(store, range(at, at + GROUP), START_MS + terms + 1, 1)
    report("the same, in an empty state", f"{(time.perf_counter() - start) / SAMPLE * 1e6:.1f} µs a term, durable")
    store.close()


def bench(folder: Path, terms: int, rounds: int, chance: random.Random) -> None:
    large = folder / "large"
    numbers = list(range(terms))
    chance.shuffle(numbers)
    fill(large, numbers)
    del numbers
    ask(large, terms, chance)
    control(folder / "control", terms)
    load = Load(terms, terms + SAMPLE, lambda number: arn(number)[0], event, chance)
    for what, figure in compare(folder, FIRST_RULE, load, terms, rounds):
        report(what, figure)
    start = time.perf_counter()
    sizes = compact(large)
    entries = terms + SAMPLE
    report("compacted", f"{sizes.after / entries:.1f} bytes a term, in {time.perf_counter() - start:.1f} s")
    store = LmdbStore.open(large, map_size(terms), durable=False)
    store.register([RULE], START_MS)
    prune(store, "look at all terms, forget none", START_MS + DAY_MS)
    prune(store, "forget all terms, not durable", START_MS + 1_000 * DAY_MS)
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
    parser.add_argument("--rounds", type=int, default=7, help="of an agent over it beside one over an empty state")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        bench(Path(made), options.terms, options.rounds, random.Random(options.seed))
