"""``firstseen run``: the agent."""

from __future__ import annotations

from pathlib import Path

import click

from firstseen import daemon
from firstseen.cli import CONFIG_FILE


@click.command("run")
@click.option("-c", "--config", "file", required=True, type=CONFIG_FILE, help="The configuration file.")
@click.pass_context
def command(ctx: click.Context, file: Path) -> None:
    """Take records over Forward, label what is new, pass everything on.

    SIGTERM drains. SIGHUP loads configuration, rules and databases anew, all of it or nothing.
    """
    ctx.exit(daemon.run(file))
