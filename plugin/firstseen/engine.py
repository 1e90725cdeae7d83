"""One record: seen through its views, matched by the rules, claimed in the state, labelled.

Used for records off the wire and for past logs alike; the caller says which clock stands in where a record does not
carry the one that its rule names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from firstseen.detect.keys import alert_id, rule_state
from firstseen.detect.label import match_label, new_terms_label, threshold_label
from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, terms_product
from firstseen.detect.suppression import SuppressionLaw
from firstseen.detect.threshold import ThresholdLaw
from firstseen.errors import StoreError
from firstseen.logs import event
from firstseen.metrics import Counts
from firstseen.model import Scalar, TermValue, Verdict
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.view import Mode, View, views
from firstseen.rules.rule import EveryMatch, NewTerms, Rule, Threshold
from firstseen.rules.ruleset import RuleSet
from firstseen.store.base import Claim, RuleState, Store

log = logging.getLogger(__name__)

MAX_TERMS = 1_000
"""Combinations of values that one event may contribute to one rule; what is beyond is counted and logged."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The clocks of one record, in milliseconds since the epoch.

    ``arrival`` stands in for ``event.ingested`` where the record lacks it; None means that the event's own time does,
    as for past logs. ``entry`` dates an event that has no time of its own.
    """

    arrival: int | None
    entry: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the rules say of a record: its labels, and the claims to confirm once they are delivered."""

    labels: Sequence[Mapping[str, Any]]
    claims: Sequence[Claim]


NOTHING = Inspection((), ())

NO_LAW: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Running:
    """A rule that runs, and where and by which law its matches are remembered; None where nothing has to be."""

    rule: Rule
    state: RuleState
    law: Law[Any] | None


@dataclass(slots=True)
class _Event:
    """One event while the rules look at it, and what they have said of it."""

    view: View
    moment: Moment
    identity: str
    labels: list[Mapping[str, Any]]
    claims: list[Claim]

    @property
    def time_ms(self) -> int:
        """When it happened."""
        own = self.view.timestamp_ms
        return self.moment.entry if own is None else own


class Engine:
    """Runs ``rules`` against ``store``, with what ``enrichment`` knows of addresses; one thread only."""

    def __init__(
        self,
        rules: RuleSet,
        store: Store,
        counts: Counts,
        now_ms: Callable[[], int],
        enrichment: Enrichment = UNENRICHED,
    ) -> None:
        self._store = store
        self._counts = counts
        self._now_ms = now_ms
        self._running: dict[str, _Running] = {}
        self._enrichment = enrichment
        self.rules = rules
        self.use(rules)

    def use(self, rules: RuleSet) -> None:
        """Run these rules from the next record on. Raises `StoreError` if their state cannot be registered."""
        running = {rule.id: _running(rule) for rule in rules.rules}
        for each in running.values():
            if each.law is not None:
                self._store.register(each.state, self._now_ms())
        self.rules, self._running = rules, running

    def inspect(
        self,
        record: Mapping[Any, Any],
        moment: Moment,
        digest: Callable[[], str],
        mode: Mode = "auto",
        *,
        bounded: bool = False,
    ) -> Inspection:
        """The labels of ``record``, read as ``mode`` says; ``digest`` gives an event without an identity its own.

        Raises `StoreError` where the state cannot be read and, if ``bounded``, `RecordError` for a record that would
        take too much to be looked at; nothing is claimed then.
        """
        labels: list[Mapping[str, Any]] = []
        claims: list[Claim] = []
        try:
            for number, view in enumerate(views(record, mode, self._enrichment, bounded=bounded)):
                for rule in self._matching(view):
                    identity = view.event_id or (digest() if number == 0 else f"{digest()}/{number}")
                    self._match(self._running[rule.id], _Event(view, moment, identity, labels, claims))
        except StoreError:
            self.release(claims)
            raise
        return Inspection(labels, claims) if claims or labels else NOTHING

    def release(self, claims: Sequence[Claim]) -> None:
        """Give back claims whose labels will not be delivered."""
        self._store.release(claims)

    def _matching(self, view: View) -> Sequence[Rule]:
        try:
            return self.rules.matches(view)
        except Exception:  # noqa: BLE001  # told of below, by the rule that raised it
            return [rule for rule in self.rules.rules if self._matches(rule, view)]

    def _matches(self, rule: Rule, view: View) -> bool:
        """Whether the rule matches; one that fails on this event is skipped for it, and the log stream goes on."""
        try:
            return rule.predicate(view)
        except Exception as error:  # noqa: BLE001  # counted and logged
            self._counts.rule_errors += 1
            event(log, logging.ERROR, "rule_failed", rule=rule.id, event_id=view.event_id, error=repr(error))
            return False

    def _match(self, running: _Running, seen: _Event) -> None:
        match running.rule.kind:
            case NewTerms() as kind:
                self._new_terms(running, kind, seen)
            case Threshold() as kind:
                self._threshold(running, kind, seen)
            case EveryMatch():
                self._every_match(running, seen)
            case _ as unreachable:
                assert_never(unreachable)

    def _new_terms(self, running: _Running, kind: NewTerms, seen: _Event) -> None:
        """Claim every combination of the rule's terms in this event, and label those that are new."""
        rule = running.rule
        for terms in self._combinations(rule, seen, [seen.view.values(field) for field in kind.fields]):
            claim = self._claim(running, terms, seen)
            if self._counted(claim.verdict is not Verdict.KNOWN):
                label = new_terms_label(
                    rule,
                    kind,
                    terms,
                    seen.view,
                    alert_id=alert_id(rule.id, terms, seen.identity),
                    time_ms=seen.time_ms,
                    last_seen=None if claim.before is None else claim.before.last_seen,
                )
                seen.labels.append(label)

    def _threshold(self, running: _Running, kind: Threshold, seen: _Event) -> None:
        """Count the event under every combination of the rule's terms in it, and label it where it makes one full."""
        rule, view = running.rule, seen.view
        counted = kind.cardinality
        values = () if counted is None else tuple(view.values(counted.field))
        per_field = [view.values(field) for field in kind.fields]
        for terms in self._combinations(rule, seen, per_field) if per_field else [()]:
            claim = self._claim(running, terms, seen, values)
            if self._counted(claim.verdict is not Verdict.KNOWN):
                label = threshold_label(
                    rule,
                    kind,
                    terms,
                    view,
                    alert_id=alert_id(rule.id, terms, seen.identity),
                    time_ms=seen.time_ms,
                    tally=_threshold_law(rule, kind).tally(claim.before, claim.occurrence),
                )
                seen.labels.append(label)

    def _every_match(self, running: _Running, seen: _Event) -> None:
        """Label the event, unless an alert of one of its groups was enough."""
        rule = running.rule
        groups = self._groups(rule, seen)
        claims = [self._claim(running, group, seen) for group in groups]
        # All groups are claimed, also where the first is news: the event is in each of them.
        if self._counted(not claims or any(claim.verdict is not Verdict.KNOWN for claim in claims)):
            seen.labels.append(
                match_label(
                    rule,
                    seen.view,
                    alert_id=alert_id(rule.id, (), seen.identity),
                    time_ms=seen.time_ms,
                    group=groups[0] if groups else None,
                )
            )

    def _groups(self, rule: Rule, seen: _Event) -> Sequence[tuple[TermValue, ...]]:
        """The groups within which one alert is enough; none where every match is an alert of its own."""
        suppression = rule.suppression
        if suppression is None:
            return ()
        per_field = [seen.view.values(field) for field in suppression.fields]
        if suppression.missing_alone and not all(per_field):
            return ()
        return self._combinations(rule, seen, [values or (None,) for values in per_field])

    def _combinations(
        self, rule: Rule, matched: _Event, per_field: Sequence[Sequence[TermValue]]
    ) -> Sequence[tuple[Any, ...]]:
        combinations, dropped = terms_product(per_field, MAX_TERMS)
        if dropped:
            self._counts.terms_dropped += dropped
            event(log, logging.WARNING, "terms_dropped", rule=rule.id, event_id=matched.identity, dropped=dropped)
        return combinations

    def _claim(
        self, running: _Running, terms: tuple[TermValue, ...], seen: _Event, values: tuple[Scalar, ...] = ()
    ) -> Claim:
        if running.law is None:
            raise AssertionError("what is claimed has a law")
        occurrence = Occurrence(_clock(running.rule, seen.view, seen.moment), seen.identity, values)
        claim = self._store.claim(running.state, terms, occurrence, running.law)
        seen.claims.append(claim)
        return claim

    def _counted(self, alerts: bool) -> bool:
        """Count one match, which is an alert or not."""
        self._counts.matches += 1
        if alerts:
            self._counts.alerts += 1
        else:
            self._counts.suppressed += 1
        return alerts


def _running(rule: Rule) -> _Running:
    match rule.kind:
        case NewTerms(fields=fields) as kind:
            law: Law[Any] | None = NewTermsLaw(kind.silence_ms)
            keeps = NO_LAW
        case Threshold(fields=fields) as kind:
            law = _threshold_law(rule, kind)
            keeps = ("threshold", kind.cardinality.field if kind.cardinality else "")
        case EveryMatch():
            law = SuppressionLaw(rule.suppression.duration_ms) if rule.suppression else None
            fields = rule.suppression.fields if rule.suppression else ()
            keeps = ("suppression",)
        case _ as unreachable:
            assert_never(unreachable)
    query, *more = rule.meaning
    return _Running(rule, RuleState(rule_state(rule.id, query, fields, more, keeps), rule.id, rule.name), law)


def _threshold_law(rule: Rule, kind: Threshold) -> ThresholdLaw:
    return ThresholdLaw(
        kind.count,
        kind.cardinality.count if kind.cardinality else 0,
        rule.lookback_ms,
        rule.interval_ms,
        rule.suppression.duration_ms if rule.suppression else 0,
    )


def _clock(rule: Rule, view: View, moment: Moment) -> int:
    """The time of this sighting by the clock that the rule names with ``timestamp_override``."""
    if rule.timestamp_field == "event.ingested":
        if view.ingested_ms is not None:
            return view.ingested_ms
        if moment.arrival is not None:
            return moment.arrival
    own = view.timestamp_ms
    return moment.entry if own is None else own
