"""What ``firstseen rules list`` tells: every rule file, what becomes of its rule and why, and what applies to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from msgspec.structs import asdict

from firstseen.cli.whichrules import lines_of, rules_of
from firstseen.configuredrules import Notice, notices_beside, only_documents
from firstseen.notation import in_units, spelled
from firstseen.record.enrichment import Enrichment
from firstseen.record.instant import iso
from firstseen.record.view import unavailable
from firstseen.rules.exceptions import ItemReport
from firstseen.rules.requirements import mentioned
from firstseen.rules.rule import Report, Rule, Status
from firstseen.rules.ruleset import RuleSet
from firstseen.running import Health, Policy, Running, by_rule
from firstseen.store.base import StateReader

_COLOURS = {
    Status.LOADED: "green",
    Status.FLAGGED: "yellow",
    Status.NOT_RUNNABLE: "red",
    Status.SKIPPED: "blue",
}
_INDENT = " " * 14
_NO_FIELD = " is not a field of CloudTrail"


class Listed(NamedTuple):
    """A rule file, the exceptions for its rule, and why which of its fields no CloudTrail record can have.

    Both are known of rules that run. ``looks_at_all`` tells that it has no needles. ``health`` is how the rule stands
    by its history, None where no state was asked or the rule does not run.
    """

    report: Report
    exceptions: Sequence[ItemReport]
    unavailable: Mapping[str, str]
    looks_at_all: bool
    health: Health | None


class Listing(NamedTuple):
    """All rule files, in order, and what is to be said of exceptions, and of settings of rules that are not there.

    ``with_histories`` tells that a state was asked for them; the time that remains is counted from ``now_ms``.
    """

    rules: Sequence[Listed]
    told: Sequence[Notice]
    with_histories: bool
    now_ms: int


def load(
    file: Path | None, paths: Sequence[Path], exceptions: Sequence[Path], state: StateReader | None = None
) -> Listing:
    """The rules in ``paths``, or those that the configuration ``file`` names, with its databases and exceptions.

    Their histories are those in ``state``, which is not asked where it is None. Raises `RuleError`, `ConfigError`,
    `StoreError`, and `click.UsageError` where no rules are named.
    """
    meant = rules_of(file, paths, exceptions, "by PATH")
    rules, now_ms = meant.rules, meant.now_ms
    enrichment = None if only_documents(meant.settings) else meant.geoip
    running = {rule.file: rule for rule in rules.rules}
    places = {(item.file, item.line): item for item in rules.exceptions}
    health = {} if state is None else _health(rules, meant.policy, state, now_ms)
    return Listing(
        [
            _listed(report, running.get(report.file), places, enrichment, health.get(report.id))
            for report in rules.reports
        ],
        list(notices_beside(rules, meant.held_against, now_ms)),
        state is not None,
        now_ms,
    )


def _health(rules: RuleSet, policy: Policy, state: StateReader, now_ms: int) -> dict[str, Health]:
    """How each rule that runs stands by what the state says, by its id. Raises `StoreError`."""
    known = by_rule(state.rules())
    running = [Running(rule, policy) for rule in rules.rules]
    for each in running:
        each.look_up(known)
    return {each.rule.id: each.health(now_ms) for each in running}


def _listed(
    report: Report,
    rule: Rule | None,
    places: Mapping[tuple[str, int | None], ItemReport],
    enrichment: Enrichment | None,
    health: Health | None,
) -> Listed:
    """``enrichment`` is None where no record is read as CloudTrail."""
    if rule is None:
        return Listed(report, (), {}, False, health)
    reasons: dict[str, str | None] = {}
    if enrichment is not None:
        asked = sorted({*mentioned(rule.node), *rule.kind.fields})
        reasons = {field: unavailable(field, enrichment) for field in asked}
    return Listed(
        report,
        [places[item.file, item.line] for item in rule.exceptions],
        {field: reason for field, reason in reasons.items() if reason is not None},
        rule.needles is None,
        health,
    )


def as_json(listing: Listing) -> list[dict[str, Any]]:
    """One object a rule file, in the shape that ``docs/commands.md`` tells of."""
    return [
        asdict(listed.report)
        | {
            "exceptions": [asdict(item) for item in listed.exceptions],
            "unavailable": dict(listed.unavailable),
        }
        | ({"history": _history(listed.health)} if listing.with_histories else {})
        for listed in listing.rules
    ]


def _history(health: Health | None) -> dict[str, Any] | None:
    """What the state says of a rule; None where that does not run."""
    if health is None:
        return None
    return {
        "standing": health.status,
        "since": _moment(health.since_ms),
        "learning_until": _moment(health.learning_until_ms),
        "shadow_until": health.shadow_until and (_moment(health.shadow_until.ms) or "ever"),
        "before": [_moment(each) for each in health.others_ms],
    }


def _moment(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)


def as_text(listing: Listing) -> str:
    """Some lines a rule file, in colour, and a sum."""
    lines = [line for listed in listing.rules for line in _lines(listed, listing.now_ms)]
    lines += lines_of(listing.told)
    statuses = [listed.report.status for listed in listing.rules]
    counted = [f"{statuses.count(status)} {_spoken(status)}" for status in Status]
    return "\n".join([*lines, f"{len(statuses)} rules: {', '.join(counted)}"])


def _lines(listed: Listed, now_ms: int) -> Iterator[str]:
    report = listed.report
    status = click.style(f"{_spoken(report.status):<12}", fg=_COLOURS[report.status])
    yield f"{status}  {spelled(report.type):<10}  {spelled(report.name)}"
    yield f"{_INDENT}{spelled(report.id)}  {spelled(report.file)}"
    if report.reason:
        yield f"{_INDENT}{spelled(report.reason)}"
    yield from (f"{_INDENT}{spelled(line)}" for line in _more(listed, now_ms))


def _more(listed: Listed, now_ms: int) -> Iterator[str]:
    """What leads to its records, what is excepted of them, what they cannot have, and its history."""
    needles = listed.report.needles
    if needles:
        yield f"needles: {', '.join(needles)}"
    elif listed.looks_at_all:
        yield "needles: none, every record is looked at"
    if listed.exceptions:
        yield f"exceptions: {len(listed.exceptions)}: {', '.join(map(_exception, listed.exceptions))}"
    others = [field for field, why in listed.unavailable.items() if why.endswith(_NO_FIELD)]
    if others:
        yield f"not in CloudTrail: {', '.join(others)}"
    yield from (why for field, why in listed.unavailable.items() if field not in others)
    if listed.health is not None:
        yield from _standing(listed.health, now_ms)


def _standing(health: Health, now_ms: int) -> Iterator[str]:
    if health.since_ms is not None:
        yield f"history since {iso(health.since_ms)}"
    for before_ms in health.others_ms:
        yield f"another history since {iso(before_ms)}, of this rule as it was"
    if health.learning_until_ms is not None:
        yield f"learning until {iso(health.learning_until_ms)}, {in_units(health.learning_until_ms - now_ms)} left"
    if health.shadow_until is not None:
        end_ms = health.shadow_until.ms
        yield "in shadow" if end_ms is None else f"in shadow until {iso(end_ms)}, {in_units(end_ms - now_ms)} left"


def _exception(item: ItemReport) -> str:
    return f"{item.name} ({item.status})" if item.reason else item.name


def _spoken(status: Status) -> str:
    return status.replace("_", " ")
