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
from firstseen.pruner import MOST_SPEED, REST_S, RETRY_S, STEP_S, Pruner
from firstseen.store.base import RuleState
from firstseen.store.disk import META
from firstseen.store.lmdb import LmdbStore
from firstseen.store.sweep import KEYS_AT_ONCE, LATE_MS
from firstseen.store.tables import REACHED

RULE = RuleState(b"8 bytes.", "rule", "Rule", 0)
LONG = 60
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS


class Bench:
    """A pruner with a real store, two clocks, and a loop whose timers and calls the test lets happen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts = Counts()
        self.now_ms = 2 * LATE_MS
        self.steady_s = 1_000.0
        self.begin()

    def begin(self) -> None:
        """The process begins."""
        self.store = LmdbStore.open(self.folder, 1 << 20, durable=False)
        self.store.register([RULE], self.now_ms)
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.pruner = Pruner(
            self.store,
            self.counts,
            lambda: self.now_ms,
            lambda: self.steady_s,
            self.call_later,
            self.call_soon_threadsafe,
        )
        self.pruner.start()

    def restart(self) -> None:
        """It ends, and begins again; how long that takes no steady clock tells."""
        self.pruner.stop()
        self.store.close()
        self.steady_s = 0.0
        self.begin()

    def let_pass(self, seconds: float) -> None:
        """As both clocks have it."""
        self.now_ms += int(seconds * 1_000)
        self.steady_s += seconds

    def rounds(self, count: int) -> None:
        """So many, and the rest in between."""
        for _ in range(count):
            self.let_pass(self.step())

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
    assert bench.timers[0][0] == STEP_S

    assert (bench.step(), bench.step()) == (STEP_S, REST_S)
    assert bench.counts.terms_pruned == KEYS_AT_ONCE
    assert [entry.terms for entry in bench.store.entries()] == [(-1,)]
    assert bench.step() == REST_S


def test_before_the_first_sighting_nothing_is_known_of_the_time(bench: Bench) -> None:
    bench.see(0, 1)
    bench.restart()

    assert bench.step() == RETRY_S
    assert bench.store.swept.rounds == 0


@pytest.mark.parametrize(("newest", "now"), [(LATE_MS, 1 << 50), (1 << 50, LATE_MS)])
def test_a_clock_that_runs_ahead_makes_nothing_forgotten(bench: Bench, newest: int, now: int) -> None:
    bench.see(0, 1)
    bench.see(newest, 2)
    bench.now_ms = now

    assert bench.step() == REST_S
    assert bench.counts.terms_pruned == 0


class TestTheMachinesClockAlone:
    """Sightings are dated by arrival: by the same clock that may be wrong."""

    def known(self, bench: Bench) -> set[Any]:
        return {entry.terms[0] for entry in bench.store.entries()}

    @pytest.mark.parametrize("steps", [1, 20])
    def test_that_was_ahead_at_the_start_for_less_than_a_day_makes_nothing_forgotten(
        self, bench: Bench, steps: int
    ) -> None:
        bench.see(bench.now_ms, 1)
        bench.now_ms += YEAR_MS
        bench.restart()
        bench.see(bench.now_ms, 2)
        bench.rounds(steps)
        bench.now_ms -= YEAR_MS
        bench.see(bench.now_ms, 3)
        bench.rounds(1)

        assert self.known(bench) == {1, 2, 3}
        assert bench.counts.terms_pruned == 0

    def test_that_jumps_ahead_after_a_long_while_makes_nothing_forgotten(self, bench: Bench) -> None:
        bench.see(bench.now_ms, 0)
        bench.rounds(100 * 24)
        bench.see(bench.now_ms, 1)
        bench.rounds(1)
        assert self.known(bench) == {1}
        bench.now_ms += YEAR_MS
        bench.see(bench.now_ms, 2)
        bench.rounds(20)

        assert self.known(bench) == {1, 2}

    def test_that_jumps_ahead_after_nothing_came_for_long_makes_nothing_forgotten(self, bench: Bench) -> None:
        bench.see(bench.now_ms, 1)
        bench.restart()
        for _ in range(6 * 24 * 60):
            assert bench.step() == RETRY_S
            bench.let_pass(RETRY_S)
        bench.now_ms += YEAR_MS
        bench.see(bench.now_ms, 2)
        bench.step()

        assert self.known(bench) == {1, 2}

    def test_that_is_ahead_through_restarts_makes_nothing_forgotten(self, bench: Bench) -> None:
        bench.see(bench.now_ms, 1)
        bench.now_ms += YEAR_MS
        for number in range(20):
            bench.restart()
            bench.see(bench.now_ms, 2 + number)
            bench.rounds(1)

        assert 1 in self.known(bench)

    def test_of_a_machine_that_was_off_for_a_year_is_followed_after_a_while(self, bench: Bench) -> None:
        bench.see(bench.now_ms, 1)
        bench.now_ms += YEAR_MS
        bench.restart()
        bench.see(bench.now_ms, 2)
        bench.rounds(20)
        assert self.known(bench) == {1, 2}
        bench.rounds(365 * 24 // (MOST_SPEED - 1) + 24)
        bench.see(bench.now_ms, 3)
        bench.rounds(2)

        assert self.known(bench) == {3}
        assert (bench.store.reached_ms or 0) > bench.now_ms - DAY_MS

    def test_that_was_behind_is_followed_at_once_when_it_is_right(self, bench: Bench) -> None:
        right = bench.now_ms
        bench.see(right, 1)
        bench.now_ms = 1
        bench.restart()
        bench.see(bench.now_ms, 2)
        bench.rounds(2)
        bench.now_ms = right
        bench.rounds(LATE_MS // 3_600_000)
        bench.see(bench.now_ms + 1, 3)
        bench.rounds(2)

        assert self.known(bench) == {3}


def test_of_a_state_that_does_not_say_how_far_it_had_come_the_machines_time_is_taken(bench: Bench) -> None:
    bench.see(bench.now_ms, 1)
    bench.store._put((META, {REACHED: None}))
    bench.now_ms += YEAR_MS
    bench.restart()
    assert bench.store.reached_ms is None
    bench.see(bench.now_ms, 2)
    bench.rounds(1)

    assert bench.counts.terms_pruned == 1
    assert bench.store.reached_ms is not None


def test_a_step_that_failed_is_told_of_and_tried_again(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.see(0, 1)
    bench.see(2 * LATE_MS, 2)
    bench.store.close()

    assert bench.step() == RETRY_S
    assert "state_not_pruned" in caplog.text


def test_after_the_stop_no_step_comes(bench: Bench) -> None:
    bench.see(0, 1)
    ((_, call),) = bench.timers
    call()
    bench.pruner.stop()
    bench.calls.get(timeout=LONG)()

    assert bench.timers == []
