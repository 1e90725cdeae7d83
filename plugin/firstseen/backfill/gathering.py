"""What the engine claims, gathered in memory: the sightings of past events, in whatever order they come.

`firstseen.store.merge.together` is the law: neither the order of files nor where they are cut means anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from firstseen.detect.keys import state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import Sighting
from firstseen.model import TermValue, Verdict
from firstseen.store.base import Claim, Entry, History, RuleState
from firstseen.store.merge import together

UNDATED = -(1 << 63)
"""Stands for the time of an event that has none: it says nothing of when its terms were seen."""


class Span(NamedTuple):
    """The times that are of interest, in milliseconds since the epoch: from ``since`` to before ``until``."""

    since: int
    until: int


class _Gathered:
    """The sightings of one claim so far, as `together` makes one of them: none, or ``count``."""

    __slots__ = ("count", "event", "first_seen", "last_event", "last_seen", "since", "until")

    def __init__(self, span: Span) -> None:
        self.since, self.until = span
        self.count = 0
        self.first_seen = self.last_seen = 0
        self.event = self.last_event = ""

    def add(self, time_ms: int, event: str) -> None:
        """One more, in place: this is done for every match."""
        if not self.count:
            self.first_seen = self.last_seen = time_ms
            self.event = self.last_event = event
        elif time_ms < self.first_seen:
            self.first_seen, self.event = time_ms, event
        elif time_ms > self.last_seen:
            self.last_seen, self.last_event = time_ms, event
        else:
            if time_ms == self.first_seen:
                self.event = min(self.event, event)
            if time_ms == self.last_seen:
                self.last_event = max(self.last_event, event)
        self.count += 1

    @property
    def sighting(self) -> Sighting:
        return Sighting(self.first_seen, self.last_seen, self.count, self.event, self.last_event)


class Gatherer:
    """A state for the engine to claim in, see `Claims`: everything is known, nothing alerts, and nothing is written.

    ``spans`` tells by the rules' ids which times are of interest for each; ``registered`` are the histories that are
    filled. Of the claims some are passed over: ``undated`` and ``outside`` of the rule's span.
    """

    def __init__(self, spans: Mapping[str, Span]) -> None:
        self._spans = spans
        self.registered: list[RuleState] = []
        self._gathered: dict[Claim, _Gathered] = {}
        self.undated = 0
        self.outside = 0

    def __len__(self) -> int:
        """About how many terms were gathered since the last `take`."""
        return len(self._gathered)

    def register(self, rules: Iterable[RuleState], now_ms: int) -> Sequence[int]:
        """See `Claims.register`."""
        states = list(rules)
        self.registered += states
        return [now_ms] * len(states)

    def rules(self) -> Iterator[History]:
        """See `Claims.rules`: of what they were before, nothing is told."""
        return iter(())

    def claim(self, rule: RuleState, terms: tuple[TermValue, ...], occurrence: Occurrence, law: Law[Any]) -> Claim:
        """See `Claims.claim`."""
        claim = Claim(rule, terms, occurrence, law, Verdict.KNOWN, None)
        self._gathered[claim] = _Gathered(self._spans[rule.rule_id])
        self.extend(claim, occurrence)
        return claim

    def extend(self, claim: Claim, occurrence: Occurrence) -> bool:
        """See `Claims.extend`; only for claims since the last `take`."""
        time_ms, event, _ = occurrence
        gathered = self._gathered[claim]
        if gathered.since <= time_ms < gathered.until:
            gathered.add(time_ms, event)
        elif time_ms == UNDATED:
            self.undated += 1
        else:
            self.outside += 1
        return True

    def release(self, claims: Sequence[Claim]) -> None:
        """See `Claims.release`: nothing is held."""

    def take(self) -> dict[bytes, Entry]:
        """What was gathered since the last time, by `state_key`."""
        found: dict[bytes, Entry] = {}
        for claim, gathered in self._gathered.items():
            if gathered.count:
                entry = Entry(claim.rule.key, claim.terms, gathered.sighting)
                add_to(found, state_key(claim.rule.key, claim.terms), entry)
        self._gathered.clear()
        return found


def add_to(found: dict[bytes, Entry], key: bytes, entry: Entry) -> None:
    """``entry`` and what was ``found`` under its key before, together."""
    known = found.get(key)
    if known is not None:
        entry = entry._replace(memory=together(known.memory, entry.memory))
    found[key] = entry
