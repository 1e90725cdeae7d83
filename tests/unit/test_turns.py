from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from firstseen.errors import FirstseenError, ProtocolError
from firstseen.steps import SLICE_S, Steps, WaitingSteps
from firstseen.turns import Turns


class Bench:
    """Turns whose clock goes on by a slice with each step, and whose loop turns when it is told to."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], None]] = deque()
        self.log: list[str] = []
        self.now_s = 0.0
        self.room = True
        self.turns: Turns[str] = Turns(self.soon.append, self.soon.append, lambda: self.room, lambda: self.now_s)

    def add(self, source: str, name: str, most: int, *, large: bool = False, fails: bool = False) -> None:
        self.turns.add(source, self._steps(name, most, fails), self.log.append, self._failed, large=large)

    def wait(self, source: str, name: str, awaited: Future[None], *, large: bool = False) -> None:
        """Work that waits for something in its second step."""
        self.turns.add(source, self._waiting(name, awaited), self.log.append, self._failed, large=large)

    def _waiting(self, name: str, awaited: Future[None]) -> WaitingSteps[str]:
        self.log.append(f"{name}0")
        yield awaited
        return f"{name} done"

    def _steps(self, name: str, most: int, fails: bool) -> Steps[str]:
        for number in range(most):
            self.log.append(f"{name}{number}")
            self.now_s += SLICE_S
            yield
        if fails:
            raise ProtocolError(f"{name} failed")
        return f"{name} done"

    def _failed(self, error: FirstseenError) -> None:
        self.log.append(str(error))

    def run(self) -> list[str]:
        while self.soon:
            assert len(self.soon) == 1
            self.soon.popleft()()
        return self.log


def test_what_is_done_soon_is_done_at_once() -> None:
    bench = Bench()
    bench.add("a", "x", 0)
    assert bench.log == ["x done"]
    assert not bench.soon


def test_sources_take_turns_and_each_keeps_its_order() -> None:
    bench = Bench()
    bench.add("a", "x", 3)
    bench.add("a", "y", 0)
    bench.add("b", "z", 2)
    bench.add("c", "w", 0)
    assert bench.log == ["x0", "z0", "w done"]
    assert bench.run() == ["x0", "z0", "w done", "x1", "z1", "x2", "z done", "x done", "y done"]


def test_large_work_is_done_one_at_a_time_and_holds_nobody_else_up() -> None:
    bench = Bench()
    bench.add("a", "x", 2, large=True)
    bench.add("b", "y", 1, large=True)
    bench.add("c", "z", 1)
    assert bench.log == ["x0", "z0"]
    assert bench.run() == ["x0", "z0", "x1", "z done", "x done", "y0", "y done"]


@pytest.mark.parametrize("most", [0, 2])
def test_what_fails_is_over(most: int) -> None:
    bench = Bench()
    bench.add("a", "x", most, large=True, fails=True)
    bench.add("a", "y", 1, large=True)
    assert bench.run()[most:] == ["x failed", "y0", "y done"]


def test_a_mistake_of_ours_is_raised() -> None:
    def mistaken() -> Steps[str]:
        yield
        raise ZeroDivisionError

    bench = Bench()
    with pytest.raises(ZeroDivisionError):
        bench.turns.add("a", mistaken(), bench.log.append, bench._failed, large=False)


def test_work_that_is_added_when_work_is_done() -> None:
    bench = Bench()
    bench.turns.add("a", bench._steps("x", 1, False), lambda _: bench.add("a", "y", 0), bench._failed, large=False)
    bench.add("b", "z", 1)
    assert bench.run() == ["x0", "z0", "z done", "y done"]


def test_large_work_begins_when_there_is_room() -> None:
    bench = Bench()
    bench.add("a", "x", 2, large=True)
    bench.room = False
    bench.add("b", "y", 0, large=True)
    bench.add("b", "z", 0)
    bench.add("c", "w", 0)
    assert bench.run() == ["x0", "w done", "x1", "x done"]
    bench.turns.go_on()
    assert not bench.soon
    bench.room = True
    bench.turns.go_on()
    assert bench.run()[4:] == ["y done", "z done"]


def test_work_that_waits_is_passed_over_until_that_has_come() -> None:
    bench = Bench()
    awaited: Future[None] = Future()
    bench.wait("a", "x", awaited)
    bench.add("a", "y", 0)
    bench.add("b", "z", 1)
    assert bench.run() == ["x0", "z0", "z done"]
    awaited.set_result(None)
    assert bench.run()[3:] == ["x done", "y done"]


def test_what_has_come_before_is_not_waited_for() -> None:
    bench = Bench()
    awaited: Future[None] = Future()
    awaited.set_result(None)
    bench.wait("a", "x", awaited)
    assert bench.log == ["x0", "x done"]


def test_large_work_that_waits_keeps_other_large_work_waiting() -> None:
    bench = Bench()
    awaited: Future[None] = Future()
    bench.wait("a", "x", awaited, large=True)
    bench.add("b", "y", 0, large=True)
    bench.add("c", "z", 0)
    assert bench.run() == ["x0", "z done"]
    awaited.set_result(None)
    assert bench.run()[2:] == ["x done", "y done"]
