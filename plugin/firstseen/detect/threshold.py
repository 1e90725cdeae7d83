"""The law of threshold rules: enough events with the same terms, close enough together, make one alert.

Elasticsearch runs such a rule every interval: it counts the events of the look-back by their terms, but none at or
before the last event that an alert on those terms counted, and alerts where there are enough. Here the runs are thought
of at the multiples of the interval, and an alert is raised by the event that makes the count full, not at the run that
would have found it: its set of alerts is the same (a property test holds it, on streams in order). What comes behind it
up to that run is counted by the same alert, so that a burst is one alert and not many.

A late event is counted at the run that the terms have come to, as one that arrives late is by Elasticsearch. An event
that comes twice counts once, as long as it is within the look-back. Times are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import chain, islice
from typing import Literal, NamedTuple

from firstseen.detect.keys import encode_terms
from firstseen.detect.law import NEVER, Occurrence, remember_each
from firstseen.model import Scalar, Verdict

MOST_MARKS = 256
"""Events of one bucket that are kept; more only where a rule counts further."""

MOST_VALUES = 32
"""Values of one event that are kept; more only where a rule wants more of them: one event is then enough by itself."""

DIGEST_SIZE = 8

Hindrance = Literal["again", "alerted", "late", "few", "quiet"]
"""Why an event raises no alert: it was counted before; an alert of this run counts it already; it is older than all
that still counts; the count is not full with it; or it is, and an alert is not wanted so soon after the last.
"""


class Mark(NamedTuple):
    """One event that may count: when it was, a digest of its identity, and one of each value that it adds."""

    time_ms: int
    event: bytes
    values: frozenset[bytes] = frozenset()


class Bucket(NamedTuple):
    """What is remembered of one rule's terms.

    ``marks`` are the events within the look-back of the run at ``run_ms``, in the order in which they came, and
    ``spent_ms`` is the last one that an alert has counted; None before the first. ``alerted_ms`` is when the last event
    was that alerted, ``alert_run_ms`` the run whose alert it is: up to it, what comes belongs to that alert.

    ``event`` is the event that alerted last (before the first, the first of all), ``events`` how many came in all,
    ``first_seen`` and ``last_seen`` when.
    """

    first_seen: int
    last_seen: int
    events: int
    event: str
    run_ms: int
    spent_ms: int | None
    alerted_ms: int | None
    alert_run_ms: int | None
    marks: tuple[Mark, ...]


class Tally(NamedTuple):
    """What counts at one moment: how many events, how many different values, and since when."""

    count: int  # type: ignore[assignment]  # nobody counts the values of a tally
    distinct: int
    since_ms: int


class ThresholdLaw(NamedTuple):
    """``events`` of them within ``lookback_ms``, seen every ``interval_ms``, with ``distinct`` different values.

    ``distinct`` is 0 where values are not counted. Of the alerts on the same terms, one within ``quiet_ms`` is enough;
    0 where every one is wanted.
    """

    events: int
    distinct: int
    lookback_ms: int
    interval_ms: int
    quiet_ms: int = 0

    @property
    def reach_ms(self) -> int:
        """See `firstseen.detect.law.Law`: an event counts up to the last run whose look-back it is in."""
        return max(self.lookback_ms + self.interval_ms, self.quiet_ms)

    def judge(self, before: Bucket | None, occurrence: Occurrence) -> Verdict:
        """NEW for the event that makes the count full, where no alert counts it already."""
        return Verdict.NEW if self.hindrance(before, occurrence) is None else Verdict.KNOWN

    def hindrance(self, before: Bucket | None, occurrence: Occurrence) -> Hindrance | None:
        """Why this event raises no alert; None where it does."""
        bucket, mark = self._moved(before, occurrence.time_ms), self._mark(occurrence)
        return self._lack(bucket, mark) or ("quiet" if self._is_quiet(bucket, mark.time_ms) else None)

    def remember(self, before: Bucket | None, occurrence: Occurrence, verdict: Verdict) -> Bucket:
        """``before`` with this event, and with its alert if it raised one."""
        time_ms, event, _ = occurrence
        bucket, mark = self._moved(before, time_ms), self._mark(occurrence)
        if any(other.event == mark.event for other in bucket.marks):
            return bucket
        alerts = verdict is not Verdict.KNOWN
        full = alerts or self._lack(bucket, mark) is None
        kept = bucket.marks
        if time_ms >= bucket.run_ms - self.lookback_ms:
            kept = self._without_surplus(bucket, (*kept, mark))
        return bucket._replace(
            first_seen=min(bucket.first_seen, time_ms),
            last_seen=max(bucket.last_seen, time_ms),
            events=bucket.events + 1,
            event=event if alerts or before is None else bucket.event,
            alerted_ms=time_ms if alerts else bucket.alerted_ms,
            # An alert that is kept quiet counts its events all the same: it would be no news later either.
            alert_run_ms=bucket.run_ms if full else bucket.alert_run_ms,
            marks=kept,
        )

    def remember_known(self, before: Bucket, occurrences: Sequence[Occurrence]) -> Bucket:
        """The same for several that are KNOWN."""
        return remember_each(self, before, occurrences)

    def known_until_ms(self, before: Bucket) -> int:
        """See `firstseen.detect.law.Law`: one event more may be the one that makes it full."""
        return NEVER

    def tally(self, before: Bucket | None, occurrence: Occurrence) -> Tally:
        """What counts with this event."""
        bucket, mark = self._moved(before, occurrence.time_ms), self._mark(occurrence)
        counted = [*(other for other in _unspent(bucket) if other.event != mark.event), mark]
        return Tally(len(counted), len(_values(counted)), min(each.time_ms for each in counted))

    def _mark(self, occurrence: Occurrence) -> Mark:
        values = _some(occurrence.values, max(MOST_VALUES, self.distinct))
        return Mark(occurrence.time_ms, _digest(occurrence.event.encode("utf-8", "surrogatepass")), values)

    def _moved(self, before: Bucket | None, time_ms: int) -> Bucket:
        """``before`` at the run that would look at an event of this time, or at a later one if it was there already."""
        run_ms = -(-time_ms // self.interval_ms) * self.interval_ms
        if before is None:
            return Bucket(time_ms, time_ms, 0, "", run_ms, None, None, None, ())
        if run_ms <= before.run_ms:
            return before
        bucket = before
        if before.alert_run_ms is not None:  # that run is over, and its alert has counted all there was
            spent_ms = max((mark.time_ms for mark in before.marks), default=before.last_seen)
            bucket = before._replace(spent_ms=spent_ms, alert_run_ms=None)
        horizon = run_ms - self.lookback_ms
        return bucket._replace(run_ms=run_ms, marks=tuple(mark for mark in bucket.marks if mark.time_ms >= horizon))

    def _lack(self, bucket: Bucket, mark: Mark) -> Hindrance | None:
        """Why ``mark`` does not make the count full; None where it does."""
        if any(other.event == mark.event for other in bucket.marks):
            return "again"
        if bucket.alert_run_ms is not None:
            return "alerted"
        if mark.time_ms < bucket.run_ms - self.lookback_ms or not _is_unspent(bucket, mark):
            return "late"
        counted = [*_unspent(bucket), mark]
        is_enough = len(counted) >= self.events and (not self.distinct or len(_values(counted)) >= self.distinct)
        return None if is_enough else "few"

    def _without_surplus(self, bucket: Bucket, marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
        """``marks`` without those that decide least, where there are more than are needed.

        First go those that an alert has counted, then those whose values come again, but for the latest ``events`` of
        them, and then the oldest: what is left is full then, and stays so for as long as it would be.
        """
        surplus = len(marks) - max(MOST_MARKS, self.events + self.distinct)
        if surplus <= 0:
            return marks
        by_time = sorted(marks, key=_time)
        spent = [mark for mark in by_time if not _is_unspent(bucket, mark)]
        idle = _idle(by_time[len(spent) :], self.events) if self.distinct else ()
        going = set(islice(dict.fromkeys(mark.event for mark in chain(spent, idle, by_time)), surplus))
        return tuple(mark for mark in marks if mark.event not in going)

    def _is_quiet(self, bucket: Bucket, time_ms: int) -> bool:
        return bucket.alerted_ms is not None and time_ms - bucket.alerted_ms < self.quiet_ms


def _some(values: Sequence[Scalar], most: int) -> frozenset[bytes]:
    """Digests of the first ``most`` different ones."""
    found: set[bytes] = set()
    for _, value in dict.fromkeys(zip(map(type, values), values, strict=True)):  # 1 and true are equal, and two values
        found.add(_digest(encode_terms((value,))))
        if len(found) == most:
            break
    return frozenset(found)


def _time(mark: Mark) -> int:
    return mark.time_ms


def _idle(by_time: Sequence[Mark], latest: int) -> Iterable[Mark]:
    """Those before the ``latest`` ones all of whose values come later as well, the oldest first."""
    held: set[bytes] = set()
    found: list[Mark] = []
    for number, mark in enumerate(reversed(by_time)):
        if number >= latest and mark.values <= held:
            found.append(mark)
        held |= mark.values
    return reversed(found)


def _digest(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=DIGEST_SIZE).digest()


def _unspent(bucket: Bucket) -> Iterable[Mark]:
    return (mark for mark in bucket.marks if _is_unspent(bucket, mark))


def _is_unspent(bucket: Bucket, mark: Mark) -> bool:
    return bucket.spent_ms is None or mark.time_ms > bucket.spent_ms


def _values(marks: Iterable[Mark]) -> frozenset[bytes]:
    return frozenset[bytes]().union(*(mark.values for mark in marks))
