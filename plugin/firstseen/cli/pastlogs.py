"""What the commands on past logs share: the rules that they are asked with, and the clock of their events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from firstseen import config
from firstseen.detect.matches import Moment
from firstseen.geoip import GeoIp, databases
from firstseen.record.view import views
from firstseen.rulekeeper import configured_policy
from firstseen.rules.loader import load_rules
from firstseen.rules.rule import Status
from firstseen.rules.ruleset import RuleSet
from firstseen.running import NO_POLICY, Policy


class Setup(NamedTuple):
    """The rules, the databases of addresses, the key of a record that gets its labels, and how alerts are meant."""

    rules: RuleSet
    geoip: GeoIp
    key: str
    policy: Policy


def set_up(file: Path | None, paths: tuple[Path, ...], exceptions: tuple[Path, ...]) -> Setup:
    """What the command line names, else what the configuration ``file`` does.

    Tells of rules that do not run or run at a cost, and of exceptions without effect. Raises `RuleError`,
    `ConfigError`, and `click.UsageError` where no rules are named.
    """
    key, geoip, policy = "alerts", GeoIp(), NO_POLICY
    if file is not None:
        settings = config.load(file)
        paths = paths or tuple(settings.rules.paths)
        exceptions = exceptions or tuple(settings.rules.exceptions)
        key, geoip, policy = settings.alerts.key, databases(settings), configured_policy(settings)
    if not paths:
        raise click.UsageError("say which rules: with --rules, or with a configuration file")
    rules = load_rules(paths, exceptions, now_ms=now_ms())
    tell_of(rules)
    return Setup(rules, geoip, key, policy)


def tell_of(rules: RuleSet) -> None:
    """Say of each rule file and exception that has no effect, or costs something, why."""
    for report in rules.reports:
        if report.status is not Status.LOADED:
            click.echo(f"firstseen: {report.file}: {report.status.replace('_', ' ')}: {report.reason}", err=True)
    for item in rules.exceptions:
        if item.reason:
            click.echo(f"firstseen: {item.file}:{item.line}: exception {item.status}: {item.reason}", err=True)


def now_ms() -> int:
    """The time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def time_of(record: Mapping[str, Any]) -> int | None:
    """When the event of ``record`` happened, by its own account."""
    times = [view.ingested_ms if view.ingested_ms is not None else view.timestamp_ms for view in views(record)]
    return next((moment for moment in times if moment is not None), None)


def moment_of(record: Mapping[str, Any]) -> Moment:
    """The clocks of an event out of a file: its own, and now where it has none."""
    own = time_of(record)
    return Moment(arrival=None, entry=now_ms() if own is None else own)
