from __future__ import annotations

import functools
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.metrics import Counts
from firstseen.pruner import REST_S, RETRY_S, STEP_S, Pruner
from firstseen.store.base import RuleState
from firstseen.store.lmdb import LmdbStore
from firstseen.store.sweep import KEYS_AT_ONCE, LATE_MS

RULE = RuleState(b"8 bytes.", "rule", "Rule", 0)
LONG = 60


class Bench:
    """A pruner with a real store, a clock, and a loop whose timers and calls the test lets happen."""

    def __init__(self, folder: Path) -> None:
        self.store = LmdbStore.open(folder, 1 << 20, durable=False)
        self.store.register([RULE], 0)
        self.counts = Counts()
        self.now_ms = 2 * LATE_MS
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.pruner = Pruner(self.store, self.counts, lambda: self.now_ms, self.call_later, self.call_soon_threadsafe)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Bench:
        self.timers.append((seconds, call))
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def call_soon_threadsafe(self, call: Callable[..., None], *arguments: Any) -> None:
        self.calls.put(functools.partial(call, *arguments))

    def step(self) -> float:
        """Let the timer end and the step be done; how long until the next."""
        ((_, call),) = self.timers
        self.timers.clear()
        call()
        if not self.timers:
            self.calls.get(timeout=LONG)()
        return self.timers[0][0]

    def see(self, time: int, *terms: int) -> None:
        claims = [self.store.claim(RULE, (term,), Occurrence(time, "e"), NewTermsLaw(0)) for term in terms]
        self.store.confirm(claims).result(LONG)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_a_round_is_done_in_steps_and_then_it_rests(bench: Bench) -> None:
    bench.see(0, *range(KEYS_AT_ONCE))
    bench.see(LATE_MS + 1, -1)
    bench.pruner.start()
    assert bench.timers[0][0] == STEP_S

    assert (bench.step(), bench.step()) == (STEP_S, REST_S)
    assert bench.counts.terms_pruned == KEYS_AT_ONCE
    assert [entry.terms for entry in bench.store.entries()] == [(-1,)]
    assert bench.step() == REST_S


def test_before_the_first_sighting_nothing_is_known_of_the_time(bench: Bench) -> None:
    bench.see(0, 1)
    bench.store.close()
    bench.store = LmdbStore.open(Path(bench.store._path), 1 << 20, durable=False)
    bench.pruner._store = bench.store
    bench.pruner.start()

    assert bench.step() == RETRY_S
    assert bench.store.swept.rounds == 0


@pytest.mark.parametrize(("newest", "now"), [(LATE_MS, 1 << 50), (1 << 50, LATE_MS)])
def test_a_clock_that_runs_ahead_makes_nothing_forgotten(bench: Bench, newest: int, now: int) -> None:
    bench.see(0, 1)
    bench.see(newest, 2)
    bench.now_ms = now
    bench.pruner.start()

    assert bench.step() == REST_S
    assert bench.counts.terms_pruned == 0


def test_a_step_that_failed_is_told_of_and_tried_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.see(0, 1)
    bench.see(2 * LATE_MS, 2)
    bench.pruner.start()
    bench.store.close()

    assert bench.step() == RETRY_S
    assert "state_not_pruned" in caplog.text


def test_after_the_stop_no_step_comes(bench: Bench) -> None:
    bench.see(0, 1)
    bench.pruner.start()
    ((_, call),) = bench.timers
    call()
    bench.pruner.stop()
    bench.calls.get(timeout=LONG)()

    assert bench.timers == []
