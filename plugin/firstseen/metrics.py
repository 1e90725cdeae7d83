"""What the agent counts. The sums must add up, and do whenever nothing is in flight:

records in = records out + records rejected
chunks in  = chunks out + chunks rejected + chunks quarantined + chunks repeated
matches    = alerts + suppressed + learning
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Totals since the agent started; one writer, the event loop.

    Of the chunks that came in, some are *repeated*: they had come before, and their records are not counted again. One
    that is *quarantined* was not delivered, and its records count as rejected. A *match* is one sighting of a rule's
    terms; it is an *alert*, or *learning* where its rule still learns what is usual, or *suppressed*: the terms were
    known, or not often enough there yet, or one alert on them was enough. Of the alerts, those *in shadow* and those
    *degraded*, being too many, are for nobody to look at.
    """

    chunks_in: int = 0
    chunks_out: int = 0
    chunks_rejected: int = 0
    chunks_repeated: int = 0
    chunks_quarantined: int = 0
    records_in: int = 0
    records_out: int = 0
    records_rejected: int = 0
    candidates: int = 0
    records_unseen: int = 0
    matches: int = 0
    alerts: int = 0
    suppressed: int = 0
    learning: int = 0
    alerts_in_shadow: int = 0
    alerts_degraded: int = 0
    terms_dropped: int = 0
    terms_pruned: int = 0
    rule_errors: int = 0
    connections_refused: int = 0
    reading_pauses: int = 0
    delivery_retries: int = 0

    def add(self, total: str, amount: int = 1) -> None:
        """Raise the total of that name, for those who only tell that something happened."""
        setattr(self, total, getattr(self, total) + amount)

    def as_dict(self) -> dict[str, int]:
        """Every total by its name."""
        return dataclasses.asdict(self)
