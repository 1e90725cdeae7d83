"""Keeps the engine on the rules that hold: loads them anew when told to, and lets what has an end end at its moment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from firstseen.config import Config, located
from firstseen.engine import Engine
from firstseen.errors import FirstseenError, RuleError, StoreError
from firstseen.geoip import GeoIp, GeoIpError
from firstseen.logs import event
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.view import unavailable
from firstseen.rules.loader import load_rules
from firstseen.rules.requirements import Unavailable, everything_is_available
from firstseen.rules.rule import Status
from firstseen.rules.ruleset import RuleSet
from firstseen.running import NO_POLICY, Policy

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 3_600.0
"""What ends much later is looked at again before: clocks are set, and machines sleep."""


def configured_rules(config: Config, now_ms: int, enrichment: Enrichment) -> RuleSet:
    """The rules that ``config`` names, with the exceptions that hold at ``now_ms``; raises `RuleError`.

    What ``enrichment`` does not know, no CloudTrail record has. Documents of others may have it all the same: its lack
    hinders no rule that needs what CloudTrail never has, and none where all that is read are such documents.
    """
    return load_rules(
        config.rules.paths,
        config.rules.exceptions,
        now_ms=now_ms,
        unavailable=configured_lacks(config, enrichment),
        elsewhere=not_in_cloudtrail,
    )


def configured_lacks(config: Config, enrichment: Enrichment) -> Unavailable:
    """What no record has of all that is read by this configuration."""
    return everything_is_available if only_documents(config) else enrichment_lacks(enrichment)


def only_documents(config: Config) -> bool:
    """Whether no record is read as CloudTrail: every tag is read as ``ecs``, or not at all."""
    views = config.sources.views
    return any(pattern == "*" for pattern, _ in views) and all(view in ("ecs", "none") for _, view in views)


def enrichment_lacks(enrichment: Enrichment) -> Unavailable:
    """Why a field has no value for lack of a database or a package; None for any other field."""

    def lacks(field: str) -> str | None:
        reason = unavailable(field, enrichment)
        return None if reason is None or " needs " not in reason else reason.partition(" needs ")[2]

    return lacks


def configured_policy(config: Config) -> Policy:
    """What ``config`` says of how long rules learn, and until when they are in shadow."""
    learning = [(pattern, period.ms) for pattern, period in config.rules.learning]
    return Policy(config.state.learning_period.ms, learning, config.rules.shadow)


def unused_patterns(rules: RuleSet, policy: Policy) -> Sequence[tuple[str, str]]:
    """The setting, and what is to be said of it, for each of its patterns that fits no rule, running or not."""
    known = [(report.id, report.name) for report in rules.reports]
    return [(f"rules.{name}", f"there is no rule {pattern}") for name, pattern in policy.unused(known)]


def tell_of(rules: RuleSet, policy: Policy = NO_POLICY) -> None:
    """One line for each rule that does not run, or runs at a cost, and for what is said of rules that are not there."""
    for report in rules.reports:
        if report.status is not Status.LOADED:
            level = logging.INFO if report.status is Status.SKIPPED else logging.WARNING
            event(log, level, f"rule_{report.status}", rule=report.id, file=report.file, reason=report.reason)
    for item in rules.exceptions:
        if item.reason:
            place = {"file": item.file, "line": item.line}
            event(log, logging.WARNING, f"exception_{item.status}", exception=item.name, **place, reason=item.reason)
    for setting, reason in unused_patterns(rules, policy):
        event(log, logging.WARNING, "setting_unused", setting=setting, reason=reason)


def not_in_cloudtrail(field: str) -> str | None:
    """That CloudTrail has no such field, whatever databases there are; None for one that it may have."""
    reason = unavailable(field, UNENRICHED)
    return None if reason is None or " needs " in reason else reason


class Timer(Protocol):
    """What is going to happen, unless it is cancelled."""

    def cancel(self) -> None:
        """Let it not happen; without effect where it has."""


class RuleKeeper:
    """Lives in the event loop; ``call_later`` is the loop's, with seconds and a function to call then.

    ``geoip`` are the databases that the engine has; they are opened anew when the rules are loaded anew.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        geoip: GeoIp,
        now_ms: Callable[[], int],
        call_later: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        self._config = config
        self._engine = engine
        self._geoip = geoip
        self._now_ms = now_ms
        self._call_later = call_later
        self._looked_at_ms = now_ms()
        self._timer: Timer | None = None
        self._policy = configured_policy(config)
        self.reloads = 0
        """How often everything was loaded anew, or should have been."""
        self.failed_reloads = 0
        self.problems: Sequence[str] = ()
        """What was wrong the last time: something old is kept."""
        self.loaded_ms = self._looked_at_ms
        """When the rules that run were loaded."""
        engine.on_trip = self._watch
        self._watch()

    def reload(self) -> None:
        """Load databases, rules and exceptions anew; if one of them is broken, all of the old ones of its sort stay."""
        now_ms = self._now_ms()
        self.reloads += 1
        problems: list[str] = []
        try:
            self._geoip.reopen()
            self._engine.rules.forget()  # should they stay
        except GeoIpError as error:
            problems.append(str(located(self._config, error.setting, error.what)))
        rules: RuleSet | None = None
        try:
            rules = configured_rules(self._config, now_ms, self._geoip)
            self._engine.use(rules)
        except FirstseenError as error:
            rules = None
            problems += map(str, error.problems if isinstance(error, RuleError) else (error,))
        self.problems = problems
        self.failed_reloads += bool(problems)
        for problem in problems:
            event(log, logging.ERROR, "reload_problem", problem=problem)
        if rules is None:
            event(log, logging.ERROR, "reload_failed", kept=len(self._engine.rules.rules))
            return
        self._looked_at_ms = self.loaded_ms = now_ms
        self._watch()
        tell_of(rules, self._policy)
        event(log, logging.INFO, "reloaded", rules=len(rules.rules))

    def _watch(self) -> None:
        """Look when next something ends, or some time before: an exception, learning, shadow, a flood of alerts."""
        now_ms = self._now_ms()
        ends = (self._engine.rules.next_expiry_ms(self._looked_at_ms), self._engine.next_change_ms())
        waits_s = [max((end - now_ms) / 1_000, 0.0) for end in ends if end is not None]
        self._wait(min(waits_s, default=LONGEST_WAIT_S))

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._call_later(min(seconds, LONGEST_WAIT_S), self._look)

    def _look(self) -> None:
        now_ms = self._now_ms()
        self._engine.tend()
        rules = self._engine.rules
        expired = {
            item
            for rule in rules.rules
            for item in rule.exceptions
            if item.expires_ms is not None and self._looked_at_ms < item.expires_ms <= now_ms
        }
        try:
            if expired:
                self._engine.use(rules.at(now_ms))
        except StoreError as error:
            event(log, logging.ERROR, "expiry_failed", reason=str(error))
            self._wait(1.0)
            return
        for item in sorted(expired, key=lambda item: (item.file, item.line or 0)):
            event(log, logging.WARNING, "exception_expired", exception=item.name, file=item.file, line=item.line)
        self._looked_at_ms = max(self._looked_at_ms, now_ms)
        self._watch()
