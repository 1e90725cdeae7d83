"""What is wrong, told when it begins, when it is something else, and when it is over; not at every try in between."""

from __future__ import annotations

from collections.abc import Callable

from firstseen.errors import StoreError


class Telling:
    """``tell`` is told of each ``reason`` once, and of None when it is over. For one thread at a time."""

    def __init__(self, tell: Callable[[StoreError | None], None]) -> None:
        self._tell = tell
        self.reason: StoreError | None = None

    def now(self, reason: StoreError | None) -> None:
        """This is how it is now. What says the same in the same words is the same."""
        before, self.reason = self.reason, reason
        if str(before or "") != str(reason or ""):
            self._tell(reason)
