"""``firstseen explain``: why a rule says of an event what it says."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from firstseen.cli import CONFIG_FILE, EXIT_FAILED
from firstseen.cli.complaints import say
from firstseen.cli.explained import lines
from firstseen.cli.pastlogs import moment_of, now_ms
from firstseen.cli.whichrules import rules_of, tell_of
from firstseen.cli.whichstate import reader_of, state_options
from firstseen.errors import InputError
from firstseen.eventfiles import encode_object, in_ascii, read_events
from firstseen.eventfolders import event_files
from firstseen.explanation import Explainer
from firstseen.rules.exceptions import names
from firstseen.rules.rule import Rule
from firstseen.rules.ruleset import RuleSet

PATH = click.Path(path_type=Path)


@click.command("explain")
@click.option("-c", "--config", "file", type=CONFIG_FILE, help="Take the rules, the databases and the state of it.")
@click.option("--rules", "paths", multiple=True, type=PATH, help="Rule files or directories.")
@click.option("--exceptions", "exceptions", multiple=True, type=PATH, help="Files of exceptions, likewise.")
@state_options("Ask this state; agents may be running on it")
@click.option("--rule", "wanted", multiple=True, help="Only this rule: an id or a name, * for any text.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_context
def command(
    ctx: click.Context,
    file: Path | None,
    paths: tuple[Path, ...],
    exceptions: tuple[Path, ...],
    state: str | None,
    prefix: str | None,
    wanted: tuple[str, ...],
    output: str,
    files: tuple[str, ...],
) -> None:
    """Tell of each event and rule why it matches or not, part by part, and what the state says of it.

    Nothing is changed: every event is judged alone and at its own time, on what the state remembers now.
    """
    meant = rules_of(file, paths, exceptions)
    tell_of(meant)
    chosen = _chosen(meant.rules, wanted)
    failed = False
    with reader_of(file, state, prefix) as reader:
        explainer = Explainer(chosen, reader, meant.geoip, now_ms(), meant.mode)
        for name in event_files(files):
            try:
                for event in read_events(name):
                    for explanation in explainer.explain(event, moment_of(event.decode(), meant.mode)):
                        if output == "json":
                            click.echo(in_ascii(encode_object(explanation.as_json())))
                        else:
                            click.echo("\n".join(lines(explanation)) + "\n")
            except InputError as error:
                say(error)
                failed = True
    sys.stdout.flush()
    ctx.exit(EXIT_FAILED if failed else 0)


def _chosen(rules: RuleSet, wanted: Sequence[str]) -> Sequence[Rule]:
    """The rules that run and are wanted; all that run where none is named."""
    for selector in wanted:
        if not any(names(selector, report.id, report.name) for report in rules.reports):
            raise click.UsageError(f"there is no rule {selector}")
    if not wanted:
        return rules.rules
    return [rule for rule in rules.rules if any(names(selector, rule.id, rule.name) for selector in wanted)]
