"""``firstseen replay``: past logs through the same engine."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from msgspec import Struct, field

from firstseen.cli import CONFIG_FILE, EXIT_FAILED
from firstseen.cli.complaints import say
from firstseen.cli.pastlogs import moment_of, now_ms, time_of
from firstseen.cli.whichrules import Meant, rules_of, tell_of
from firstseen.config import Alerts
from firstseen.detect.label import Standing
from firstseen.engine import Engine
from firstseen.errors import InputError
from firstseen.eventfiles import Event, encode_object, in_ascii, read_events
from firstseen.eventfolders import event_files
from firstseen.metrics import Counts
from firstseen.notation import spelled
from firstseen.record.splice import place_of_labels
from firstseen.record.view import Mode
from firstseen.states import DEFAULT_MAP_SIZE
from firstseen.status.view.words import several
from firstseen.store.lmdb import LmdbStore

BATCH = 1_000
"""Claims confirmed at a time: one commit each would be all that a replay does."""


def _folder(ctx: click.Context, param: click.Parameter, text: str | None) -> Path | None:
    if text is not None and "://" in text:
        what = "a replay keeps what was seen in a directory; `firstseen state export` and `import` bring it to a server"
        raise click.BadParameter(what, ctx, param)
    return None if text is None else Path(text)


@click.command("replay")
@click.option("-c", "--config", "file", type=CONFIG_FILE, help="Take rules, databases and settings from this.")
@click.option("--rules", "paths", multiple=True, type=click.Path(path_type=Path), help="Rule files or directories.")
@click.option(
    "--exceptions", "exceptions", multiple=True, type=click.Path(path_type=Path), help="Files of exceptions, likewise."
)
@click.option("--state", callback=_folder, metavar="DIR", help="Keep what was seen here; without it, nowhere.")
@click.option("--all", "everything", is_flag=True, help="Print every event, not only those with alerts.")
@click.option("--as-given", is_flag=True, help="Take the events as they lie instead of sorted by their time.")
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
    state: Path | None,
    everything: bool,
    as_given: bool,
    output: str,
    files: tuple[str, ...],
) -> None:
    """Print the events that the rules label, as JSON lines; a summary goes to standard error.

    The clock is each event's own: event.ingested if it has it, else its time.
    """
    meant = rules_of(file, paths, exceptions)
    tell_of(meant)
    rules = meant.rules
    key = (Alerts() if meant.settings is None else meant.settings.alerts).key
    summary = _Summary()
    named = list(event_files(files))  # all names are looked at before anything is printed
    with ExitStack() as stack:
        engine_state = _open_state(stack, state)
        counts = summary.counts
        engine = Engine(rules, engine_state, counts, now_ms, meant.geoip, meant.policy)
        replay = _Replay(engine, meant, engine_state, key, everything, summary)
        events = summary.read(named)
        replay.run(events if as_given else _by_time(events, meant.mode))
    click.echo(summary.as_json() if output == "json" else summary.as_text(), err=True)
    ctx.exit(EXIT_FAILED if summary.unreadable else 0)


def _open_state(stack: ExitStack, path: Path | None) -> LmdbStore:
    durable = path is not None
    if path is None:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="firstseen-replay-")))
    store = LmdbStore.open(path, DEFAULT_MAP_SIZE, durable=durable)
    stack.callback(store.close)
    return store


def _by_time(events: Iterable[Event], mode: Mode) -> Iterator[Event]:
    """Sorted by event time, events of one instant as they were given; those without a time come last, as of now."""
    times = ((time_of(event.decode(), mode), event) for event in events)
    dated = [(math.inf if time is None else time, number, event) for number, (time, event) in enumerate(times)]
    dated.sort(key=lambda item: item[:2])
    return (event for _, _, event in dated)


class _Summary(Struct):
    """What is told at the end."""

    counts: Counts = field(default_factory=Counts)
    files: int = 0
    events: int = 0
    undated: int = 0
    unreadable: list[str] = field(default_factory=list)
    by_rule: Counter[str] = field(default_factory=Counter)

    def read(self, files: Sequence[str]) -> Iterator[Event]:
        """Every event of every file; a file that cannot be read is told of, and the others are read."""
        for file in files:
            self.files += 1
            try:
                for event in read_events(file):
                    self.events += 1
                    yield event
            except InputError as error:
                self.unreadable.append(str(error))
                say(error)

    def as_json(self) -> str:
        counts = self.counts
        return json.dumps(
            {
                "files": self.files,
                "events": self.events,
                "matches": counts.matches,
                "alerts": counts.alerts,
                "suppressed": counts.suppressed,
                "learning": counts.learning,
                "undated": self.undated,
                "alerts_by_rule": dict(self.by_rule),
                "unreadable": self.unreadable,
            }
        )

    def as_text(self) -> str:
        counts = self.counts
        lines = [
            f"{several(self.events, 'event')} in {several(self.files, 'file')}: "
            f"{several(counts.matches, 'match', 'matches')}, "
            f"{several(counts.alerts, 'alert')}, {counts.suppressed} known"
        ]
        if counts.learning:
            lines[0] += f", {counts.learning} learnt"
        lines += [f"{number:>7}  {spelled(name)}" for name, number in self.by_rule.most_common()]
        if self.undated:
            lines.append(f"{several(self.undated, 'match', 'matches')} without a time, taken as of now")
        if self.unreadable:
            lines.append(f"{several(len(self.unreadable), 'file')} could not be read to the end")
        return "\n".join(lines)


class _Replay:
    """Takes events through the engine and prints what comes of them."""

    def __init__(
        self, engine: Engine, meant: Meant, store: LmdbStore, key: str, everything: bool, summary: _Summary
    ) -> None:
        self._engine = engine
        self._scanner = meant.rules.scanner
        self._mode = meant.mode
        self._store = store
        self._key = key
        self._everything = everything
        self._summary = summary
        self._counts = summary.counts
        self._on_terminal = sys.stdout.isatty()

    def run(self, events: Iterable[Event]) -> None:
        """Whatever ends it, what was printed until then is remembered."""
        claims: list[Any] = []
        try:
            for event in events:
                claims += self._take(event)
                if len(claims) >= BATCH:
                    self._confirm(claims)
                    claims = []
        finally:
            self._confirm(claims)

    def _take(self, event: Event) -> Sequence[Any]:
        """Print the event if it is to be, and give what it claims."""
        record: dict[str, Any] = {}
        labels: Sequence[Mapping[str, Any]] = ()
        claims: Sequence[Any] = ()
        if self._scanner.always or self._scanner.hits(event.raw, 0, len(event.raw)):
            record = event.decode()
            matches = self._counts.matches
            inspection = self._engine.inspect(record, moment_of(record, self._mode), event.digest, self._mode)
            claims, labels = inspection.claims, inspection.labels
            if self._counts.matches > matches and time_of(record, self._mode) is None:
                self._summary.undated += self._counts.matches - matches
        if labels or self._everything:
            line = self._labelled(event.raw, record, labels)
            sys.stdout.buffer.write((in_ascii(line) if self._on_terminal else line) + b"\n")
        self._summary.by_rule.update(label["rule"]["name"] for label in labels if _is_alert(label))
        return claims

    def _confirm(self, claims: Sequence[Any]) -> None:
        sys.stdout.buffer.flush()  # else it might be remembered what nobody saw
        self._store.confirm(claims).result()

    def _labelled(self, raw: bytes, record: dict[str, Any], labels: Sequence[Mapping[str, Any]]) -> bytes:
        """The event's own text with one key more."""
        if not labels:
            return raw
        key, known = place_of_labels(record, self._key)
        if known is not None or not record:
            return encode_object({**record, key: [*(known or ()), *labels]})
        return raw[: raw.rindex(b"}")] + b"," + encode_object({key: labels})[1:]


def _is_alert(label: Mapping[str, Any]) -> bool:
    return bool(label["status"] != Standing.LEARNING)
