"""Work that is done a step at a time, so that others are served in between: a generator that yields after each step.

What it comes to is what it returns. A step should take a few milliseconds at most; who drives it may look at the clock.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias, TypeVar

Result = TypeVar("Result")

Steps: TypeAlias = Generator[None, None, Result]


def finished(steps: Steps[Result]) -> Result:
    """All steps without a pause, and what they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Result = done.value
            return result
