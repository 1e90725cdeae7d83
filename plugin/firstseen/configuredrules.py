"""The rules that a configuration or a command line asks for, and what there is to say of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain
from pathlib import Path

from msgspec import Struct

from firstseen import config
from firstseen.config import Config
from firstseen.errors import Problem, RuleError
from firstseen.logs import Value, event
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.instant import iso
from firstseen.record.strays import foreign, stray
from firstseen.record.view import unavailable
from firstseen.rules.loader import Known, load_rules
from firstseen.rules.requirements import Unavailable, everything_is_available
from firstseen.rules.rule import Status
from firstseen.rules.ruleset import RuleSet
from firstseen.running import NO_POLICY, Policy
from firstseen.steps import nothing

log = logging.getLogger(__name__)


def configured_rules(
    settings: Config | None,
    now_ms: int,
    enrichment: Enrichment,
    *,
    paths: Sequence[Path] = (),
    exceptions: Sequence[Path] = (),
    known: Known | None = None,
    between: Callable[[], None] = nothing,
) -> RuleSet:
    """The rules in ``paths`` with these ``exceptions``, or where none are named those of the configuration.

    Exceptions are those that hold at ``now_ms``. What ``enrichment`` does not know, no CloudTrail record has. Documents
    of others may have it all the same: its lack hinders no rule that needs what CloudTrail never has, and none where
    all that is read are such documents. What is ``known`` of the rules saves work, and ``between`` is called between
    them: see `load_rules`. Raises `RuleError`, which tells of a path that leads nowhere where it is configured.
    """
    problems: list[Problem] = []
    if settings is not None:
        paths = paths or _there(settings, "rules.paths", settings.rules.paths, problems)
        exceptions = exceptions or _there(settings, "rules.exceptions", settings.rules.exceptions, problems)
    try:
        rules = load_rules(
            paths,
            exceptions,
            now_ms=now_ms,
            unavailable=everything_is_available if only_documents(settings) else _lacks(enrichment),
            elsewhere=_not_in_cloudtrail,
            unknown=foreign if _only_cloudtrail(settings) else stray,
            known=known,
            between=between,
        )
    except RuleError as error:
        problems += error.problems
    if problems:
        raise RuleError(problems)
    return rules


def _there(settings: Config, setting: str, paths: Sequence[Path], problems: list[Problem]) -> Sequence[Path]:
    """Those of the ``paths`` in this setting that lead somewhere; the others are ``problems``."""
    found = []
    for path in paths:
        try:
            path.stat()
        except OSError as error:
            problems.append(config.located(settings, setting, f"{path} cannot be read: {error.strerror}"))
        else:
            found.append(path)
    return found


def only_documents(settings: Config | None) -> bool:
    """Whether no record is read as CloudTrail: every tag is read as ``ecs``, or not at all."""
    return _views(settings) <= {"ecs", "none"}


def _only_cloudtrail(settings: Config | None) -> bool:
    """Whether every record that is looked at is read as CloudTrail."""
    return _views(settings) in ({"cloudtrail"}, {"cloudtrail", "none"})


def _views(settings: Config | None) -> Set[str]:
    """How records are read, by whatever tag."""
    if settings is None:
        return {"auto"}
    views = settings.sources.views
    return {view for _, view in views} | (set() if any(pattern == "*" for pattern, _ in views) else {"auto"})


def _lacks(enrichment: Enrichment) -> Unavailable:
    """Why a field has no value for lack of a database or a package; None for any other field."""

    def lacks(field: str) -> str | None:
        reason = unavailable(field, enrichment)
        return None if reason is None or " needs " not in reason else reason.partition(" needs ")[2]

    return lacks


def _not_in_cloudtrail(field: str) -> str | None:
    """That CloudTrail has no such field, whatever databases there are; None for one that it may have."""
    reason = unavailable(field, UNENRICHED)
    return None if reason is None or " needs " in reason else reason


def configured_policy(settings: Config | None) -> Policy:
    """What the configuration says of how long rules learn, and until when they are in shadow."""
    if settings is None:
        return NO_POLICY
    learning = [(pattern, period.ms) for pattern, period in settings.rules.learning]
    return Policy(settings.state.learning_period.ms, learning, settings.rules.shadow)


class Notice(Struct, frozen=True):
    """What an operator should know of a rule, an exception or a setting: as an event of the log, and in words."""

    level: int
    event: str
    fields: Mapping[str, Value]
    told: Problem

    def __str__(self) -> str:
        return str(self.told)


def notices(rules: RuleSet, settings: Config | None = None, now_ms: int = 0) -> Iterator[Notice]:
    """One for each rule that does not run, or runs at a cost, and `notices_beside`."""
    return chain(_of_rules(rules), notices_beside(rules, settings, now_ms))


def notices_beside(rules: RuleSet, settings: Config | None = None, now_ms: int = 0) -> Iterator[Notice]:
    """One for each exception without effect, and for what ``settings`` say of rules that has none at ``now_ms``."""
    for item in rules.exceptions:
        if item.reason:
            yield Notice(
                logging.WARNING,
                f"exception_{item.status}",
                {"exception": item.name, "file": item.file, "line": item.line, "reason": item.reason},
                Problem(item.file, item.line, f"exception {item.status}: {item.name}: {item.reason}"),
            )
    if settings is None:
        return
    known, policy = [(report.id, report.name) for report in rules.reports], configured_policy(settings)
    for name, pattern in policy.unused(known):
        setting, reason = f"rules.{name}", f"there is no rule {pattern}"
        told = config.located(settings, setting, reason, pattern)
        yield Notice(logging.WARNING, "setting_unused", {"setting": setting, "reason": reason}, told)
    for pattern, until_ms in policy.over(now_ms):
        reason = f"{pattern} is in shadow no more: that was until {iso(until_ms)}"
        told = config.located(settings, "rules.shadow", reason, pattern)
        yield Notice(logging.WARNING, "setting_expired", {"setting": "rules.shadow", "reason": reason}, told)


def _of_rules(rules: RuleSet) -> Iterator[Notice]:
    for report in rules.reports:
        if report.status is not Status.LOADED:
            yield Notice(
                logging.INFO if report.status is Status.SKIPPED else logging.WARNING,
                f"rule_{report.status}",
                {"rule": report.id, "file": report.file, "reason": report.reason},
                Problem(report.file, None, f"{report.status.replace('_', ' ')}: {report.reason}"),
            )


def tell_of(told: Iterable[Notice]) -> None:
    """A line of the log for each."""
    for notice in told:
        event(log, notice.level, notice.event, **notice.fields)
