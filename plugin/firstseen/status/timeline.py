"""What happened when: numbers in steps of time, of which the oldest are forgotten. Time is an argument."""

from __future__ import annotations


class Timeline:
    """Sums of what is added, in ``length`` steps of ``step_s`` seconds by a steady clock."""

    __slots__ = ("_last", "_steps", "step_s")

    def __init__(self, step_s: int, length: int) -> None:
        self.step_s = step_s
        self._steps = [0] * length
        self._last: int | None = None

    def add(self, now_s: float, amount: int) -> None:
        """So much happened since the last time."""
        self._move_to(now_s)
        self._steps[-1] += amount

    def values(self, now_s: float) -> tuple[int, ...]:
        """The sum of each step, oldest first; the last is the one that ``now_s`` is in."""
        self._move_to(now_s)
        return tuple(self._steps)

    def per_second(self, now_s: float, steps: int, since_s: float) -> float:
        """How much happens in a second: over that many whole steps and the one that is not over; 0 in no time.

        Counting began at ``since_s``.
        """
        begun_s = (now_s // self.step_s - steps) * self.step_s
        seconds = now_s - max(begun_s, since_s)
        return sum(self.values(now_s)[-steps - 1 :]) / seconds if seconds > 0 else 0.0

    def _move_to(self, now_s: float) -> None:
        step = int(now_s // self.step_s)
        passed = 0 if self._last is None else min(max(step - self._last, 0), len(self._steps))
        if passed:
            self._steps[:] = [*self._steps[passed:], *[0] * passed]
        if self._last is None or step > self._last:
            self._last = step
