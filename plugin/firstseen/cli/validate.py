"""``firstseen validate``: is this configuration one that the agent would start with, and what would a reload change?"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import click
from msgspec import Struct
from msgspec.structs import asdict, replace

from firstseen.changes import changes, last_known, running_now
from firstseen.cli import CONFIG_FILE, EXIT_CONFIG
from firstseen.config import Config, SettingsError
from firstseen.configuredrules import Notice, notices
from firstseen.control import ask
from firstseen.errors import ConfigError, Problem
from firstseen.notation import spelled
from firstseen.provisions import Provisions, ProvisionsError, configuration, provide
from firstseen.rules.ruleset import RuleSet
from firstseen.running import Running
from firstseen.shelf import Shelf
from firstseen.states import configured, read_if_there


@click.command("validate")
@click.option("-c", "--config", "file", required=True, type=CONFIG_FILE, help="The configuration file.")
@click.option("--changes", "wants_changes", is_flag=True, help="Tell what a reload would change, and change nothing.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, file: Path, wants_changes: bool, output: str) -> None:
    """Check the configuration and the certificates, databases, rules and exceptions that it names.

    One line per problem, exit 78 if there is any. Rules that cannot run in this version, exceptions without effect, and
    settings of rules that are not there, are told of, and are no problem. Nothing is asked of the servers it names.

    With --changes the agent that runs on the state of this configuration is asked what it would do at SIGHUP, and
    waited for, unless it gives no sign of life for 30 s; where none answers, what is configured is compared with what
    the state knows. Where it answers, a variable that is not set here is told of, and no reason for exit 78 if the
    agent has it.
    """
    checked = _checked(file)
    problems, found = checked.problems, checked.found
    rules = RuleSet([]) if found is None else found.rules
    # Where rules could not be read, nothing is known of which there are.
    settings = found.config if found is not None and rules.reports else None
    told_of = list(notices(rules, settings, 0 if found is None else found.now_ms))
    told_of[:0] = () if found is None else found.beside
    if output == "text":  # what is wrong is told also where the agent cannot be asked
        for line in _lines(file, problems, rules, told_of):
            _print(line)
    reload = _foretold(checked) if wants_changes else None
    if output == "json":
        told = {
            "problems": [asdict(problem) for problem in problems],
            "rules": [asdict(report) for report in rules.reports],
            "exceptions": [asdict(item) for item in rules.exceptions],
            "unused": _named("setting_unused", told_of),
            "expired": _named("setting_expired", told_of),
            "certificates": _named("certificate_not_valid", told_of),
            "quarantine": _named("quarantine_not_writable", told_of),
        }
        click.echo(json.dumps(told if reload is None else told | {"reload": reload}))
    else:
        for line in () if reload is None else _of_reload(reload, problems):
            _print(line)
    ctx.exit(EXIT_CONFIG if _is_wrong(checked, reload) else 0)


def _named(name: str, told_of: Sequence[Notice]) -> list[dict[str, Any]]:
    return [asdict(each.told) for each in told_of if each.event == name]


def _is_wrong(checked: _Checked, reload: Mapping[str, Any] | None) -> bool:
    """The environment that counts is that of the agent, where it answers."""
    elsewhere = checked.unset if reload is not None and reload["against"] == "agent" else ()
    refused = reload is not None and bool(reload["refused"])
    return refused or any(problem not in elsewhere for problem in checked.problems)


def _print(text: str) -> None:
    """What others have written is no command to the terminal, and a name of a file may be no text."""
    click.echo(spelled(text))


def _lines(file: Path, problems: Sequence[Problem], rules: RuleSet, told_of: Sequence[Notice]) -> Iterator[str]:
    yield from map(str, problems)
    yield from map(str, told_of)
    if not problems:
        loaded = sum(report.status in ("loaded", "flagged") for report in rules.reports)
        yield f"{file}: no problems; {loaded} of {len(rules.reports)} rules run"


def _of_reload(told: Mapping[str, Any], problems: Sequence[Problem]) -> Iterator[str]:
    """What a reload would do, in the words of its lines in the log, without the ``problems`` that are told already."""
    if told["refused"]:
        # The agent is elsewhere, and calls the file by its whole name.
        known = {str(name) for each in problems for name in (each, replace(each, file=str(Path(each.file).absolute())))}
        yield from (each for each in told["refused"] if each not in known)
        yield f"reload refused: all stays as it is ({_REFUSED[told['against']]})"
        return
    found = told["changes"]
    for name, more in _OF_RULES.items():
        for rule in found[name]:
            yield f"rule {name}: {spelled(rule['name'])} ({spelled(rule['id'])}){more}"
    yield from (f"setting taken: {name}" for name in found["taken"])
    yield from (f"setting waits: {name}: it is taken at the next start" for name in found["waits"])
    counts = ", ".join(f"{len(names)} {name}" for name, names in found.items())
    yield f"reload: {told['rules']} rules; {counts} ({_AGAINST[told['against']]})"


class _Rule(TypedDict):
    id: str
    name: str


class _Changes(TypedDict):
    """See `firstseen.changes.Changes`."""

    added: list[_Rule]
    removed: list[_Rule]
    changed: list[_Rule]
    edited: list[_Rule]
    taken: list[str]
    waits: list[str]


class _Foretold(Struct, frozen=True):
    """What the agent answers: see `firstseen.reloading.Reloading.foretell`."""

    refused: list[str]
    changes: _Changes | None = None
    rules: int | None = None

    def __post_init__(self) -> None:
        if not self.refused and (self.changes is None or self.rules is None):
            raise ValueError("it neither refuses nor says what would be different")

    def as_dict(self) -> dict[str, Any]:
        """As it came."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_OF_RULES = {
    "added": "",
    "removed": "",
    "changed": ": it begins a new history",
    "edited": ": its history goes on",
}
_AGAINST = {
    "agent": "as the agent says that runs here",
    "state": "no agent answers here: compared with what the state knows, which is no settings",
    "nothing": "no agent answers here, and there is no state yet",
}
_REFUSED = {
    "agent": "as the agent says that runs here",
    "state": "no agent answers here",
    "nothing": "no agent answers here",
    "unasked": "no agent was asked, as the file does not say where its state is",
}


class _Checked(NamedTuple):
    """All that is wrong with the configuration and what it names, and ``found``, what could be read of it.

    ``settings`` are enough of it to find its agent; None where they are not. ``unset`` are those of the problems that
    another environment would not have.
    """

    problems: Sequence[Problem]
    found: Provisions | None
    settings: Config | None
    unset: Collection[Problem] = ()


def _foretold(checked: _Checked) -> dict[str, Any]:
    """What a reload would come to, as `firstseen.reloading.Reloading.foretell` says. Raises `StoreError`."""
    settings, found = checked.settings, checked.found
    refused = list(map(str, checked.problems))
    if settings is None:
        return {"against": "unasked", "refused": refused}
    # Absolute, as the agent is elsewhere, and through no link: where one stands relative paths in the file begin.
    told = ask(settings.state.path, "foretell", _Foretold, file=str(settings.path.absolute()))
    if told is not None:
        return {"against": "agent", **told.as_dict()}
    if found is None:
        return {"against": "nothing", "refused": refused}
    reader = read_if_there(configured(settings))
    against = "nothing" if reader is None else "state"
    if refused:
        return {"against": against, "refused": refused}
    before = last_known(())
    if reader is not None:
        with closing(reader):
            before = last_known(reader.rules())
    running = [Running(rule, found.policy) for rule in found.rules.rules]
    different = changes(before, running_now(settings, running))
    return {"against": against, "refused": [], "changes": different.as_dict(), "rules": len(running)}


def _checked(file: Path) -> _Checked:
    now_ms = time.time_ns() // 1_000_000
    try:
        settings = configuration(file, now_ms)
        found = provide(settings, now_ms, Shelf(settings.state.path).known())
        return _Checked((), found, settings)
    except ProvisionsError as error:
        return _Checked(error.problems, error.found, error.found.config)
    except SettingsError as error:
        return _Checked(error.problems, None, _to_ask(error), error.unset)
    except ConfigError as error:
        return _Checked(error.problems, None, None)


def _to_ask(error: SettingsError) -> Config | None:
    """What is right of a configuration, where that says where its agent is."""
    try:
        return error.part(["state.path"], strict=False)
    except ConfigError:
        return None
