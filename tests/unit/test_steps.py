import pytest

from firstseen.steps import Steps, finished


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
