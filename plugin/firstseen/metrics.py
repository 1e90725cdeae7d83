"""What the agent counts. The sums must add up, and do whenever nothing is in flight:

records in = records out + records rejected
chunks in  = chunks out + chunks rejected + chunks quarantined + chunks repeated
matches    = alerts + suppressed + learning

With what is on its way added on the right they do at any moment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import asdict


class Counts(Struct):
    """Totals since the agent started; one writer, the event loop.

    Of the chunks that came in, some are *repeated*: they had come before, and their records are not counted again. One
    that is *quarantined* was not delivered, and its records count as rejected. A *match* is one sighting of a rule's
    terms; it is an *alert*, or *learning* where its rule still learns what is usual, or *suppressed*: the terms were
    known, or not often enough there yet, or one alert on them was enough. Of the alerts, those *in shadow* and those
    *degraded*, being too many, are for nobody to look at.

    *Late* records match, and came so late that what was known when they happened may be forgotten. *Decode errors* are
    chunks that could not be read, and connections that were closed for what was no chunk.

    Those *on their way* are no totals: they came in, and are neither out nor rejected yet. They are counted on their
    own, where a chunk begins and where it is settled, so that the sums can fail.
    """

    bytes_in: int = 0
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
    records_late: int = 0
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
    decode_errors: int = 0
    reading_pauses: int = 0
    delivery_retries: int = 0
    deliveries_refused: int = 0
    chunks_on_way: int = 0
    records_on_way: int = 0

    def add(self, total: str, amount: int = 1) -> None:
        """Raise the total of that name, for those who only tell that something happened."""
        setattr(self, total, getattr(self, total) + amount)

    def refused(self, unreadable: bool) -> None:  # called by name of what it is
        """A connection had to be closed for what came on it, or did not; it may be that it could not be read."""
        self.connections_refused += 1
        self.decode_errors += unreadable

    def as_dict(self) -> dict[str, int]:
        """Every total by its name."""
        return asdict(self)


class Reloads(Struct):
    """How often what is configured was loaded anew, and what came of it; one writer, the event loop.

    ``total`` counts those that are over, ``failed`` those of them after which something is as it was because something
    was wrong. ``problems`` is that, of the last one. ``loaded_ms`` is when what is in use was loaded.
    """

    total: int = 0
    failed: int = 0
    problems: Sequence[str] = ()
    loaded_ms: int = 0


BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds: from what one small chunk takes to what a sender may wait for before it sends again."""


class Histogram:
    """How many of the values observed were at most each of ``bounds``, which ascend, and the sum of them all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bound, those above the one before; the last are above all of them."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many were observed."""
        return sum(self.counts)


class Durations(Struct, frozen=True):
    """How long things took, in seconds, one value a chunk; one writer, the event loop.

    ``processing`` from a chunk's arrival until it is known what leaves, ``delivery`` from there until downstream has
    it, ``commit`` from there until what it changed is durable, ``chunk`` from its arrival until it is settled.
    """

    processing: Histogram = field(default_factory=Histogram)
    delivery: Histogram = field(default_factory=Histogram)
    commit: Histogram = field(default_factory=Histogram)
    chunk: Histogram = field(default_factory=Histogram)
