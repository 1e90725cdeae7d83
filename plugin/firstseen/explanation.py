"""Why a rule says of an event what it says: its query part by part, its exceptions, its needles, and the state.

Nothing is changed by looking: every event is judged alone and at its own time, on what is remembered now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from firstseen.detect.matches import Moment, history_of, identity_of, law_of, occurrence_of, terms_of
from firstseen.detect.new_terms import Sighting
from firstseen.detect.reasons import reason
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import Bucket
from firstseen.eventfiles import Event
from firstseen.kql import Trace, compile_trace
from firstseen.kql.trace import Tracer
from firstseen.model import TermValue, Verdict
from firstseen.record.enrichment import Enrichment
from firstseen.record.fields import field_type
from firstseen.record.instant import iso
from firstseen.record.view import Mode, View, unavailable, views
from firstseen.rules.requirements import mentioned
from firstseen.rules.rule import EveryMatch, ExceptionItem, Rule
from firstseen.rules.scanner import ESCAPE
from firstseen.store.base import Memory, StateReader


class Outcome(StrEnum):
    """What comes of one event by one rule."""

    NO_MATCH = "no match"
    EXCEPTED = "excepted"
    """Its query matches, and so does an exception."""
    NO_TERMS = "no terms"
    """It matches, and lacks a value that the rule remembers its matches by."""
    KNOWN = "known"
    """It matches, and the state says that it is no alert."""
    ALERT = "alert"


class Needles(Struct, frozen=True):
    """The needles of a rule that are in the bytes of the event, and those that are not.

    ``escaped`` tells of an escape that could hide any of them; such an event is looked at all the same.
    """

    found: tuple[str, ...]
    missing: tuple[str, ...]
    escaped: bool


class Excepting(Struct, frozen=True):
    """An exception that holds, and what it says of the event."""

    item: ExceptionItem
    trace: Trace


class Answer(Struct, frozen=True):
    """What the state says of one list of terms: what it remembers, whether that makes an alert, and why."""

    terms: tuple[TermValue, ...]
    memory: Memory | None
    alerts: bool
    reason: str


class RuleExplained(Struct, frozen=True):
    """One rule on one event. ``needles`` is None for a rule that has none and looks at every record.

    ``unavailable`` are the fields that it asks for and that no record of this kind can have here, and why. ``began`` is
    when its history began, None where the state has none of it; ``answers`` is empty where nothing was asked of it.
    """

    rule: Rule
    outcome: Outcome
    needles: Needles | None
    query: Trace
    exceptions: tuple[Excepting, ...]
    unavailable: Mapping[str, str]
    began: int | None
    answers: tuple[Answer, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as plain values, in the shape that ``docs/commands.md`` tells of."""
        return {
            "id": self.rule.id,
            "name": self.rule.name,
            "type": self.rule.type,
            "file": self.rule.file,
            "outcome": self.outcome,
            "needles": self.needles
            and {"found": self.needles.found, "missing": self.needles.missing, "escaped": self.needles.escaped},
            "query": self.query.as_json(),
            "exceptions": [
                {
                    "name": each.item.name,
                    "file": each.item.file,
                    "line": each.item.line,
                    "applies": each.trace.verdict,
                    "query": each.trace.as_json(),
                }
                for each in self.exceptions
            ],
            "unavailable": dict(self.unavailable),
            "history_began": None if self.began is None else iso(self.began),
            "answers": [
                {
                    "terms": list(each.terms),
                    "alerts": each.alerts,
                    "reason": each.reason,
                    "remembered": remembered(each.memory),
                }
                for each in self.answers
            ],
        }


class Explanation(Struct, frozen=True):
    """One event, the ``number``-th of its ``source``, and every rule on it; ``state`` tells whether one was asked."""

    source: str
    number: int
    view: View
    identity: str
    time_ms: int
    state: bool
    rules: tuple[RuleExplained, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as plain values, in the shape that ``docs/commands.md`` tells of."""
        return {
            "source": self.source,
            "number": self.number,
            "kind": self.view.kind,
            "id": self.identity,
            "time": iso(self.time_ms),
            "action": list(self.view.values("event.action")),
            "state_given": self.state,
            "rules": [rule.as_json() for rule in self.rules],
        }


class Explainer:
    """Explains what ``rules`` say of events, with the exceptions that hold at ``now_ms``; ``state`` may be missing.

    Events are read as ``mode`` says.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        state: StateReader | None,
        enrichment: Enrichment,
        now_ms: int,
        mode: Mode = "auto",
    ) -> None:
        self._state = state
        self._enrichment = enrichment
        self._mode = mode
        self._began = {} if state is None else {history.key: began for history, began in state.rules()}
        self._rules = [_Traced(rule, now_ms) for rule in rules]

    def explain(self, event: Event, moment: Moment) -> Iterator[Explanation]:
        """Each event that ``event`` holds. Raises `StoreError`, and `InputError` where it cannot be decoded."""
        for number, view in enumerate(views(event.decode(), self._mode, self._enrichment)):
            identity = identity_of(view, number, event.digest)
            rules = tuple(self._explained(rule, event.raw, view, moment, identity) for rule in self._rules)
            own = view.timestamp_ms
            time_ms = moment.entry if own is None else own
            yield Explanation(event.source, event.number, view, identity, time_ms, self._state is not None, rules)

    def _explained(self, traced: _Traced, raw: bytes, view: View, moment: Moment, identity: str) -> RuleExplained:
        rule = traced.rule
        query = traced.query(view)
        exceptions = tuple(Excepting(item, trace(view)) for item, trace in traced.exceptions)
        answers: tuple[Answer, ...] = ()
        if not query.verdict:
            outcome = Outcome.NO_MATCH
        elif any(each.trace.verdict for each in exceptions):
            outcome = Outcome.EXCEPTED
        else:
            answers = tuple(self._answers(rule, view, moment, identity))
            outcome = _outcome(rule, answers)
        lacking = self._unavailable(traced) if view.kind == "cloudtrail" else {}
        began = self._began.get(history_of(rule))
        return RuleExplained(rule, outcome, _needles(rule, raw), query, exceptions, lacking, began, answers)

    def _answers(self, rule: Rule, view: View, moment: Moment, identity: str) -> Iterator[Answer]:
        law = law_of(rule)
        if law is None:
            return
        occurrence = occurrence_of(rule, view, moment, identity)
        for terms in terms_of(rule, view).terms:
            memory = None if self._state is None else self._state.get(history_of(rule), terms)
            alerts = law.judge(memory, occurrence) is Verdict.NEW
            yield Answer(terms, memory, alerts, reason(law, memory, occurrence))

    def _unavailable(self, traced: _Traced) -> dict[str, str]:
        reasons = {field: unavailable(field, self._enrichment) for field in traced.fields}
        return {field: why for field, why in reasons.items() if why is not None}


class _Traced:
    """A rule, what traces its query and its exceptions, and the fields that all of it asks for."""

    def __init__(self, rule: Rule, now_ms: int) -> None:
        self.rule = rule
        self.query = compile_trace(rule.asked, rule.query, field_type)
        self.exceptions: list[tuple[ExceptionItem, Tracer]] = [
            (item, compile_trace(item.node, "", field_type)) for item in rule.exceptions if item.holds(now_ms)
        ]
        self.fields = sorted({*mentioned(rule.node), *rule.kind.fields})


def _outcome(rule: Rule, answers: Sequence[Answer]) -> Outcome:
    if answers:
        return Outcome.ALERT if any(answer.alerts for answer in answers) else Outcome.KNOWN
    return Outcome.ALERT if isinstance(rule.kind, EveryMatch) else Outcome.NO_TERMS


def _needles(rule: Rule, raw: bytes) -> Needles | None:
    if rule.needles is None:
        return None
    found = [needle for needle in rule.needles if needle in raw]
    return Needles(_texts(found), _texts(rule.needles.difference(found)), ESCAPE in raw)


def _texts(needles: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(sorted(needle.decode("utf-8", "backslashreplace") for needle in needles))


def remembered(memory: Memory | None) -> dict[str, Any] | None:
    """What is remembered of terms, as plain values; None for nothing."""
    match memory:
        case None:
            return None
        case Sighting():
            return {
                "first_seen": iso(memory.first_seen),
                "last_seen": iso(memory.last_seen),
                "count": memory.count,
                "event": memory.event,
            }
        case Bucket():
            alerted = memory.alerted_ms
            return {
                "first_seen": iso(memory.first_seen),
                "last_seen": iso(memory.last_seen),
                "count": memory.events,
                "event": memory.event,
                "last_alert": None if alerted is None else iso(alerted),
            }
        case Window():
            return {
                "opened": iso(memory.first_seen),
                "last_seen": iso(memory.last_seen),
                "held_back": memory.suppressed,
                "event": memory.event,
            }
