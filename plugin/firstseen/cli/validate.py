"""``firstseen validate``: is this configuration one that the agent would start with?"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec.structs import asdict

from firstseen import config
from firstseen.cli import EXIT_CONFIG
from firstseen.errors import ConfigError, Problem, RuleError, StoreError
from firstseen.geoip import databases
from firstseen.net import tls
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.rulekeeper import configured_policy, configured_rules, unused_patterns
from firstseen.rules.ruleset import RuleSet
from firstseen.states import configured, require


@click.command("validate")
@click.option("-c", "--config", "file", required=True, type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, file: Path, output: str) -> None:
    """Check the configuration and the certificates, databases, rules and exceptions that it names.

    One line per problem, exit 78 if there is any. Rules that cannot run in this version, exceptions without effect, and
    settings of rules that are not there, are told of, and are no problem. Nothing is asked of the servers it names.
    """
    problems, rules, unused = _checked(file)
    reports, exceptions = rules.reports, rules.exceptions
    if output == "json":
        told = {
            "problems": [asdict(problem) for problem in problems],
            "rules": [asdict(report) for report in reports],
            "exceptions": [asdict(item) for item in exceptions],
            "unused": [asdict(problem) for problem in unused],
        }
        click.echo(json.dumps(told))
    else:
        for problem in problems:
            click.echo(str(problem))
        for report in reports:
            if report.status != "loaded":
                click.echo(f"{report.file}: {report.status.replace('_', ' ')}: {report.reason}")
        for item in exceptions:
            if item.reason:
                click.echo(f"{item.file}:{item.line}: exception {item.status}: {item.name}: {item.reason}")
        for problem in unused:
            click.echo(str(problem))
        if not problems:
            loaded = sum(report.status in ("loaded", "flagged") for report in reports)
            click.echo(f"{file}: no problems; {loaded} of {len(reports)} rules run")
    ctx.exit(EXIT_CONFIG if problems else 0)


def _checked(file: Path) -> tuple[Sequence[Problem], RuleSet, Sequence[Problem]]:
    """All that is wrong with the configuration and what it names, its rules, and settings of rules it does not have."""
    problems: list[Problem] = []
    rules = RuleSet([])
    try:
        settings = config.load(file)
    except ConfigError as error:
        return error.problems, rules, ()
    enrichment: Enrichment = UNENRICHED
    try:
        tls.contexts(settings)
    except ConfigError as error:
        problems += error.problems
    try:
        enrichment = databases(settings)
    except ConfigError as error:
        problems += error.problems
    try:
        require(configured(settings))
    except StoreError as error:
        problems.append(config.located(settings, "state.url", str(error)))
    try:
        rules = configured_rules(settings, time.time_ns() // 1_000_000, enrichment)
    except RuleError as error:
        return [*problems, *error.problems], rules, ()
    unused = unused_patterns(rules, configured_policy(settings))
    return problems, rules, [config.located(settings, setting, reason) for setting, reason in unused]
