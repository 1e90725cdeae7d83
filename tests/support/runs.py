"""Detection as Elasticsearch does it: in runs over all that is indexed, each from the start. The measure of our laws.

Nothing here is kept between runs but what Elastic keeps: the ids of alerts, and of thresholds the last event that each
bucket's alert counted. Times are whole numbers of any unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Document:
    """An indexed event: ``time`` is what ranges look at, ``arrival`` when it can be found."""

    id: str
    time: int
    key: str
    values: tuple[str, ...] = ()
    late: int = 0

    @property
    def arrival(self) -> int:
        return self.time + self.late


@dataclass
class ThresholdRuns:
    """A threshold rule, run every ``interval``; ``alerts`` are the (run, key) at which it alerted."""

    events: int
    distinct: int
    look_back: int
    interval: int
    alerts: list[tuple[int, str]] = field(default_factory=list)
    last_signal: dict[str, int] = field(default_factory=dict)

    def run(self, now: int, indexed: Iterable[Document]) -> None:
        buckets: dict[str, list[Document]] = {}
        for document in indexed:
            fresh = document.time > self.last_signal.get(document.key, document.time - 1)
            if now - self.look_back <= document.time <= now and document.arrival <= now and fresh:
                buckets.setdefault(document.key, []).append(document)
        for key, documents in sorted(buckets.items()):
            values = {value for document in documents for value in document.values}
            if len(documents) >= self.events and len(values) >= self.distinct:
                self.alerts.append((now, key))
                self.last_signal[key] = max(document.time for document in documents)


@dataclass
class NewTermsRuns:
    """A new_terms rule, run every ``interval``; ``alerts`` are the (document, key) that it alerted on, each once."""

    window: int
    look_back: int
    interval: int
    alerts: set[tuple[str, str]] = field(default_factory=set)

    def run(self, now: int, indexed: Sequence[Document]) -> None:
        visible = [document for document in indexed if document.arrival <= now]
        recent = {document.key for document in visible if now - self.look_back <= document.time <= now}
        for key in recent:
            history = [
                document for document in visible if document.key == key and now - self.window <= document.time <= now
            ]
            first = min(history, key=lambda document: document.time)
            if first.time > now - self.look_back:
                self.alerts.add((first.id, key))


def runs(interval: int, until: int) -> range:
    """The moments of the runs up to the one that sees everything up to ``until``."""
    return range(0, until + interval, interval)
