import pytest

from firstseen.cli.spark import bar, spark


@pytest.mark.parametrize(
    ("values", "cells", "drawn"),
    [
        ([], 3, "   "),
        ([0, 0], 2, "  "),
        ([1], 3, "  █"),
        ([1, 0, 8], 3, "▂ █"),
        ([1, 0, 10_000], 3, "▁ █"),
        ([0, 0, 4, 4, 8, 8], 3, " ▅█"),
        ([8, 0, 0, 0, 0, 0, 0], 2, "█ "),
    ],
)
def test_over_time(values: list[int], cells: int, drawn: str) -> None:
    assert spark(values, cells) == drawn


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(0.0, "····"), (0.0001, "▏···"), (0.5, "██··"), (0.6, "██▍·"), (1.0, "████"), (1.7, "████"), (-1.0, "····")],
)
def test_how_full(share: float, drawn: str) -> None:
    assert bar(share, 4) == drawn
