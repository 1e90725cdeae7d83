"""``firstseen health``: is the agent of this configuration ready? For health checks where there is no HTTP client."""

from __future__ import annotations

import http.client
from pathlib import Path

import click

from firstseen import config
from firstseen.cli import CONFIG_FILE, EXIT_FAILED
from firstseen.cli.asking import StrangerError, ask
from firstseen.notation import spelled_lines


@click.command("health")
@click.option("-c", "--config", "file", required=True, type=CONFIG_FILE, help="The configuration file.")
@click.option("--live", is_flag=True, help="Ask whether it lives (/livez), not whether it is ready (/readyz).")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds to wait.")
@click.pass_context
def command(ctx: click.Context, file: Path, live: bool, timeout: float) -> None:
    """Ask the agent that runs here with this configuration whether it is ready, on its http.listen.

    Exit 0 if it is. Else exit 1, and what it said.
    """
    needed = ["http.listen", "http.tls"] if live else ["http"]
    settings = config.load_part(file, needed, strict=False).http
    if live:
        code, said = ask(settings, "/livez", timeout)
    else:
        try:
            code, said = ask(settings, "/readyz", timeout, settings.secret)
        except StrangerError:  # whether it is ready, it says to everybody
            code, said = ask(settings, "/readyz", timeout)
    click.echo(spelled_lines(said.rstrip("\n")), err=code != http.client.OK)
    ctx.exit(0 if code == http.client.OK else EXIT_FAILED)
