"""What the engine claims, gathered in memory: the sightings of past events, in whatever order they come.

`firstseen.store.merge.together` is the law: neither the order of files nor where they are cut means anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


class Gatherer:
    """A state for the engine to claim in, see `Claims`: everything is known, nothing alerts, and nothing is written.

    ``spans`` tells by the rules' ids which times are of interest for each. What was gathered is in ``found``, by
    `state_key`; ``registered`` are the histories that are filled. Of the claims some are passed over: ``undated`` and
    ``outside`` of the rule's span.
    """

    def __init__(self, spans: Mapping[str, Span]) -> None:
        self._spans = spans
        self.registered: list[RuleState] = []
        self.found: dict[bytes, Entry] = {}
        self._keys: dict[Claim, bytes] = {}
        self.undated = 0
        self.outside = 0

    def register(self, rule: RuleState, now_ms: int) -> int:
        """See `Claims.register`."""
        self.registered.append(rule)
        return now_ms

    def rules(self) -> Iterator[History]:
        """See `Claims.rules`: of what they were before, nothing is told."""
        return iter(())

    def claim(self, rule: RuleState, terms: tuple[TermValue, ...], occurrence: Occurrence, law: Law[Any]) -> Claim:
        """See `Claims.claim`."""
        claim = Claim(rule, terms, occurrence, law, Verdict.KNOWN, None)
        self._keys[claim] = state_key(rule.key, terms)
        self.extend(claim, occurrence)
        return claim

    def extend(self, claim: Claim, occurrence: Occurrence) -> bool:
        """See `Claims.extend`; only for claims since the last `take`."""
        time_ms, event, _ = occurrence
        since, until = self._spans[claim.rule.rule_id]
        if since <= time_ms < until:
            sighting = Sighting(time_ms, time_ms, 1, event, event)
            self.add(self._keys[claim], Entry(claim.rule.key, claim.terms, sighting))
        elif time_ms == UNDATED:
            self.undated += 1
        else:
            self.outside += 1
        return True

    def release(self, claims: Sequence[Claim]) -> None:
        """See `Claims.release`: nothing is held."""

    def add(self, key: bytes, entry: Entry) -> None:
        """Gather one more."""
        add_to(self.found, key, entry)

    def take(self) -> dict[bytes, Entry]:
        """What was gathered since the last time."""
        found, self.found = self.found, {}
        self._keys.clear()
        return found


def add_to(found: dict[bytes, Entry], key: bytes, entry: Entry) -> None:
    """``entry`` and what was ``found`` under its key before, together."""
    known = found.get(key)
    if known is not None:
        entry = entry._replace(memory=together(known.memory, entry.memory))
    found[key] = entry
