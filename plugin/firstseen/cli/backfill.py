"""``firstseen backfill``: the state filled from past logs, before the agent starts, or beside those that share it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from types import FrameType

import click

from firstseen.backfill.crew import MOST, Crew
from firstseen.backfill.filling import Filling, Outcome, position_in
from firstseen.backfill.reading import Reader, Report, Task, Totals
from firstseen.backfill.tasks import Bound, Bounds, Plan, plan, purpose
from firstseen.cli import CONFIG_FILE, EXIT_FAILED
from firstseen.cli.complaints import say
from firstseen.cli.pastlogs import now_ms
from firstseen.cli.whichrules import rules_of, tell_of
from firstseen.cli.whichstate import place_of, state_options
from firstseen.errors import FirstseenError
from firstseen.notation import Duration
from firstseen.record.instant import parse_ms
from firstseen.rules.rule import NewTerms
from firstseen.rules.ruleset import RuleSet
from firstseen.states import Shared, edit
from firstseen.status.view.words import number, several


def _bound(ctx: click.Context, param: click.Parameter, text: str | None) -> Bound:
    """A date or a time, in milliseconds since the epoch, or how long ago."""
    if text is None:
        return None
    try:
        return Duration(text)
    except ValueError:
        moment = parse_ms(text)
    if moment is None:
        raise click.BadParameter(f"{text!r} is no 2026-05-24, no 2026-05-24T09:00:00Z and no 30d", ctx, param)
    return moment


@click.command("backfill")
@click.option("-c", "--config", "file", type=CONFIG_FILE, help="Take the rules, the databases and the state of it.")
@click.option("--rules", "paths", multiple=True, type=click.Path(path_type=Path), help="Rule files or directories.")
@click.option(
    "--exceptions", "exceptions", multiple=True, type=click.Path(path_type=Path), help="Files of exceptions, likewise."
)
@state_options("The state to fill")
@click.option("--since", callback=_bound, metavar="WHEN", help="From then on, instead of each rule's history window.")
@click.option("--until", callback=_bound, metavar="WHEN", help="Up to then. A date, a time, or how long ago: 30d.")
@click.option("--jobs", type=click.IntRange(1, MOST), default=None, help="Processes that read.  [default: one a core]")
@click.option("--restart", is_flag=True, help="Read all files, also those that were read before.")
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the summary."
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_context
def command(
    ctx: click.Context,
    file: Path | None,
    paths: tuple[Path, ...],
    exceptions: tuple[Path, ...],
    state: str | None,
    prefix: str | None,
    since: Bound,
    until: Bound,
    jobs: int | None,
    restart: bool,
    output: str,
    files: tuple[str, ...],
) -> None:
    """Remember who was seen in past logs, so that the agent knows them from its first minute. Nothing alerts.

    The clock is each event's own: event.ingested if it has it, else its time. Broken off, it goes on where it was when
    it is run again. The agent must not be running, unless its state is shared.
    """
    started = time.monotonic()
    bounds = Bounds(since, until)
    if bounds.is_empty(now_ms()):
        raise click.UsageError("--since is not before --until: there is no time between them")
    place = place_of(file, state, prefix)
    if place is None or (file is None and not paths):
        raise click.UsageError("say which rules and which state: with -c, or with --rules and --state")
    meant = rules_of(file, paths, exceptions)
    tell_of(meant)
    new_terms = RuleSet([rule for rule in meant.rules.rules if isinstance(rule.kind, NewTerms)])
    if not new_terms.rules:
        raise FirstseenError("none of the rules that run looks for what is new: there is nothing to remember for them")
    spans = bounds.spans(new_terms, now_ms())
    reader = Reader(new_terms, spans, meant.geoip, meant.mode)
    with ExitStack() as stack:
        stopped = stack.enter_context(_stopping())
        count = min(len(os.sched_getaffinity(0)), MOST) if jobs is None else jobs
        crew = stack.enter_context(Crew(count, reader.read)) if count > 1 else None
        store = edit(place)
        stack.callback(store.close)
        store.register(reader.rules, now_ms())
        wanted = purpose(reader.rules, bounds, meant.mode)
        found = plan(files, wanted, spans, lambda mark: None if restart else position_in(store, mark))
        progress = stack.enter_context(_progress(found))
        filling = Filling(store, stopped, progress, is_shared=isinstance(place, Shared))
        filling.run(_reports(found, reader, crew))
        terms = store.stats().entries
    summary = _Summary(found, filling.outcome, terms, len(meant.rules.rules) - len(new_terms.rules), started)
    for problem in filling.outcome.unreadable:
        say(problem)
    click.echo(summary.as_json() if output == "json" else summary.as_text())
    ctx.exit(EXIT_FAILED if filling.outcome.unreadable or filling.outcome.stopped else 0)


def _reports(found: Plan, reader: Reader, crew: Crew | None) -> Iterator[Report | None]:
    """Streams are read here, since a worker has no standard input; files by the crew, if there is one."""
    here: list[Task] = []
    files: list[Task] = []
    for task in found.tasks():
        (here if crew is None or any(part.mark is None for part in task) else files).append(task)
    yield from chain.from_iterable(map(reader.read, here))
    if crew is not None:
        yield from crew.reports(files)


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Tells whether SIGINT or SIGTERM came; a second one ends the process as it would any other."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _progress(found: Plan) -> Iterator[Callable[[Totals], None]]:
    """A bar on a terminal: bytes on disk of all there are, with the time that is left; files and events beside it."""
    if not sys.stderr.isatty():
        yield lambda totals: None
        return
    sums = Totals()

    def beside(_: int | None) -> str:
        return f"{sums.files} of {len(found.parts)} files, {sums.content / 1e6:,.0f} MB, {sums.events:,} events"

    with click.progressbar(length=found.stored, label="reading", file=sys.stderr, item_show_func=beside) as bar:

        def show(totals: Totals) -> None:
            sums.add(totals)
            bar.update(totals.stored)

        yield show


class _Summary:
    """What is told at the end."""

    def __init__(self, found: Plan, outcome: Outcome, terms: int, skipped: int, started: float) -> None:
        self._found = found
        self._outcome = outcome
        self._terms = terms
        self._skipped = skipped
        self._seconds = time.monotonic() - started

    def as_json(self) -> str:
        """One object."""
        totals = self._outcome.totals
        return json.dumps(
            {
                "files": totals.files,
                "files_known": self._found.known,
                "files_older": self._found.older,
                "bytes": totals.content,
                "stored_bytes": totals.stored,
                "events": totals.events,
                "candidates": totals.candidates,
                "matches": totals.matches,
                "outside": totals.outside,
                "undated": totals.undated,
                "terms_dropped": totals.dropped,
                "rule_errors": totals.failed,
                "terms_new": self._outcome.new,
                "terms": self._terms,
                "rules_without_terms": self._skipped,
                "seconds": round(self._seconds, 3),
                "unreadable": self._outcome.unreadable,
                "stopped": self._outcome.stopped,
            }
        )

    def as_text(self) -> str:
        """Some lines."""
        outcome, totals = self._outcome, self._outcome.totals
        megabytes = totals.content / 1e6
        lines = [
            f"{several(totals.events, 'event')} in {several(totals.files, 'file')}, "
            f"{megabytes:.1f} MB in {self._seconds:.1f} s ({megabytes / self._seconds:.0f} MB/s)",
            f"{several(totals.matches, 'match', 'matches')}: {several(outcome.new, 'new term')}, "
            f"{number(self._terms)} remembered in all",
        ]
        notes = (
            (self._found.known, "files were read before (--restart reads them again)"),
            (self._found.older, "files are older than what is looked for, by their names"),
            (totals.outside, "matches are outside of what is looked for"),
            (totals.undated, "matches have no time"),
            (totals.dropped, "terms were left out, of events with too many"),
            (totals.failed, "times a rule failed on an event"),
            (self._skipped, "rules remember nothing of the past: they begin with the agent"),
            (len(outcome.unreadable), "files could not be read to their end"),
        )
        lines += [f"{count:>7}  {what}" for count, what in notes if count]
        if outcome.stopped:
            lines.append("stopped before the end: run the same command again to go on from here")
        return "\n".join(lines)
