"""``firstseen completion``: what a shell needs to complete commands, options and files."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from firstseen.cli import main

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_FIRSTSEEN_COMPLETE"
"""By which the shell asks the command what could come next (click's own choice)."""


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
def command(shell: str) -> None:
    """Print the lines that make SHELL complete firstseen's commands, options and files.

    For bash: `source <(firstseen completion bash)`, in ~/.bashrc.
    """
    click.echo(SHELLS[shell](main, {}, "firstseen", VARIABLE).source())
