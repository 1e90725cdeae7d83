"""One record: seen through its views, matched by the rules, claimed in the state, labelled.

Used for records off the wire and for past logs alike; the caller says which clock stands in where a record does not
carry the one that its rule names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from firstseen.detect.keys import alert_id
from firstseen.detect.label import match_label, new_terms_label, threshold_label
from firstseen.detect.law import Law
from firstseen.detect.matches import Moment, history_of, identity_of, law_of, occurrence_of, terms_of, threshold_law
from firstseen.errors import StoreError
from firstseen.logs import event
from firstseen.metrics import Counts
from firstseen.model import Verdict
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.view import Mode, View, views
from firstseen.rules.rule import EveryMatch, NewTerms, Rule, Threshold
from firstseen.rules.ruleset import RuleSet
from firstseen.store.base import Claim, RuleState, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the rules say of a record: its labels, and the claims to confirm once they are delivered."""

    labels: Sequence[Mapping[str, Any]]
    claims: Sequence[Claim]


NOTHING = Inspection((), ())


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
                    identity = identity_of(view, number, digest)
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
        for claim in self._claims(running, seen):
            if self._counted(claim.verdict is not Verdict.KNOWN):
                label = new_terms_label(
                    rule,
                    kind,
                    claim.terms,
                    seen.view,
                    alert_id=alert_id(rule.id, claim.terms, seen.identity),
                    time_ms=seen.time_ms,
                    last_seen=None if claim.before is None else claim.before.last_seen,
                )
                seen.labels.append(label)

    def _threshold(self, running: _Running, kind: Threshold, seen: _Event) -> None:
        """Count the event under every combination of the rule's terms in it, and label it where it makes one full."""
        rule = running.rule
        for claim in self._claims(running, seen):
            if self._counted(claim.verdict is not Verdict.KNOWN):
                label = threshold_label(
                    rule,
                    kind,
                    claim.terms,
                    seen.view,
                    alert_id=alert_id(rule.id, claim.terms, seen.identity),
                    time_ms=seen.time_ms,
                    tally=threshold_law(rule, kind).tally(claim.before, claim.occurrence),
                )
                seen.labels.append(label)

    def _every_match(self, running: _Running, seen: _Event) -> None:
        """Label the event, unless an alert of one of its groups was enough."""
        rule = running.rule
        # All groups are claimed, also where the first is news: the event is in each of them.
        claims = list(self._claims(running, seen))
        if self._counted(not claims or any(claim.verdict is not Verdict.KNOWN for claim in claims)):
            seen.labels.append(
                match_label(
                    rule,
                    seen.view,
                    alert_id=alert_id(rule.id, (), seen.identity),
                    time_ms=seen.time_ms,
                    group=claims[0].terms if claims else None,
                )
            )

    def _claims(self, running: _Running, seen: _Event) -> Iterator[Claim]:
        """Claim the event under each of its terms, one after the other."""
        if running.law is None:
            return
        rule = running.rule
        terms_of_event, dropped = terms_of(rule, seen.view)
        if dropped:
            self._counts.terms_dropped += dropped
            event(log, logging.WARNING, "terms_dropped", rule=rule.id, event_id=seen.identity, dropped=dropped)
        occurrence = occurrence_of(rule, seen.view, seen.moment, seen.identity)
        for terms in terms_of_event:
            claim = self._store.claim(running.state, terms, occurrence, running.law)
            seen.claims.append(claim)
            yield claim

    def _counted(self, alerts: bool) -> bool:
        """Count one match, which is an alert or not."""
        self._counts.matches += 1
        if alerts:
            self._counts.alerts += 1
        else:
            self._counts.suppressed += 1
        return alerts


def _running(rule: Rule) -> _Running:
    return _Running(rule, RuleState(history_of(rule), rule.id, rule.name), law_of(rule))
