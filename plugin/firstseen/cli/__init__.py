"""The ``firstseen`` command: one module per subcommand, loaded when it is called for."""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path
from typing import Any

import click

from firstseen import __version__
from firstseen.cli.complaints import in_words, say
from firstseen.cli.output import OutputError, written
from firstseen.errors import ConfigError, FirstseenError, RuleError
from firstseen.revision import revision

EXIT_FAILED = 1
"""Something failed, or a check found something."""
EXIT_USAGE = 2
"""The command line is wrong (click's own choice)."""
EXIT_CONFIG = 78
"""The configuration or a rule is wrong (EX_CONFIG of sysexits.h)."""

CONFIG_FILE = click.Path(path_type=Path, readable=False)
"""The configuration, which says itself what is wrong with it: where it cannot be read too, that is no wrong usage."""

COMMANDS = (
    "run",
    "validate",
    "health",
    "top",
    "tap",
    "replay",
    "explain",
    "backfill",
    "fields",
    "rules",
    "state",
    "send",
    "completion",
)


class _Commands(click.Group):
    """Imports a subcommand's module only when it is wanted: the agent pays for nothing else."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"firstseen.cli.{cmd_name}").command
        if cmd_name != "run" and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have to be ended in order
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        """The whole of it: whatever it prints, as help, too."""
        try:
            with written():
                return super().main(*args, **extra)
        except OutputError as error:
            say(error)
            sys.exit(EXIT_FAILED)

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand; the operator's mistakes come out as lines, not as tracebacks."""
        try:
            return super().invoke(ctx)
        except (ConfigError, RuleError) as error:
            click.echo(in_words(error), err=True)
            ctx.exit(EXIT_CONFIG)
        except FirstseenError as error:
            say(error)
            ctx.exit(EXIT_FAILED)


def _version() -> str:
    told = f", revision {revision()}" if revision() else ""
    return f"%(prog)s, version %(version)s{told}"


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="firstseen", message=_version())
def main() -> None:
    """Has this identity ever made that call here before? Detection inside the log stream."""
