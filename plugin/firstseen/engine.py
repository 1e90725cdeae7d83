"""One record: seen through its views, matched by the rules, claimed in the state, labelled.

Used for records off the wire and for past logs alike; the caller says which clock stands in where a record does not
carry the one that its rule names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, assert_never

from firstseen.detect.keys import alert_id
from firstseen.detect.label import Standing, match_label, new_terms_label, threshold_label
from firstseen.detect.matches import Moment, identity_of, occurrence_of, terms_of, threshold_law
from firstseen.errors import StoreError
from firstseen.logs import complain
from firstseen.metrics import Counts
from firstseen.model import Verdict
from firstseen.recall import Recall
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.view import Mode, View, views
from firstseen.rules.rule import EveryMatch, NewTerms, Rule, Threshold
from firstseen.rules.ruleset import RuleSet
from firstseen.running import NO_POLICY, Health, Lineup, Policy, Running, by_rule
from firstseen.seen import (
    NOTHING,
    UNSEEN,
    Earlier,
    Glanced,
    Inspection,
    Seen,
    are_of_a_type,
    learn,
)
from firstseen.steps import nothing
from firstseen.store.base import Claim, Claims, Wanted

log = logging.getLogger(__name__)


class Engine:
    """Runs ``rules`` against ``store``, with what ``enrichment`` knows of addresses; one thread, but for `lineup`.

    ``policy`` says how alerts of rules are meant. ``on_trip`` is for whoever `tend`s: it is called when there is more
    to tend to than `next_change_ms` said.
    """

    def __init__(
        self,
        rules: RuleSet,
        store: Claims,
        counts: Counts,
        now_ms: Callable[[], int],
        enrichment: Enrichment = UNENRICHED,
        policy: Policy = NO_POLICY,
    ) -> None:
        self._store = store
        self._counts = counts
        self._now_ms = now_ms
        self._running: Mapping[str, Running] = {}
        self._policy, self._enrichment = policy, enrichment
        self.on_trip: Callable[[], None] | None = None
        self.recall = Recall(store, counts)
        self.rules = rules
        lineup = self.lineup(rules)
        for each in self.use(lineup):
            each.tell_change(lineup.now_ms)

    def lineup(
        self,
        rules: RuleSet,
        policy: Policy | None = None,
        enrichment: Enrichment | None = None,
        between: Callable[[], None] = nothing,
    ) -> Lineup:
        """Get these rules ready to run, with another policy or enrichment where one is given. In any thread.

        ``between`` is called after each rule. Raises `StoreError` if their state cannot be registered. What runs is as
        it was.
        """
        now_ms = self._now_ms()
        policy = self._policy if policy is None else policy
        running: dict[str, Running] = {}
        for rule in rules.rules:
            running[rule.id] = Running(rule, policy)
            between()
        self._store.register([each.state for each in running.values() if each.keeps_history], now_ms)
        known = by_rule(self._store.rules())
        for each in running.values():
            each.look_up(known)
        enrichment = self._enrichment if enrichment is None else enrichment
        return Lineup(rules, policy, enrichment, running, now_ms)

    def use(self, lineup: Lineup) -> Sequence[Running]:
        """Run these rules from the next record on; those with another history than before, of which to tell."""
        now_ms = self._now_ms()
        changed: list[Running] = []
        for rule_id, each in lineup.running.items():
            before = self._running.get(rule_id)
            if before is not None:
                each.succeed(before, now_ms)
            if before is None or before.state.key != each.state.key:
                changed.append(each)
            each.tend(now_ms)
        self.rules, self._running, self.recall.running = lineup.rules, lineup.running, lineup.running
        self._policy, self._enrichment = lineup.policy, lineup.enrichment
        return changed

    def running(self) -> Sequence[Running]:
        """The rules that run, each with its history."""
        return list(self._running.values())

    def tend(self) -> None:
        """Tell of what is over: that a rule learns or is in shadow, that it raises too many alerts."""
        now_ms = self._now_ms()
        for each in self._running.values():
            each.tend(now_ms)

    def next_change_ms(self) -> int | None:
        """When there is next something to `tend` to, if nothing new happens."""
        now_ms = self._now_ms()
        moments = (each.next_change_ms(now_ms) for each in self._running.values())
        return min((moment for moment in moments if moment is not None), default=None)

    def health(self) -> Sequence[Health]:
        """How each rule does, in the order of the rules."""
        now_ms = self._now_ms()
        return [each.health(now_ms) for each in self._running.values()]

    def inspect(
        self,
        record: Mapping[Any, Any],
        moment: Moment,
        digest: Callable[[], str],
        mode: Mode = "auto",
        glanced: Glanced = UNSEEN,
        earlier: Earlier | None = None,
        *,
        bounded: bool = False,
    ) -> Inspection:
        """The labels of ``record``, read as ``mode`` says; ``digest`` gives an event without an identity its own.

        ``glanced`` is what `glance` has left of it. ``earlier`` is for records whose claims are confirmed or released
        together: what is no news of a later one is added to a claim of an earlier one.
        Raises `StoreError` where the state cannot be read and, if ``bounded``, `RecordError` for a record that would
        take too much to be looked at; nothing is claimed then.
        """
        labels: list[Mapping[str, Any]] = []
        claims: list[Claim] = []
        late = False
        try:
            events = views(record, mode, self._enrichment, bounded=bounded)
            for number, view in enumerate(events):
                failed = self._counts.rule_errors
                matching = glanced.rules
                if matching is None or not glanced.certain:
                    matching = self._matching(view, matching if len(events) == 1 else None, self._matches)
                if glanced.likeness is not None and self._counts.rule_errors == failed:
                    learn(glanced.likeness, view, matching)
                for rule in matching:
                    seen = Seen(view, moment, identity_of(view, number, digest), labels, claims, earlier)
                    self._match(self._running[rule.id], seen)
                    late = late or seen.late
        except StoreError:
            self.release(claims)
            raise
        self._counts.records_late += late and not glanced.late
        return Inspection(labels, claims) if claims or labels else NOTHING

    def wanted(
        self,
        record: Mapping[Any, Any],
        moment: Moment,
        digest: Callable[[], str],
        mode: Mode = "auto",
        asked: Sequence[Rule] | None = None,
        *,
        bounded: bool = False,
    ) -> Iterator[Wanted]:
        """What `inspect` would claim for ``record``; raises `RecordError` as it does.

        Whatever else there is to tell of the record is told there.
        """
        events = views(record, mode, self._enrichment, bounded=bounded)
        for number, view in enumerate(events):
            for rule in self._matching(view, asked if len(events) == 1 else None, self._may_match):
                running = self._running[rule.id]
                if running.law is not None:
                    occurrence = occurrence_of(rule, view, moment, identity_of(view, number, digest))
                    for terms in terms_of(rule, view).terms:
                        yield Wanted(running.state, terms, occurrence, running.law)

    def release(self, claims: Sequence[Claim]) -> None:
        """Give back claims whose labels will not be delivered."""
        self._store.release(claims)

    def _matching(
        self, view: View, asked: Sequence[Rule] | None, matches: Callable[[Rule, View], bool]
    ) -> Sequence[Rule]:
        try:
            return self.rules.matches(view, asked)
        except Exception:  # noqa: BLE001  # told of below, by the rule that raised it
            return [rule for rule in self.rules.rules if matches(rule, view)]

    def _may_match(self, rule: Rule, view: View) -> bool:
        """Whether the rule matches, or fails: `inspect` tells of that."""
        try:
            return rule.predicate(view)
        except Exception:  # noqa: BLE001  # looked at again, and told of, by `_matches`
            return True

    def _matches(self, rule: Rule, view: View) -> bool:
        """Whether the rule matches; one that fails on this event is skipped for it, and the log stream goes on."""
        try:
            return rule.predicate(view)
        except OSError:  # of the machine, which has no file left: the rule may well match, and the event comes again
            raise
        except Exception as error:  # noqa: BLE001  # counted and logged
            self._counts.rule_errors += 1
            complain(
                log, logging.ERROR, "rule_failed", (rule.id,), rule=rule.id, event_id=view.event_id, error=repr(error)
            )
            return False

    def _match(self, running: Running, seen: Seen) -> None:
        match running.rule.kind:
            case NewTerms() as kind:
                self._new_terms(running, kind, seen)
            case Threshold() as kind:
                self._threshold(running, kind, seen)
            case EveryMatch():
                self._every_match(running, seen)
            case _ as unreachable:
                assert_never(unreachable)

    def _new_terms(self, running: Running, kind: NewTerms, seen: Seen) -> None:
        """Claim every combination of the rule's terms in this event, and label those that are new."""
        rule = running.rule
        for claim, named in self._news(running, seen):
            label = new_terms_label(
                rule,
                kind,
                claim.terms,
                seen.view,
                alert_id=named,
                time_ms=seen.time_ms,
                last_seen=None if claim.before is None else claim.before.last_seen,
                status=self._standing(running, named, seen.moment),
            )
            seen.add(label, claim)

    def _threshold(self, running: Running, kind: Threshold, seen: Seen) -> None:
        """Count the event under every combination of the rule's terms in it, and label it where it makes one full."""
        rule = running.rule
        for claim, named in self._news(running, seen):
            label = threshold_label(
                rule,
                kind,
                claim.terms,
                seen.view,
                alert_id=named,
                time_ms=seen.time_ms,
                tally=threshold_law(rule, kind).tally(claim.before, claim.occurrence),
                status=self._standing(running, named, seen.moment),
            )
            seen.add(label, claim)

    def _every_match(self, running: Running, seen: Seen) -> None:
        """Label the event, unless an alert of one of its groups was enough."""
        rule = running.rule
        # All groups are claimed, also where the first is news: the event is in each of them.
        claims = list(self._claims(running, seen))
        news = [claim for claim, verdict in claims if verdict is not Verdict.KNOWN]
        if self._alerts(running, alerts=bool(news) or not claims):
            named = alert_id(rule.id, (), seen.identity)
            label = match_label(
                rule,
                seen.view,
                alert_id=named,
                time_ms=seen.time_ms,
                group=news[0].terms if news else None,
                status=self._standing(running, named, seen.moment),
            )
            seen.add(label, *(claim for claim, _ in claims))

    def _news(self, running: Running, seen: Seen) -> Iterator[tuple[Claim, str]]:
        """Claim the event under each of its terms; those claims that alert, each with the id of its alert."""
        for claim, verdict in self._claims(running, seen):
            if self._alerts(running, alerts=verdict is not Verdict.KNOWN):
                yield claim, alert_id(running.rule.id, claim.terms, seen.identity)

    def _claims(self, running: Running, seen: Seen) -> Iterator[tuple[Claim, Verdict]]:
        """Claim the event under each of its terms, one after the other; what it was added to, and what it means."""
        law, state, earlier = running.law, running.state, seen.earlier
        if law is None:
            return
        rule = running.rule
        terms_of_event, dropped = terms_of(rule, seen.view)
        if dropped:
            self._counts.terms_dropped += dropped
            complain(
                log, logging.WARNING, "terms_dropped", (rule.id,), rule=rule.id, event_id=seen.identity, dropped=dropped
            )
        occurrence = occurrence_of(rule, seen.view, seen.moment, seen.identity)
        seen.late = running.is_late(occurrence.time_ms, seen.moment.arrival)
        for terms in terms_of_event:
            claim = None if earlier is None else earlier.get((state.key, terms))
            if claim is not None and are_of_a_type(claim.terms, terms) and self._store.extend(claim, occurrence):
                yield claim, Verdict.KNOWN
                continue
            claim = self._store.claim(state, terms, occurrence, law)
            seen.claims.append(claim)
            if earlier is not None:
                earlier[state.key, terms] = claim
            yield claim, claim.verdict

    def _alerts(self, running: Running, *, alerts: bool) -> bool:
        """Count one match, and say whether it is an alert, which is counted by its standing."""
        self._counts.matches += 1
        self._counts.suppressed += not alerts
        running.tally.matches += 1
        running.tally.suppressed += not alerts
        return alerts

    def _standing(self, running: Running, named: str, moment: Moment) -> Standing:
        """How the alert of this id is meant; it is counted."""
        now_ms = self._now_ms() if moment.arrival is None else moment.arrival
        tripped = running.breaker.tripped
        standing = running.standing(named, now_ms, live=moment.arrival is not None)
        if running.breaker.tripped and not tripped and self.on_trip is not None:
            self.on_trip()
        counts = self._counts
        counts.learning += standing is Standing.LEARNING
        counts.alerts += standing is not Standing.LEARNING
        counts.alerts_in_shadow += standing is Standing.SHADOW
        counts.alerts_degraded += standing is Standing.DEGRADED
        running.tally.add(standing)
        return standing
