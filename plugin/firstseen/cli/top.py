"""``firstseen top``: how the agent does, live on a terminal."""

from __future__ import annotations

import time
from pathlib import Path

import click

from firstseen import config
from firstseen.cli import CONFIG_FILE
from firstseen.cli.asking import status
from firstseen.cli.cells import Line, Span, cut, rendered
from firstseen.cli.picture import picture
from firstseen.cli.screen import Screen, has_colours, is_drawable, size
from firstseen.config import Http
from firstseen.errors import FirstseenError
from firstseen.status.report import Status

EVERY_S = 1.0
"""The agent answers no more often with anything new."""

ENDING = frozenset("qQ\x03\x04")
MANY_ROWS = 10_000


@click.command("top")
@click.option("-c", "--config", "file", required=True, type=CONFIG_FILE, help="The configuration file.")
@click.option("--once", is_flag=True, help="Print one picture, with everything in it, and end.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Seconds to wait.")
def command(file: Path, once: bool, timeout: float) -> None:
    """Show live how the agent of this configuration does, asked every second on its http.listen.

    Records and alerts, the latest alerts and why, rules, state, peers and their lag. q ends it.
    """
    settings = config.load_part(file, ["http"], strict=False).http
    if once:
        columns, _ = size()
        for line in picture(status(settings, timeout), columns, MANY_ROWS):
            click.echo(rendered(line, columns, colour=has_colours()), color=has_colours())
        return
    if not is_drawable():
        raise click.UsageError("there is no terminal to draw on: --once prints one picture anywhere")
    told = status(settings, timeout)  # what is wrong from the start is told as everywhere, and not drawn
    try:
        with Screen() as screen:
            _show(screen, settings, timeout, told)
    except KeyboardInterrupt:
        return


def _show(screen: Screen, settings: Http, timeout_s: float, told: Status) -> None:
    trouble = ""
    while True:
        due_s = time.monotonic() + EVERY_S
        while True:
            _draw(screen, told, trouble)
            key = screen.key(due_s)
            if key is None:
                break
            if ENDING & set(key):
                return
        try:
            told, trouble = status(settings, timeout_s), ""
        except FirstseenError as error:
            trouble = str(error)


def _draw(screen: Screen, told: Status, trouble: str) -> None:
    columns, rows = size()
    lines = picture(told, columns, rows - 1)
    lines += [[]] * (rows - 1 - len(lines))
    foot: Line = [Span("q quits", "dim")]
    if trouble:
        foot = [Span("! ", "red bold"), Span(cut(f"{trouble}; above is what it said last", 1_000), "red")]
    screen.draw([rendered(line, columns, colour=has_colours()) for line in [*lines, foot]])
