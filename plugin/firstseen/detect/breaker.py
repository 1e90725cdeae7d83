"""The circuit breaker of a rule: so many of its alerts in one interval are for people, and all beyond are marked.

Intervals are the multiples of the rule's own, by the clock of arrivals. Nothing is lost by it: an alert beyond is
written and remembered as any other, with a status of its own. The breaker is *tripped* from the first alert beyond
until a whole interval has passed without one.

It is kept in memory alone: a restart starts anew. Times are milliseconds since the epoch.
"""

from __future__ import annotations

MOST_IDS = 10_000
"""Alerts of one interval that are known again where they come again."""


class Breaker:
    """Lets ``most`` alerts through in each ``interval_ms``."""

    __slots__ = ("_before", "_interval_ms", "_last_beyond", "_let_through", "_most", "_now", "_number", "beyond")

    def __init__(self, most: int, interval_ms: int) -> None:
        self._most = most
        self._interval_ms = interval_ms
        self._number = 0
        self._let_through = 0
        self._now: set[str] = set()
        self._before: set[str] = set()
        self._last_beyond: int | None = None
        self.beyond = 0
        """How many alerts were beyond since it tripped."""

    @property
    def tripped(self) -> bool:
        """Whether there are too many alerts, or were until just now."""
        return self._last_beyond is not None

    @property
    def numbers(self) -> tuple[int, int]:
        """How many alerts it lets through, and in which time."""
        return self._most, self._interval_ms

    @property
    def recovers_ms(self) -> int | None:
        """When it recovers if no more are beyond; None where it is not tripped."""
        return None if self._last_beyond is None else (self._last_beyond + 2) * self._interval_ms

    def admits(self, alert_id: str, now_ms: int) -> bool:
        """Whether the alert that comes now is for people; it trips the breaker where it is not.

        An alert that was let through and comes again, because its delivery failed, is let through again, and counts
        once, where that was in this interval or the one before.
        """
        self._move_to(now_ms // self._interval_ms)
        if alert_id in self._now or alert_id in self._before:
            return True
        if self._let_through < self._most:
            self._let_through += 1
            if len(self._now) < MOST_IDS:
                self._now.add(alert_id)
            return True
        self._last_beyond = self._number
        self.beyond += 1
        return False

    def recover(self, now_ms: int) -> int:
        """How many alerts were beyond, where that is over now: then it is tripped no longer. Else 0."""
        number = now_ms // self._interval_ms
        if self._last_beyond is None or self._last_beyond <= number <= self._last_beyond + 1:
            return 0
        beyond, self.beyond, self._last_beyond = self.beyond, 0, None
        return beyond

    def _move_to(self, number: int) -> None:
        # Also to an earlier one: a clock that was set back must not keep an interval that is full.
        if number == self._number:
            return
        self._before = self._now if number == self._number + 1 else set()
        self._now = set()
        self._number, self._let_through = number, 0
