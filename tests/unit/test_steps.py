import threading
from concurrent.futures import Future

import pytest

from firstseen.steps import Steps, WaitingSteps, finished


def counting(most: int, taken: list[int]) -> Steps[str]:
    for number in range(most):
        taken.append(number)
        yield
    return f"{most} steps"


@pytest.mark.parametrize("most", [0, 1, 3])
def test_every_step_is_taken_and_the_result_returned(most: int) -> None:
    taken: list[int] = []

    assert finished(counting(most, taken)) == f"{most} steps"
    assert taken == list(range(most))


def test_what_a_step_raises_is_raised() -> None:
    def failing() -> Steps[None]:
        yield
        raise ValueError("in the second step")

    with pytest.raises(ValueError, match="second step"):
        finished(failing())


def test_what_is_waited_for_is_waited_for() -> None:
    awaited: Future[str] = Future()

    def waiting() -> WaitingSteps[str]:
        yield awaited
        return awaited.result()

    threading.Timer(0.05, awaited.set_result, ["it came"]).start()
    assert finished(waiting()) == "it came"
