"""Work that is done a step at a time, so that others are served in between: a generator that yields after each step.

What it comes to is what it returns. A step should take a few milliseconds at most; who drives it may look at the clock.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, wait
from typing import Any, TypeAlias, TypeVar

SLICE_S = 0.01
"""Seconds of steps that are done before others are served, or as long as the last one of them."""

Result = TypeVar("Result")

Steps: TypeAlias = Generator[None, None, Result]

WaitingSteps: TypeAlias = Generator[Future[Any] | None, None, Result]
"""Where a future is yielded, there is no next step before it has ended."""


def finished(steps: WaitingSteps[Result]) -> Result:
    """All steps, without a pause where none has to be waited for, and what they come to."""
    while True:
        try:
            awaited = next(steps)
            if awaited is not None:
                wait([awaited])
        except StopIteration as done:
            result: Result = done.value
            return result


def nothing() -> None:
    """What is called between steps where nobody has to be served."""
