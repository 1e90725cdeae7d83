"""Keeps the engine on the rules that hold, and lets what has an end end at its moment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from firstseen.config import Config
from firstseen.engine import Engine
from firstseen.errors import StoreError
from firstseen.logs import complain, event
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.view import unavailable
from firstseen.rules.loader import Known, load_rules
from firstseen.rules.requirements import Unavailable, everything_is_available
from firstseen.rules.rule import ExceptionItem, Status
from firstseen.rules.ruleset import RuleSet
from firstseen.running import NO_POLICY, Lineup, Policy, Running
from firstseen.steps import nothing

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 3_600.0
"""What ends much later is looked at again before: clocks are set, and machines sleep."""


def configured_rules(
    config: Config,
    now_ms: int,
    enrichment: Enrichment,
    known: Known | None = None,
    between: Callable[[], None] = nothing,
) -> RuleSet:
    """The rules that ``config`` names, with the exceptions that hold at ``now_ms``; raises `RuleError`.

    What ``enrichment`` does not know, no CloudTrail record has. Documents of others may have it all the same: its lack
    hinders no rule that needs what CloudTrail never has, and none where all that is read are such documents.
    What is ``known`` of them saves work, and ``between`` is called between them: see `load_rules`.
    """
    return load_rules(
        config.rules.paths,
        config.rules.exceptions,
        now_ms=now_ms,
        unavailable=configured_lacks(config, enrichment),
        elsewhere=not_in_cloudtrail,
        known=known,
        between=between,
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
    """Lets what has an end end at its moment. Lives in the event loop; ``call_later`` is the loop's.

    That takes seconds and a function to call then. ``background`` does what takes long, and calls what it is given with
    what came of it: see `firstseen.background.Background.run`.
    """

    def __init__(
        self,
        engine: Engine,
        now_ms: Callable[[], int],
        call_later: Callable[[float, Callable[[], None]], Timer],
        background: Callable[[Callable[[], Lineup], Callable[[Future[Lineup]], None]], None],
    ) -> None:
        self._engine = engine
        self._now_ms = now_ms
        self._call_later = call_later
        self._background = background
        self._looked_at_ms = now_ms()
        self._timer: Timer | None = None
        engine.on_trip = self._watch
        self._watch()

    def use(self, lineup: Lineup, as_of_ms: int) -> Sequence[Running]:
        """Run these rules from now on; their exceptions are those that held at ``as_of_ms``. See `Engine.use`."""
        changed = self._engine.use(lineup)
        self._looked_at_ms = as_of_ms
        self._watch()
        return changed

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
        self._engine.tend()
        now_ms, rules = self._now_ms(), self._engine.rules
        expired = {
            item
            for rule in rules.rules
            for item in rule.exceptions
            if item.expires_ms is not None and self._looked_at_ms < item.expires_ms <= now_ms
        }
        if not expired:
            self._looked_at_ms = max(self._looked_at_ms, now_ms)
            self._watch()
            return

        def end(ready: Future[Lineup]) -> None:
            self._end(rules, now_ms, sorted(expired, key=lambda item: (item.file, item.line or 0)), ready)

        self._background(lambda: self._engine.lineup(rules.at(now_ms)), end)

    def _end(self, rules: RuleSet, as_of_ms: int, expired: Sequence[ExceptionItem], ready: Future[Lineup]) -> None:
        """Exceptions are over, and the rules without them ready to run, in the place of ``rules``."""
        try:
            lineup = ready.result()
        except StoreError as error:
            complain(log, logging.ERROR, "expiry_failed", (), reason=str(error))
            self._wait(1.0)
            return
        if self._engine.rules is not rules:  # loaded anew meanwhile: what is over in those is looked at again
            self._watch()
            return
        for item in expired:
            event(log, logging.WARNING, "exception_expired", exception=item.name, file=item.file, line=item.line)
        for rule in self.use(lineup, max(self._looked_at_ms, as_of_ms)):
            rule.tell_change(lineup.now_ms)
