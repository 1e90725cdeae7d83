"""The law of suppression: of the alerts of one group, the first opens a window, and the others in it are not raised.

Elastic calls it ``alert_suppression``. The window is counted from the alert that opened it; an event behind its end
opens the next. A late event, from before the window, is no news. Times are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from firstseen.detect.law import Occurrence, remember_each
from firstseen.model import Verdict


class Window(NamedTuple):
    """What is remembered of one group: the open window's first and last event, and how many alerts it holds back.

    ``event`` is the event whose alert opened it.
    """

    first_seen: int
    last_seen: int
    event: str
    suppressed: int


class SuppressionLaw(NamedTuple):
    """One alert of a group within ``duration_ms`` is enough."""

    duration_ms: int

    @property
    def reach_ms(self) -> int:
        """See `firstseen.detect.law.Law`."""
        return self.duration_ms

    def judge(self, before: Window | None, occurrence: Occurrence) -> Verdict:
        """NEW where no window is open at the time of the event."""
        if before is None or occurrence.time_ms - before.first_seen > self.duration_ms:
            return Verdict.NEW
        return Verdict.KNOWN

    def remember(self, before: Window | None, occurrence: Occurrence, verdict: Verdict) -> Window:
        """A new window where the event raised an alert, else the old one with one more in it."""
        time_ms, event, _ = occurrence
        if before is None or (verdict is not Verdict.KNOWN and event != before.event):
            return Window(time_ms, time_ms, event, 0)
        if event == before.event:
            return before
        return before._replace(last_seen=max(before.last_seen, time_ms), suppressed=before.suppressed + 1)

    def remember_known(self, before: Window, occurrences: Sequence[Occurrence]) -> Window:
        """The same for several that are KNOWN."""
        return remember_each(self, before, occurrences)

    def known_until_ms(self, before: Window) -> int:
        """See `firstseen.detect.law.Law`: only an alert opens another window."""
        return before.first_seen + self.duration_ms
