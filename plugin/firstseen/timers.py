"""What is going to happen later, of which an event loop's timers are one form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """What is going to happen, unless it is cancelled."""

    def cancel(self) -> None:
        """Let it not happen; without effect where it has."""


SECOND_LOOK_S = 0.05
"""Seconds after which it is looked once more whether what is overdue has come, before anybody loses its connection.

A process that was stopped, as with the machine that it runs on, finds its timers over before it has read what came.
"""

CallLater = Callable[[float, Callable[[], None]], Timer]
"""Takes seconds, and what to call then: the ``call_later`` of a loop."""
