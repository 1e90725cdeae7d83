"""A rule from the values in its file, whatever its type: what it asks, when a match is an alert, what is told of it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from firstseen.kql.ast import together
from firstseen.notation import Duration
from firstseen.rules.facts import facts
from firstseen.rules.filters import filters
from firstseen.rules.newterms import new_terms
from firstseen.rules.query import meaning, meanings, needles_of, query
from firstseen.rules.rule import EveryMatch, ExceptionItem, Kind, Rule
from firstseen.rules.rulefile import UNSUPPORTED, RuleFile
from firstseen.rules.suppression import suppression
from firstseen.rules.threshold import threshold

TYPES = ("query", "new_terms", "threshold")
"""The types of rules that run."""

_DEFAULT_FROM = "now-6m"
_DEFAULT_INTERVAL = "5m"
_DEFAULT_MAX_SIGNALS = 100
_MOST_SIGNALS = 10**9
_CLOCKS = ("event.ingested", "@timestamp")


def assembled(file: RuleFile, rule_id: str, name: str, rule_type: str, digest: bytes) -> Rule | None:
    """The rule in ``file``, of one of the `TYPES`, without exceptions; None if something is wrong or against it.

    ``digest`` is that of the file. See `excepted`.
    """
    about = facts(file)
    asked, narrowed = query(file, ("rule", "query")), filters(file)
    lookback = file.ago("rule", "from", default=_DEFAULT_FROM)
    interval_ms = file.duration("rule", "interval", default=_DEFAULT_INTERVAL)
    kind = _kind(file, rule_type, lookback)
    suppressed = None if kind is None else suppression(file, kind, interval_ms)
    clock = _clock(file)
    max_signals = file.number("rule", "max_signals", least=1, most=_MOST_SIGNALS, default=_DEFAULT_MAX_SIGNALS)
    _refuse_another_end(file)
    if file.problems or file.reasons or asked is None or kind is None or lookback is None:
        return None
    whole = together((asked.node, *narrowed))
    return Rule(
        id=rule_id,
        name=name,
        type=rule_type,
        file=file.document.file,
        hash=digest.hex(),
        severity=about.severity,
        risk_score=about.risk_score,
        tags=about.tags,
        threat=about.threat,
        references=about.references,
        license=about.license,
        overrides=about.overrides,
        building_block=about.building_block,
        query=asked.text,
        asked=whole,
        exceptions=(),
        holding=(),
        meaning=meaning(asked.canonical, narrowed),
        kind=kind,
        suppression=suppressed,
        lookback_ms=lookback.ms,
        interval_ms=interval_ms,
        max_signals=max_signals,
        timestamp_field=clock,
        needles=asked.needles if whole is asked.node else needles_of(whole),
    )


def excepted(rule: Rule, exceptions: Sequence[ExceptionItem], now_ms: int) -> Rule:
    """``rule``, which has none, with all ``exceptions`` that are meant for it; those apply that hold at ``now_ms``."""
    if not exceptions:
        return rule
    whole = replace(rule, exceptions=tuple(exceptions), meaning=(*rule.meaning, *meanings(exceptions)))
    return at(whole, now_ms)


def at(rule: Rule, now_ms: int) -> Rule:
    """``rule`` with the exceptions that hold at ``now_ms``; the same rule where these have not changed."""
    if not rule.exceptions:
        return rule
    holding = tuple(item for item in rule.exceptions if item.holds(now_ms))
    if holding == rule.holding:
        return rule
    found = replace(rule, holding=holding)
    return replace(found, needles=needles_of(found.node))


def _kind(file: RuleFile, rule_type: str, lookback: Duration | None) -> Kind | None:
    if rule_type == "new_terms":
        return new_terms(file, lookback)
    if rule_type == "threshold":
        return threshold(file)
    return EveryMatch()


def _clock(file: RuleFile) -> str | None:
    """The field with the time that the rule goes by, where it names one.

    Whether it may fall back on ``@timestamp`` has no bearing here: what an event lacks of ``event.ingested`` the moment
    of its arrival stands in for.
    """
    file.flag("rule", "timestamp_override_fallback_disabled")
    if file.value("rule", "timestamp_override") is None:
        return None
    clock = file.text("rule", "timestamp_override")
    if clock and clock not in _CLOCKS:
        file.reasons.append(f"rule.timestamp_override: {clock} as the clock is {UNSUPPORTED}")
    return clock


def _refuse_another_end(file: RuleFile) -> None:
    until = file.value("rule", "to")
    if until not in (None, "now"):
        file.reasons.append(f"rule.to: an end other than now is {UNSUPPORTED}")
