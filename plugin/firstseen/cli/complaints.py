"""What went wrong, on standard error: nothing in it that others have written is a command to the terminal."""

from __future__ import annotations

import click

from firstseen.errors import ConfigError, FirstseenError, InputError, RuleError
from firstseen.notation import spelled, spelled_lines


def say(what: Exception | str) -> None:
    """Print it behind the name of the program."""
    click.echo(f"firstseen: {in_words(what)}", err=True)


def in_words(what: Exception | str) -> str:
    """What it says, as it can be printed.

    A problem is a line, and so is what is wrong with event files: what ends one in the middle is of somebody's name.
    Other errors may have several.
    """
    if isinstance(what, ConfigError | RuleError):
        return "\n".join(spelled(str(problem)) for problem in what.problems)
    if isinstance(what, FirstseenError) and not isinstance(what, InputError):
        return spelled_lines(str(what))
    return spelled(str(what))
