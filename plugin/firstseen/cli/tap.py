"""``firstseen tap``: alerts as they are raised, one a line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec

from firstseen import config
from firstseen.cli import CONFIG_FILE
from firstseen.cli.asking import status
from firstseen.cli.complaints import say
from firstseen.cli.screen import has_colours
from firstseen.cli.tapping import Chosen, Tapping
from firstseen.config import Http
from firstseen.errors import FirstseenError
from firstseen.notation import spelled
from firstseen.status.latest import MOST
from firstseen.status.report import Alert, Status

EVERY_S = 1.0
"""The agent answers no more often with anything new."""

COLOURS = {"critical": "magenta", "high": "red", "medium": "yellow"}


@click.command("tap")
@click.option("-c", "--config", "file", required=True, type=CONFIG_FILE, help="The configuration file.")
@click.option("--rule", "rules", multiple=True, help="Only of this rule: an id or a name, * for any text.")
@click.option("--term", "terms", multiple=True, metavar="TEXT", help="Only with this in a term, or a pattern (*, ?).")
@click.option("--all", "everything", is_flag=True, help="Also what is not for people: learning, shadow, degraded.")
@click.option(
    "--last", type=click.IntRange(0, MOST), default=0, show_default=True, help="Begin with so many from before."
)
@click.option("--timeout", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds to wait.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    file: Path, rules: tuple[str, ...], terms: tuple[str, ...], everything: bool, last: int, timeout: float, output: str
) -> None:
    """Print the alerts of the agent of this configuration as they come, until Ctrl-C ends it.

    The agent is asked every second on its http.listen, and remembers its latest alerts: if more came in between, how
    many are missing is told on standard error.
    """
    settings = config.load_part(file, ["http"], strict=False).http
    chosen = Chosen(rules, terms)
    told = status(settings, timeout)  # what is wrong from the start ends it
    for rule in chosen.unknown(told):
        say(f"there is no rule {spelled(rule)} at present")
    show = _as_json if output == "json" else _as_text
    tapping = Tapping(everything)
    try:
        earlier = [alert for alert in tapping.new(told).alerts if chosen.has(alert)]
        _print(earlier[len(earlier) - last :] if last else [], show)
        for told in _reports(settings, timeout):
            news = tapping.new(told)
            for remark in news.remarks:
                say(remark)
            _print([alert for alert in news.alerts if chosen.has(alert)], show)
    except KeyboardInterrupt:
        return


def _reports(settings: Http, timeout_s: float) -> Iterator[Status]:
    """A report every second; where there is none that is told, once, and then that there is again."""
    away = False
    while True:
        time.sleep(EVERY_S)
        try:
            told = status(settings, timeout_s)
        except FirstseenError as error:
            if not away:
                say(f"{error}; trying on")
            away = True
            continue
        if away:
            say("there is an answer again")
        away = False
        yield told


def _print(alerts: list[Alert], show: Callable[[Alert], str]) -> None:
    for alert in alerts:
        click.echo(show(alert), color=has_colours())
    sys.stdout.flush()


def _as_json(alert: Alert) -> str:
    return json.dumps(msgspec.to_builtins(alert))  # in ASCII: a term may hold what is no text


def _as_text(alert: Alert) -> str:
    severity = click.style(f"{spelled(alert.severity):<8}", fg=COLOURS.get(alert.severity))
    standing = "" if alert.status == "open" else f"({spelled(alert.status)}) "
    terms = ", ".join(f"{term.field}={term.value}" for term in alert.terms)
    return f"{alert.came[:19]}Z {severity} {standing}{spelled(alert.reason)}  [{spelled(terms)}]"
