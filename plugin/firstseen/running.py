"""A rule that runs: where and by which law its matches are remembered, how its alerts are meant, and what came of them.

An alert is *learning* for a while after the rule's history began, *in shadow* while the operator says so, *degraded*
where its rule has raised too many, and else *open*: see `firstseen.detect.label.Standing`. Time is an argument.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from firstseen.detect.breaker import Breaker
from firstseen.detect.label import Standing
from firstseen.detect.matches import history_of, law_of
from firstseen.logs import event
from firstseen.notation import Until, in_units
from firstseen.record.enrichment import Enrichment
from firstseen.record.instant import LAST_MS, iso
from firstseen.rules.exceptions import names
from firstseen.rules.rule import NewTerms, Rule
from firstseen.rules.ruleset import RuleSet
from firstseen.store.base import RuleState
from firstseen.store.sweep import kept_ms

log = logging.getLogger(__name__)

Histories = Mapping[str, Mapping[bytes, int]]
"""By the id of a rule and the key of the history: when it began."""


class Policy(Struct, frozen=True):
    """What the operator says of rules: for how long they learn, and until when they are in shadow.

    Rules are named by patterns, ids or names with ``*`` for any text, of which the first that fits counts.
    ``learning_ms`` is for rules of type new_terms that no pattern of ``learning`` fits.
    """

    learning_ms: int = 0
    learning: Sequence[tuple[str, int]] = ()
    shadow: Sequence[tuple[str, Until]] = ()

    def learns_ms(self, rule: Rule) -> int:
        """How long the rule learns after its history began; 0 where it does not."""
        by_type = self.learning_ms if isinstance(rule.kind, NewTerms) else 0
        return next((ms for pattern, ms in self.learning if names(pattern, rule.id, rule.name)), by_type)

    def shadow_of(self, rule: Rule) -> Until | None:
        """Until when the rule is in shadow; None where it is not."""
        return next((until for pattern, until in self.shadow if names(pattern, rule.id, rule.name)), None)

    def unused(self, known: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """The setting, ``learning`` or ``shadow``, and the pattern, where none of the ids and names ``known`` fits."""
        rules = list(known)
        for setting, patterns in (("learning", self.learning), ("shadow", self.shadow)):
            for pattern, _ in patterns:
                if not any(names(pattern, *rule) for rule in rules):
                    yield setting, pattern

    def over(self, now_ms: int) -> Iterator[tuple[str, int]]:
        """The patterns of rules that are in shadow no more at ``now_ms``, and until when they were."""
        for pattern, until in self.shadow:
            if until.ms is not None and not until.lasts(now_ms):
                yield pattern, until.ms


NO_POLICY = Policy()


class Tally(Struct):
    """What came of a rule's matches since the agent started; as in `firstseen.metrics.Counts`.

    Those in shadow and the degraded ones are among the alerts. Matches = alerts + suppressed + learning.
    """

    matches: int = 0
    alerts: int = 0
    suppressed: int = 0
    learning: int = 0
    in_shadow: int = 0
    degraded: int = 0

    def add(self, standing: Standing) -> None:
        """One alert more, or what would be one if the rule did not learn."""
        self.learning += standing is Standing.LEARNING
        self.alerts += standing is not Standing.LEARNING
        self.in_shadow += standing is Standing.SHADOW
        self.degraded += standing is Standing.DEGRADED


class Health(Struct, frozen=True):
    """How one rule does. Times are milliseconds since the epoch.

    ``status`` is how an alert would be meant now, but degraded as long as the rule's breaker is ``tripped``: it
    recovers at ``recovers_ms`` if no more than ``max_signals`` in ``interval_ms`` come. ``since_ms`` is when the rule's
    history began, None where it keeps none; ``others_ms`` when other histories of it began, from before it was changed.
    ``learning_until_ms`` is None where it does not learn any more, ``shadow_until`` where it is not in shadow.
    """

    id: str
    name: str
    type: str
    severity: str
    status: Standing
    tripped: bool
    recovers_ms: int | None
    max_signals: int
    interval_ms: int
    since_ms: int | None
    others_ms: Sequence[int]
    learning_until_ms: int | None
    shadow_until: Until | None
    matches: int
    alerts: int
    suppressed: int
    learning: int
    in_shadow: int
    degraded: int


class Running:
    """One rule, from when it is loaded until it is loaded anew; one thread only.

    ``law`` is None where nothing has to be remembered, else ``late_ms`` is how late an event may come and find what was
    known when it happened. ``since_ms`` and ``others_ms`` are as in `Health`.
    """

    __slots__ = (
        "_phase",
        "breaker",
        "goes_by_arrival",
        "late_ms",
        "law",
        "learns_ms",
        "others_ms",
        "rule",
        "shadow",
        "since_ms",
        "state",
        "tally",
    )

    def __init__(self, rule: Rule, policy: Policy = NO_POLICY) -> None:
        self.rule = rule
        self.law = law_of(rule)
        self.state = RuleState(history_of(rule), rule.id, rule.name, self.law.reach_ms if self.law else None)
        self.goes_by_arrival = rule.timestamp_field == "event.ingested"
        self.late_ms = None if self.law is None else kept_ms(self.law.reach_ms) - self.law.reach_ms
        self.learns_ms = policy.learns_ms(rule)
        self.shadow = policy.shadow_of(rule)
        self.breaker = Breaker(rule.max_signals, rule.interval_ms)
        self.tally = Tally()
        self.since_ms: int | None = None
        self.others_ms: Sequence[int] = ()
        self._phase = Standing.OPEN

    def is_late(self, time_ms: int, arrival: int | None) -> bool:
        """Whether an event of that time comes too late for what was known then to be there for sure."""
        return arrival is not None and self.late_ms is not None and arrival - time_ms > self.late_ms

    @property
    def keeps_history(self) -> bool:
        """Whether it has a history in the state, if only of when it began."""
        return self.law is not None or self.learns_ms > 0

    @property
    def learning_until_ms(self) -> int | None:
        """When it stops learning, or stopped; None where it never did."""
        if self.since_ms is None or not self.learns_ms:
            return None
        return min(self.since_ms + self.learns_ms, LAST_MS)

    def look_up(self, known: Histories) -> None:
        """Take from all histories in a state what they say of this rule."""
        if self.keeps_history:
            own = known.get(self.rule.id, {})
            self.since_ms = own.get(self.state.key)
            self.others_ms = sorted(since_ms for key, since_ms in own.items() if key != self.state.key)

    def phase(self, now_ms: int) -> Standing:
        """How its alerts are meant whatever their number is: learning, shadow or open."""
        until_ms = self.learning_until_ms
        if until_ms is not None and now_ms < until_ms:
            return Standing.LEARNING
        if self.shadow is not None and self.shadow.lasts(now_ms):
            return Standing.SHADOW
        return Standing.OPEN

    def standing(self, alert_id: str, now_ms: int, *, live: bool) -> Standing:
        """How this alert is meant. Of past logs, and of what only other rules look at, there can be any number."""
        phase = self.phase(now_ms)
        if phase is not Standing.OPEN or not live or self.rule.building_block:
            return phase
        tripped = self.breaker.tripped
        if self.breaker.admits(alert_id, now_ms):
            return Standing.OPEN
        if not tripped:
            most, interval_ms = self.breaker.numbers
            self._tell(logging.WARNING, "breaker_tripped", max_signals=most, interval=in_units(interval_ms))
        return Standing.DEGRADED

    def succeed(self, old: Running, now_ms: int) -> None:
        """Go on where ``old`` stops, the same rule as it was loaded before."""
        self.tally = old.tally
        if old.breaker.numbers == self.breaker.numbers:
            self.breaker = old.breaker
        else:
            old.tell_recovery(old.breaker.recovers_ms or now_ms)
        if old.state.key == self.state.key:
            self._phase = old._phase

    def tend(self, now_ms: int) -> None:
        """Tell of what has begun or is over: learning, shadow, a flood of alerts."""
        before, self._phase = self._phase, self.phase(now_ms)
        if before is not self._phase:
            if before is not Standing.OPEN:
                self._tell(logging.INFO, f"rule_{before.value}_ended")
            if self._phase is Standing.LEARNING:
                self._tell_phase(self.learning_until_ms, now_ms)
            elif self._phase is Standing.SHADOW and self.shadow is not None:
                self._tell_phase(self.shadow.ms, now_ms)
        self.tell_recovery(now_ms)

    def tell_recovery(self, now_ms: int) -> None:
        """Tell that a flood of alerts is over, where it is."""
        beyond = self.breaker.recover(now_ms)
        if beyond:
            self._tell(logging.WARNING, "breaker_recovered", degraded=beyond)

    def next_change_ms(self, now_ms: int) -> int | None:
        """When there is next something to `tend` to."""
        ends = (self.learning_until_ms, None if self.shadow is None else self.shadow.ms)
        moments = [end for end in ends if end is not None and end > now_ms]
        if self.breaker.recovers_ms is not None:
            moments.append(self.breaker.recovers_ms)
        return min(moments, default=None)

    def health(self, now_ms: int) -> Health:
        """How it does now."""
        phase, tally = self.phase(now_ms), self.tally
        until_ms = self.learning_until_ms
        most, interval_ms = self.breaker.numbers
        return Health(
            id=self.rule.id,
            name=self.rule.name,
            type=self.rule.type,
            severity=self.rule.severity,
            tripped=self.breaker.tripped,
            recovers_ms=self.breaker.recovers_ms,
            max_signals=most,
            interval_ms=interval_ms,
            status=Standing.DEGRADED if phase is Standing.OPEN and self.breaker.tripped else phase,
            since_ms=self.since_ms,
            others_ms=self.others_ms,
            learning_until_ms=until_ms if until_ms is not None and now_ms < until_ms else None,
            shadow_until=self.shadow if self.shadow is not None and self.shadow.lasts(now_ms) else None,
            matches=tally.matches,
            alerts=tally.alerts,
            suppressed=tally.suppressed,
            learning=tally.learning,
            in_shadow=tally.in_shadow,
            degraded=tally.degraded,
        )

    def tell_change(self, now_ms: int) -> None:
        """Tell that it was changed and has begun a new history, where the state still holds another one.

        That is a warning where it did so at ``now_ms``. In any thread.
        """
        if self.since_ms is not None and self.others_ms:
            level = logging.WARNING if self.since_ms == now_ms else logging.INFO
            others = [iso(each) for each in self.others_ms]
            self._tell(level, "rule_changed", since=iso(self.since_ms), histories_before=others)

    def _tell_phase(self, until_ms: int | None, now_ms: int) -> None:
        until = {} if until_ms is None else {"until": iso(until_ms), "left": in_units(until_ms - now_ms)}
        self._tell(logging.INFO, f"rule_{self._phase.value}", **until)

    def _tell(self, level: int, name: str, **fields: Any) -> None:
        event(log, level, name, rule=self.rule.id, name=self.rule.name, **fields)


class Lineup(Struct, frozen=True):
    """Rules that can run at once: their histories are registered, which was at ``now_ms``."""

    rules: RuleSet
    policy: Policy
    enrichment: Enrichment
    running: Mapping[str, Running]
    now_ms: int


def by_rule(known: Iterable[tuple[RuleState, int]]) -> Histories:
    """All histories in a state, which come each with when it began, by the id of their rule."""
    found: dict[str, dict[bytes, int]] = {}
    for state, since_ms in known:
        found.setdefault(state.rule_id, {})[state.key] = since_ms
    return found
