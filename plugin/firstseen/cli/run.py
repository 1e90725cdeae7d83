"""``firstseen run``: the agent."""

from __future__ import annotations

import gc
from pathlib import Path

import click

from firstseen import program
from firstseen.cli import CONFIG_FILE
from firstseen.stopping import Signals


@click.command("run")
@click.option("-c", "--config", "file", required=True, type=CONFIG_FILE, help="The configuration file.")
@click.pass_context
def command(ctx: click.Context, file: Path) -> None:
    """Take records over Forward, label what is new, pass everything on.

    SIGTERM drains. SIGHUP loads configuration, rules and databases anew, all of it or nothing.
    """
    signals = Signals()
    signals.hear()
    gc.disable()  # what a start makes stays: looking through it for garbage takes a tenth of the time
    program.loaded()  # its sources, before they are imported
    from firstseen import daemon  # takes half a second, in which it may be told to stop

    ctx.exit(daemon.run(file, signals))
