"""``firstseen state``: what is remembered, looked at, mended and moved."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import asdict, replace

from firstseen.cli import EXIT_FAILED
from firstseen.cli.whichstate import placed
from firstseen.control import ask
from firstseen.eventfiles import name_of, opened
from firstseen.kql.moments import moment_of
from firstseen.notation import spelled
from firstseen.record.instant import FIRST_MS, LAST_MS, iso
from firstseen.states import OnDisk, Place, Shared, edit, read
from firstseen.status.view.words import several
from firstseen.store.base import Entry, History, Stats
from firstseen.store.compaction import compact
from firstseen.store.exchange import entry_json, read_lines, write_lines
from firstseen.store.selection import Extent, Selection, current, extents, key_of, named

BATCH = 5_000
"""Terms written in one transaction."""
KEY_DIGITS = 48
_TOLD = ("first_seen", "last_seen", "count", "suppressed", "event", "last_event")

_output = click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group("state")
def command() -> None:
    """What is remembered: how much, of what, and since when; to forget, to move, to compact."""


@command.command("stats")
@placed
@_output
def stats(place: Place, output: str) -> None:
    """How large the state is and what is in it, rule by rule. Goes through all of it."""
    with closing(read(place)) as reader:
        sizes = _bounded(place, reader.stats())
        known = extents(reader)
        histories = list(reader.rules())
    newest = current(histories)
    rules = [
        _history_told(history, known.get(history.rule.key, Extent()), is_old=history.rule.key not in newest)
        for history in histories
    ]
    oldest = min((each.first_seen for each in known.values() if each.first_seen is not None), default=None)
    if output == "json":
        used = round(sizes.used_bytes / sizes.map_size, 4) if sizes.map_size else None
        whole = {**asdict(sizes), "used": used, "oldest": _moment(oldest), "rules": rules}
        click.echo(json.dumps({**_place_told(place), **whole}, indent=2))
        return
    click.echo(f"{place}: {several(sizes.entries, 'term')}, oldest {_moment(oldest) or 'none'}")
    click.echo(_sizes_told(place, sizes))
    for rule in rules:
        old = "" if rule["history"] == "current" else "  (old: the rule has changed since)"
        click.echo(f"{rule['entries']:>10}  {spelled(rule['name'])}{old}")
        click.echo(f"{'':12}{spelled(rule['id'])}  since {rule['since']}, last seen {rule['last_seen'] or 'never'}")


@command.command("list")
@placed
@click.option("--rule", "rule", metavar="RULE", help="Only of these rules: an id, a name, or a pattern of them.")
@click.option("--term", "term", metavar="TEXT", help="Only terms with this in them, or that fit a pattern (*, ?).")
@click.option("--since", "since", metavar="DATE", help="Last seen then or later: 2026-05-24T09:12, now-10d.")
@click.option("--until", "until", metavar="DATE", help="Last seen then or earlier.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="List no more than these.")
@click.option("--after", metavar="KEY", default="", help="Go on behind this key: the one that the page before named.")
@_output
def list_terms(
    place: Place,
    rule: str | None,
    term: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    after: str,
    output: str,
) -> None:
    """List terms by their key, page by page."""
    with closing(read(place)) as reader:
        rules = {history.rule.key: history for history in reader.rules()}
        dates = _date("--since", since, last=False), _date("--until", until, last=True)
        selection = Selection.of_pattern(term, _rule_keys(rules, rule), *dates)
        found = list(itertools.islice(selection.entries(reader, _key(after)), limit + 1))
    page, rest = found[:limit], found[limit:]
    following = key_of(page[-1]).hex() if rest else None
    if output == "json":
        click.echo(json.dumps({"entries": [_told(entry, rules) for entry in page], "next": following}, indent=2))
        return
    for entry in page:
        click.echo(_listed(entry, rules))
    if following:
        click.echo(f"there is more: --after {following}", err=True)


@command.command("show")
@placed
@_output
@click.argument("term")
@click.pass_context
def show(ctx: click.Context, place: Place, output: str, term: str) -> None:
    """Tell everything that is known of TERM, by every rule; exit code 1 if nothing is."""
    with closing(read(place)) as reader:
        rules = {history.rule.key: history for history in reader.rules()}
        found = [_told(entry, rules) for entry in Selection.of_term(term, None).entries(reader)]
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo(f"nothing is known of {spelled(term)}", err=True)
    for told in found if output == "text" else ():
        click.echo(f"{spelled(told['rule']['name'] or told['rule']['key'])}")
        for name, value in told.items():
            if name != "rule":
                click.echo(f"    {name.replace('_', ' '):<12}{_spelled_value(value)}")
    ctx.exit(0 if found else EXIT_FAILED)


@command.command("forget")
@placed
@click.option("--rule", "rule", metavar="RULE", help="Only what these rules remember: an id, a name, a pattern.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_output
@click.argument("term", required=False)
def forget(place: Place, rule: str | None, yes: bool, output: str, term: str | None) -> None:
    """Forget TERM, wherever it is one of the terms, or all that a rule remembers.

    What is forgotten is news when it comes next. The agent must not be running, unless its state is shared: then what
    it has on its way at the moment may be remembered after that.
    """
    if term is None and rule is None:
        raise click.UsageError("say what to forget: a term, or the rule of which all is to be forgotten")
    read(place).close()  # nothing is made where there is nothing to forget
    with closing(edit(place)) as store:
        rules = {history.rule.key: history for history in store.rules()}
        keys = _rule_keys(rules, rule)
        selection = Selection(keys) if term is None else Selection.of_term(term, keys)
        count = sum(1 for _ in selection.entries(store))
        if count and not yes:
            click.confirm(f"forget {several(count, 'term')}?", abort=True, err=True)
        for rule_key, batch in _batches(selection.entries(store)):
            store.forget(rule_key, [entry.terms for entry in batch])
        for key in () if term is not None or keys is None else keys:
            store.forget_history(key)
    click.echo(json.dumps({"forgotten": count}) if output == "json" else f"{count} forgotten")


@command.command("export")
@placed
@click.option("--rule", "rule", metavar="RULE", help="Only these rules: an id, a name, or a pattern (*, ?) of them.")
def export_lines(place: Place, rule: str | None) -> None:
    """Write the state to standard output, as lines of JSON."""
    with closing(read(place)) as reader:
        rules = {history.rule.key: history for history in reader.rules()}
        keys = _rule_keys(rules, rule)
        histories = [history for key, history in rules.items() if keys is None or key in keys]
        sys.stdout.writelines(f"{line}\n" for line in write_lines(histories, Selection(keys).entries(reader)))
        sys.stdout.flush()


@command.command("import")
@placed
@_output
@click.argument("source", metavar="FILE", type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True))
def import_lines(place: Place, output: str, source: str) -> None:
    """Merge the exported state in FILE (- is standard input), compressed by gzip or not, into this one.

    Where both know a term, it was first seen when the first of them saw it and last seen when the last did. The agent
    must not be running, unless its state is shared.
    """
    counts = {"rules": 0, "terms": 0}
    with opened(source) as file:
        lines = read_lines(file.content, name_of(source))
        batch = list(itertools.islice(lines, BATCH))  # before a state is begun for what is none
        with closing(edit(place)) as store:
            while batch:
                histories = [each for each in batch if isinstance(each, History)]
                entries = [each for each in batch if isinstance(each, Entry)]
                store.absorb(histories, entries)
                counts["rules"] += len(histories)
                counts["terms"] += len(entries)
                batch = list(itertools.islice(lines, BATCH))
    merged = f"{several(counts['terms'], 'term')} of {several(counts['rules'], 'rule')} merged"
    click.echo(json.dumps(counts) if output == "json" else merged)


@command.command("compact")
@placed
@_output
def compact_file(place: Place, output: str) -> None:
    """Write the database anew without the room that is free in it.

    The agent does it itself if it runs: meanwhile what it remembers waits to be written, and chunks for their acks.
    However long that takes, it is waited for, unless it gives no sign of life for 30 s.

    For a state on disk: the server of a shared one sees to its own memory and files.
    """
    if isinstance(place, Shared):
        raise click.UsageError(
            f"{place} is on a server, which gives back by itself what is not used any more: "
            "MEMORY PURGE and BGREWRITEAOF are its own commands for that"
        )
    sizes = ask(place.path, "compact", _Sizes) or compact(place.path, place.map_size)
    told = {"before": sizes.before, "after": sizes.after}
    click.echo(json.dumps(told) if output == "json" else f"{sizes.before} bytes, now {sizes.after}")


class _Sizes(Struct, frozen=True):
    """What the agent answers: see `firstseen.store.compaction.Sizes`."""

    before: int
    after: int


def _place_told(place: Place) -> dict[str, str]:
    match place:
        case OnDisk(path):
            return {"path": str(path)}
        case Shared(url, prefix):
            return {"path": str(url), "prefix": prefix}


def _bounded(place: Place, sizes: Stats) -> Stats:
    """A file remembers the largest bound that it was ever opened with; the configuration may know of a smaller one."""
    if isinstance(place, Shared) or place.map_size is None:
        return sizes
    return replace(sizes, map_size=max(min(sizes.map_size, place.map_size), sizes.file_bytes))


def _sizes_told(place: Place, sizes: Stats) -> str:
    used = f" ({sizes.used_bytes / sizes.map_size:.1%} used)" if sizes.map_size else ""
    if isinstance(place, OnDisk):
        return f"{sizes.used_bytes} bytes used, file {sizes.file_bytes}, map {sizes.map_size}{used}"
    bound = f"maxmemory {sizes.map_size}{used}" if sizes.map_size else "without a bound: maxmemory is 0"
    return f"{sizes.used_bytes} bytes of memory used by all that is on the server, {bound}"


def _batches(entries: Iterator[Entry]) -> Iterator[tuple[bytes, list[Entry]]]:
    """Up to ``BATCH`` entries of one rule at a time."""
    for rule_key, group in itertools.groupby(entries, key=lambda entry: entry.rule_key):
        while batch := list(itertools.islice(group, BATCH)):
            yield rule_key, batch


def _rule_keys(rules: Mapping[bytes, History], name: str | None) -> tuple[bytes, ...] | None:
    if name is None:
        return None
    found = named(rules.values(), name)
    if not found:
        raise click.UsageError(f"no rule {name!r} is in this state; `firstseen state stats` lists those that are")
    return tuple(history.rule.key for history in found)


def _date(option: str, text: str | None, *, last: bool) -> int | None:
    if text is None:
        return None
    moment = moment_of(text, time.time_ns() // 1_000_000)
    if moment is None:
        raise click.UsageError(f"{option} takes a date such as 2026-05-24, 2026-05-24T09:12 or now-10d, not {text!r}")
    return moment.last if last else moment.first


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b"?"
    if len(key) not in (0, KEY_DIGITS // 2):
        raise click.UsageError(f"--after takes a key of {KEY_DIGITS} hexadecimal digits, not {text!r}")
    return key


def _moment(ms: int | None) -> str | int | None:
    return iso(ms) if ms is not None and FIRST_MS <= ms <= LAST_MS else ms


def _history_told(history: History, extent: Extent, *, is_old: bool) -> dict[str, Any]:
    rule = history.rule
    return {
        "key": rule.key.hex(),
        "id": rule.rule_id,
        "name": rule.name,
        "since": _moment(history.since_ms),
        "entries": extent.entries,
        "first_seen": _moment(extent.first_seen),
        "last_seen": _moment(extent.last_seen),
        "history": "old" if is_old else "current",
    }


def _told(entry: Entry, rules: Mapping[bytes, History]) -> dict[str, Any]:
    """What is known of terms, for people and scripts."""
    known = rules.get(entry.rule_key)
    rule = {"key": entry.rule_key.hex(), "id": known and known.rule.rule_id, "name": known and known.rule.name}
    whole = entry_json(entry)
    told = {name: whole[name] for name in _TOLD if name in whole}
    told.update(first_seen=_moment(entry.memory.first_seen), last_seen=_moment(entry.memory.last_seen))
    return {"key": key_of(entry).hex(), "rule": rule, "terms": whole["terms"], "law": whole["law"], **told}


def _listed(entry: Entry, rules: Mapping[bytes, History]) -> str:
    known = rules.get(entry.rule_key)
    name = entry.rule_key.hex() if known is None else spelled(known.rule.name)
    return f"{_moment(entry.memory.last_seen)}  {name}: {', '.join(map(spelled, entry.terms))}"


def _spelled_value(value: Any) -> str:
    return ", ".join(map(_spelled_value, value)) if isinstance(value, list) else spelled(value)
