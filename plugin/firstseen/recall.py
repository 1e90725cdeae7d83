"""What is no news is told at a glance: for records like those that were looked at before it is known what they match.

What is news, and whatever a glance does not show, is left to `firstseen.engine.Engine.inspect`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firstseen.detect.law import Occurrence
from firstseen.detect.matches import not_ahead_ms
from firstseen.errors import StoreError
from firstseen.metrics import Counts
from firstseen.model import Verdict
from firstseen.packing import Buffer
from firstseen.record.glance import Glance
from firstseen.rules.alike import Asked
from firstseen.running import Running
from firstseen.seen import SETTLED, Earlier, Glanced, Place
from firstseen.store.base import Claim, Claims, Wanted


class Recall:
    """Knows what is kept of the rules that are ``running``, by their ids, and claims in ``store``."""

    def __init__(self, store: Claims, counts: Counts) -> None:
        self._store = store
        self._counts = counts
        self.running: Mapping[str, Running] = {}

    def glance(
        self, record: Buffer, asked: Asked, arrival: int | None, earlier: Earlier, *, json: bool = False
    ) -> Glanced:
        """Claim what a record means, as far as it is no news, by as little of it as tells that; all else is left.

        ``record`` is a map in msgpack, or an object in JSON, that is read as no ECS document; ``asked`` are the rules
        that it may match. ``arrival`` and ``earlier`` are as for `firstseen.engine.Engine.inspect`. Raises `StoreError`
        likewise.
        """
        seen = None if asked.glances is None else asked.glances.at(record, json=json)
        return Glanced(asked.rules, ()) if seen is None else self.settle(seen, asked, arrival, earlier)

    def settle(self, seen: Glance, asked: Asked, arrival: int | None, earlier: Earlier) -> Glanced:
        """The same for what was ``seen`` of the record: all that the glances of these rules show, or more."""
        matches = asked.recalled(seen)
        if not matches:
            return Glanced(asked.rules, (), asked.likeness(seen)) if matches is None else SETTLED
        claims: list[Claim] = []
        counts, late, told = self._counts, False, 0
        for rule, terms, values in matches:
            running = self.running[rule.id]
            time_ms = _time_ms(seen, running, arrival)
            if terms is None or time_ms is None:
                break
            place, occurrence = (running.state.key, terms), Occurrence(time_ms, seen.eventID, values)
            claim = earlier.get(place)
            if claim is not None and time_ms <= claim.more.open_until_ms:
                claim.more.events.append(occurrence)
            elif (claim is None or not self._store.extend(claim, occurrence)) and not self._is_known(
                running, place, occurrence, earlier, claims
            ):
                break
            counts.matches += 1
            counts.suppressed += 1
            running.tally.matches += 1
            running.tally.suppressed += 1
            late = late or (time_ms != arrival and running.is_late(time_ms, arrival))
            told += 1
        counts.records_late += late
        if told < len(matches):
            return Glanced([match.rule for match in matches[told:]], claims, late=late, certain=True)
        return Glanced((), claims) if claims else SETTLED

    def wanted(self, seen: Glance, asked: Asked, arrival: int) -> Sequence[Wanted] | None:
        """What will be claimed for what was ``seen`` of a record, if it is looked at now; None where that is not known.

        ``asked`` and ``arrival`` are as for `settle`.
        """
        matches = asked.recalled(seen)
        if matches is None:
            return None
        found: list[Wanted] = []
        for rule, terms, values in matches:
            running = self.running[rule.id]
            if running.law is None:
                continue
            time_ms = _time_ms(seen, running, arrival)
            if terms is None or time_ms is None:
                return None
            found.append(Wanted(running.state, terms, Occurrence(time_ms, seen.eventID, values), running.law))
        return found

    def _is_known(
        self, running: Running, place: Place, occurrence: Occurrence, earlier: Earlier, claims: list[Claim]
    ) -> bool:
        """Claim the event by itself where it is no news."""
        if running.law is None:
            return False
        try:
            claim = self._store.claim(running.state, place[1], occurrence, running.law)
        except StoreError:
            self._store.release(claims)
            raise
        if claim.verdict is not Verdict.KNOWN:
            self._store.release([claim])
            return False
        claims.append(claim)
        earlier[place] = claim
        return True


def _time_ms(seen: Glance, running: Running, arrival: int | None) -> int | None:
    """When it happened by the clock of that rule; None where only more of the record tells."""
    if arrival is not None and running.goes_by_arrival:
        return arrival
    own = seen.time_ms
    return None if own is None else not_ahead_ms(own, arrival)
