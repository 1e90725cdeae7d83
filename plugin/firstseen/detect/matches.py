"""What a match of a rule asks of the state: under which terms, by which law, and when it happened.

The engine asks it of every match, and whoever explains a match has to ask the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, assert_never

from firstseen.detect.keys import digest_of, rule_state
from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, TermsProduct, terms_product
from firstseen.detect.suppression import SuppressionLaw
from firstseen.detect.threshold import ThresholdLaw
from firstseen.kql.kinds import kind_of
from firstseen.model import Scalar, TermValue
from firstseen.record.fields import field_type
from firstseen.record.source import LONGEST_ID
from firstseen.record.view import View
from firstseen.rules.rule import EveryMatch, NewTerms, Rule, Threshold

MAX_TERMS = 1_000
"""Combinations of values that one event may contribute to one rule; what is beyond is counted and logged."""

_NO_LAW: Sequence[str] = ()


class Moment(NamedTuple):
    """The clocks of one record, in milliseconds since the epoch.

    ``arrival`` stands in for ``event.ingested`` where the record lacks it, and for any time that is later; None means
    that the event's own time does, as for past logs. ``entry`` dates an event that has no time of its own.
    """

    arrival: int | None
    entry: int


def identity_of(view: View, number: int, digest: Callable[[], str]) -> str:
    """What the event is known by: its own id, or the ``digest`` of the record whose view of this ``number`` it is.

    Of an id that is too long to be remembered, it is a digest of that.
    """
    own = view.event_id
    if own:
        return own if len(own) <= LONGEST_ID else digest_of(own.encode("utf-8", "surrogatepass"))
    return digest() if number == 0 else f"{digest()}/{number}"


def law_of(rule: Rule) -> Law[Any] | None:
    """The law by which its matches are remembered; None where nothing has to be, and every match is an alert."""
    match rule.kind:
        case NewTerms(silence_ms=silence_ms):
            return NewTermsLaw(silence_ms)
        case Threshold() as kind:
            return threshold_law(rule, kind)
        case EveryMatch():
            return SuppressionLaw(rule.suppression.duration_ms) if rule.suppression else None
        case _ as unreachable:
            assert_never(unreachable)


def threshold_law(rule: Rule, kind: Threshold) -> ThresholdLaw:
    """The law of a threshold rule, which is of this kind."""
    return ThresholdLaw(
        kind.count,
        kind.cardinality.count if kind.cardinality else 0,
        rule.lookback_ms,
        rule.interval_ms,
        rule.suppression.duration_ms if rule.suppression else 0,
    )


def history_of(rule: Rule) -> bytes:
    """The name of its history (see `rule_state`)."""
    match rule.kind:
        case NewTerms(fields=fields):
            keeps = _NO_LAW
        case Threshold(fields=fields) as kind:
            keeps = ("threshold", kind.cardinality.field if kind.cardinality else "")
        case EveryMatch():
            fields = rule.suppression.fields if rule.suppression else ()
            keeps = ("suppression",)
        case _ as unreachable:
            assert_never(unreachable)
    query, *more = rule.meaning
    return rule_state(rule.id, query, fields, more, keeps)


def terms_of(rule: Rule, view: View) -> TermsProduct:
    """The terms under which a match is remembered.

    Of a rule without a law, or one that lets this match alone, there are none, and the match is an alert of its own; of
    a new_terms or threshold rule there are none where a field has no value, and the match is nothing to it.
    """
    match rule.kind:
        case NewTerms(fields=fields):
            return terms_product([_values(view, field) for field in fields], MAX_TERMS)
        case Threshold(fields=()):
            return TermsProduct([()], 0)
        case Threshold(fields=fields):
            return terms_product([_values(view, field) for field in fields], MAX_TERMS)
        case EveryMatch():
            return terms_product(_group(rule, view), MAX_TERMS)
        case _ as unreachable:
            assert_never(unreachable)


def _group(rule: Rule, view: View) -> Sequence[Sequence[TermValue]]:
    """The values within whose combinations one alert is enough; none where every match is an alert of its own."""
    suppression = rule.suppression
    if suppression is None:
        return ()
    per_field = [_values(view, field) for field in suppression.fields]
    if suppression.missing_alone and not all(per_field):
        return ()
    return [values or (None,) for values in per_field]


def occurrence_of(rule: Rule, view: View, moment: Moment, identity: str) -> Occurrence:
    """The event as the rule's law sees it; ``identity`` is what it is known by."""
    return Occurrence(_clock(rule, view, moment), identity, counted(rule, view))


def counted(rule: Rule, view: View) -> tuple[Scalar, ...]:
    """The values of the field whose different values the rule counts."""
    if isinstance(rule.kind, Threshold) and rule.kind.cardinality is not None:
        return tuple(_values(view, rule.kind.cardinality.field))
    return ()


def _values(view: View, field: str) -> Sequence[Scalar]:
    """The values of ``field`` as queries compare them: an address or a number is one value however it is spelt."""
    indexed = kind_of(field_type(field)).indexed
    return [held for value in view.values(field) if (held := indexed(value)) is not None]


def _clock(rule: Rule, view: View, moment: Moment) -> int:
    """The time of this sighting by the clock that the rule names with ``timestamp_override``."""
    if rule.timestamp_field == "event.ingested":
        if view.ingested_ms is not None:
            return not_ahead_ms(view.ingested_ms, moment.arrival)
        if moment.arrival is not None:
            return moment.arrival
    own = view.timestamp_ms
    return not_ahead_ms(moment.entry if own is None else own, moment.arrival)


def not_ahead_ms(time_ms: int, arrival: int | None) -> int:
    """The time of an event that came at ``arrival``, if that is known: nothing happens after it came.

    What is remembered never moves back: a single clock that is ahead would have all others come late until it is
    reached, and late events raise no alert.
    """
    return time_ms if arrival is None or time_ms < arrival else arrival
