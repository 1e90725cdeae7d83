"""Numbers drawn in one line of characters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

STEPS = "▁▂▃▄▅▆▇█"
PARTS = "▏▎▍▌▋▊▉█"


def spark(values: Sequence[int], cells: int) -> str:
    """The values over time in so many cells, the highest of them full; what is nothing is empty."""
    sums = _gathered(values, cells)
    most = max(sums, default=0.0)
    # Nothing that happened is too little to be seen.
    return "".join(STEPS[min(int(each / most * len(STEPS)), len(STEPS) - 1)] if each else " " for each in sums)


def _gathered(values: Sequence[int], cells: int) -> list[float]:
    """The mean of as many values as fall to a cell; older than the first value there is nothing."""
    if len(values) <= cells:
        return [0.0] * (cells - len(values)) + [float(value) for value in values]
    edges = [cell * len(values) // cells for cell in range(cells + 1)]
    return [sum(values[begin:end]) / (end - begin) for begin, end in pairwise(edges)]


def bar(share: float, cells: int) -> str:
    """How much of something is full, 0 to 1, to an eighth of a cell; what is empty is dotted."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * len(PARTS))
    if share > 0:
        eighths = max(eighths, 1)
    full, part = divmod(eighths, len(PARTS))
    drawn = PARTS[-1] * full + (PARTS[part - 1] if part else "")
    return drawn + "·" * (cells - len(drawn))
