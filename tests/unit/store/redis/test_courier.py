from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from firstseen.errors import StoreError
from firstseen.store.ledger import Outcome
from firstseen.store.redis.courier import Courier, Round
from firstseen.store.redis.link import Part

LONG = 60


class Bench:
    """A courier whose rounds are put in by hand, and whose way fails as often as it is told to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rounds: deque[Round] = deque()
        self.sent: list[list[tuple[Part, ...]]] = []
        self.failures: deque[BaseException] = deque()
        self.told: list[StoreError | None] = []
        self.given_up: list[StoreError] = []
        self.due_s: float | None = None
        self.courier = Courier(self, self.lock, self._gather, self._give_up, self.told.append)

    def together(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        self.sent.append([tuple(command) for command in commands])
        if self.failures:
            raise self.failures.popleft()
        return [command[0] for command in commands]

    def add(self, *commands: tuple[Part, ...] | None) -> Future[list[Any]]:
        """A round with these commands; the future ends with their answers."""
        answers: list[Any] = []
        done: Future[Any] = Future()
        trip = Round()
        for command in commands:
            trip.add(command, lambda answer: answers.append(answer) or ())
        trip.add(None, lambda _: [Outcome(done, None)])
        with self.lock:
            self.rounds.append(trip)
            self.courier.wake()
        done.add_done_callback(lambda _: None)
        ended: Future[list[Any]] = Future()
        done.add_done_callback(lambda _: ended.set_result(answers))
        return ended

    def _gather(self) -> tuple[Round, float | None]:
        return (self.rounds.popleft() if self.rounds else Round()), self.due_s

    def _give_up(self, error: StoreError) -> Sequence[Outcome]:
        self.given_up.append(error)
        return ()

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LONG
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.courier.close()


def test_answers_go_to_who_asked_in_order(bench: Bench) -> None:
    assert bench.add((b"one",), None, (b"two", 1)).result(LONG) == [b"one", None, b"two"]
    assert bench.sent == [[(b"one",), (b"two", 1)]]


def test_a_round_without_commands_is_answered_as_well(bench: Bench) -> None:
    assert bench.add(None).result(LONG) == [None]


def test_a_round_that_fails_is_tried_again_and_told_of_once(bench: Bench) -> None:
    bench.failures.extend(StoreError(f"failure {number}") for number in range(3))
    assert bench.add((b"one",)).result(LONG) == [b"one"]
    assert bench.sent == [[(b"one",)]] * 4
    bench.until(lambda: len(bench.told) == 2)
    assert str(bench.told[0]) == "failure 0"
    assert bench.told[1] is None
    assert bench.courier.problem is None


def test_a_round_is_under_way_until_it_is_answered(bench: Bench) -> None:
    assert bench.courier.trip is None
    bench.failures.extend(StoreError("away") for _ in range(1_000))
    bench.add((b"one",))
    bench.until(lambda: len(bench.sent) > 1)
    trip, sent_s = bench.courier.trip, bench.courier.sent_s
    assert trip is not None
    assert trip.commands == [(b"one",)]
    bench.until(lambda: len(bench.sent) > 2)
    assert (bench.courier.trip, bench.courier.sent_s) == (trip, sent_s)
    bench.failures.clear()
    bench.until(lambda: bench.courier.trip is None)


def test_while_it_fails_the_problem_is_the_last_failure(bench: Bench) -> None:
    bench.failures.extend(StoreError("away") for _ in range(1_000))
    bench.add((b"one",))
    bench.until(lambda: bench.courier.problem is not None)
    assert str(bench.courier.problem) == "away"
    bench.courier.close()
    assert [str(error) for error in bench.given_up] == ["away"]
    assert bench.courier.trip is None


def test_a_mistake_ends_it_and_all_who_wait(bench: Bench) -> None:
    bench.failures.append(RuntimeError("a mistake"))
    bench.add((b"one",))
    bench.until(lambda: bool(bench.given_up))
    assert "cannot be used any more: RuntimeError('a mistake')" in str(bench.courier.problem)
    assert bench.courier.trip is None


def test_what_is_due_later_is_gathered_then(bench: Bench) -> None:
    with bench.lock:
        bench.due_s = time.monotonic() + 0.05
        bench.courier.wake()
    time.sleep(0.01)
    trip = Round()
    done: Future[None] = Future()
    trip.add(None, lambda _: [Outcome(done, None)])
    bench.rounds.append(trip)  # and nobody wakes it
    done.result(LONG)
