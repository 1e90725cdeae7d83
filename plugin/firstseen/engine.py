"""One record: seen through its views, matched by the rules, claimed in the state, labelled.

Used for records off the wire and for past logs alike; the caller says which clock stands in where a record does not
carry the one that its rule names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firstseen.detect.keys import alert_id, rule_state
from firstseen.detect.label import new_terms_label
from firstseen.detect.new_terms import terms_product
from firstseen.errors import StoreError
from firstseen.logs import event
from firstseen.metrics import Counts
from firstseen.model import Verdict
from firstseen.record.view import Mode, View, views
from firstseen.rules.rule import NewTerms, Rule
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


class Engine:
    """Runs ``rules`` against ``store``; one thread only."""

    def __init__(self, rules: RuleSet, store: Store, counts: Counts, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._counts = counts
        self._now_ms = now_ms
        self._states: dict[str, RuleState] = {}
        self.rules = rules
        self.use(rules)

    def use(self, rules: RuleSet) -> None:
        """Run these rules from the next record on. Raises `StoreError` if their state cannot be registered."""
        states = {
            rule.id: RuleState(rule_state(rule.id, rule.query, rule.kind.fields), rule.id, rule.name)
            for rule in rules.rules
        }
        for state in states.values():
            self._store.register(state, self._now_ms())
        self.rules, self._states = rules, states

    def inspect(
        self, record: Mapping[Any, Any], moment: Moment, digest: Callable[[], str], mode: Mode = "auto"
    ) -> Inspection:
        """The labels of ``record``, read as ``mode`` says; ``digest`` gives an event without an identity its own.

        Raises `StoreError` where the state cannot be read; nothing is claimed then.
        """
        labels: list[Mapping[str, Any]] = []
        claims: list[Claim] = []
        try:
            for number, view in enumerate(views(record, mode)):
                for rule in self._matching(view):
                    identity = view.event_id or (digest() if number == 0 else f"{digest()}/{number}")
                    self._sight(rule, view, moment, identity, labels, claims)
        except StoreError:
            self.release(claims)
            raise
        return Inspection(labels, claims) if claims else NOTHING

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

    def _sight(
        self,
        rule: Rule,
        view: View,
        moment: Moment,
        identity: str,
        labels: list[Mapping[str, Any]],
        claims: list[Claim],
    ) -> None:
        """Claim every combination of the rule's terms in this event, and label those that are new."""
        counts, kind = self._counts, rule.kind
        if not isinstance(kind, NewTerms):  # the loader lets nothing else through
            return
        combinations, dropped = terms_product([view.values(field) for field in kind.fields], MAX_TERMS)
        if dropped:
            counts.terms_dropped += dropped
            event(log, logging.WARNING, "terms_dropped", rule=rule.id, event_id=identity, dropped=dropped)
        time_ms = _clock(rule, view, moment)
        for terms in combinations:
            claim = self._store.claim(self._states[rule.id], terms, time_ms, identity, kind.silence_ms)
            claims.append(claim)
            counts.matches += 1
            if claim.verdict is Verdict.KNOWN:
                counts.suppressed += 1
                continue
            counts.alerts += 1
            event_ms = view.timestamp_ms
            labels.append(
                new_terms_label(
                    rule,
                    kind,
                    terms,
                    alert_id=alert_id(rule.id, terms, identity),
                    time_ms=moment.entry if event_ms is None else event_ms,
                    last_seen=claim.last_seen,
                )
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
