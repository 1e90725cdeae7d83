"""The law of new_terms: an event alerts on terms that were not seen in the time before it.

The limit of what Elasticsearch does in runs, taken to every event: with G = history window - look-back
(``silence_ms``), an event at t alerts if and only if there is no sighting of its terms in [t - G, t). Every matching
event is a sighting, alerting or not, late or not. The cases are in ``tests/spec/new_terms/``.

Times are milliseconds since the epoch, of whichever clock the rule names.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product
from math import prod
from typing import NamedTuple

from firstseen.detect.keys import encode_terms
from firstseen.detect.law import Occurrence
from firstseen.model import TermValue, Verdict


class Sighting(NamedTuple):
    """What is remembered of one rule's terms. A named tuple, because two are made for every match.

    ``count`` is the number of events, ``event`` the one that alerted last, ``last_event`` the one at ``last_seen``.
    """

    first_seen: int
    last_seen: int
    count: int  # type: ignore[assignment]  # nobody counts the values of a sighting
    event: str
    last_event: str


class NewTermsLaw(NamedTuple):
    """Terms are news that were not seen for ``silence_ms``."""

    silence_ms: int

    @property
    def reach_ms(self) -> int:
        """See `firstseen.detect.law.Law`."""
        return self.silence_ms

    def judge(self, before: Sighting | None, occurrence: Occurrence) -> Verdict:
        """NEW where nothing was seen in [t - ``silence_ms``, t) or after it, else KNOWN.

        A late event, from before the last sighting, is no news: the state keeps no more of the past than its end.
        """
        if before is None or occurrence.time_ms - before.last_seen > self.silence_ms:
            return Verdict.NEW
        return Verdict.KNOWN

    def remember(self, before: Sighting | None, occurrence: Occurrence, verdict: Verdict) -> Sighting:
        """``before`` and this event: ``first_seen`` only moves back, ``last_seen`` only forward.

        The event that alerted last or that was seen last does not count twice, unless it comes with a later time.
        """
        time_ms, event, _ = occurrence
        if before is None:
            return Sighting(time_ms, time_ms, 1, event, event)
        first_seen, last_seen, count, alerted, last_event = before
        latest = time_ms >= last_seen
        repeated = time_ms <= last_seen and event in (alerted, last_event)
        return Sighting(
            time_ms if time_ms < first_seen else first_seen,
            time_ms if latest else last_seen,
            count if repeated else count + 1,
            event if latest and verdict is not Verdict.KNOWN else alerted,
            event if latest else last_event,
        )

    def remember_known(self, before: Sighting, occurrences: Sequence[Occurrence]) -> Sighting:
        """The same for several that are KNOWN, in a third of the time: most of what comes is."""
        first_seen, last_seen, count, alerted, last_event = before
        for time_ms, event, _ in occurrences:
            if time_ms > last_seen:
                last_seen = time_ms
                count += 1
                last_event = event
                continue
            if event not in (alerted, last_event):
                count += 1
            if time_ms == last_seen:
                last_event = event
            elif time_ms < first_seen:
                first_seen = time_ms
        return Sighting(first_seen, last_seen, count, alerted, last_event)

    def known_until_ms(self, before: Sighting) -> int:
        """See `firstseen.detect.law.Law`: ``last_seen`` only moves forward."""
        return before.last_seen + self.silence_ms


class TermsProduct(NamedTuple):
    """The terms of one event, and how many more it had: to be counted and logged where it is not 0."""

    terms: list[tuple[TermValue, ...]]
    dropped: int


def terms_product(values_per_field: Sequence[Sequence[TermValue]], limit: int) -> TermsProduct:
    """Every combination of one value per field, in the rule's order of fields, each once; at most ``limit`` of them.

    A field without a value (missing, null, an empty array) leaves no terms: the event is neither alert nor history.
    """
    if all(len(values) == 1 for values in values_per_field) and values_per_field:  # nearly always
        return TermsProduct([tuple(values[0] for values in values_per_field)], 0)
    distinct = [values if len(values) < 2 else _distinct(values) for values in values_per_field]
    total = prod(map(len, distinct)) if distinct else 0
    if not total:
        return TermsProduct([], 0)
    return TermsProduct(list(islice(product(*distinct), limit)), max(total - limit, 0))


def _distinct(values: Sequence[TermValue]) -> Sequence[TermValue]:
    # By their encoding, not by ==, for which True, 1 and 1.0 are one value.
    first: dict[bytes, TermValue] = {}
    for value in values:
        first.setdefault(encode_terms((value,)), value)
    return list(first.values())
