"""Man pages of ``firstseen`` and its subcommands, made of what ``--help`` says: ``packaging/man.py DIRECTORY``."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from firstseen import __version__, cli

EXIT_CODES = {
    0: "Fine.",
    cli.EXIT_FAILED: "Something failed, an event file could not be read to its end, or a check found something.",
    cli.EXIT_USAGE: "The command line is wrong.",
    cli.EXIT_CONFIG: "The configuration or a rule is wrong; one line for each problem.",
}


def pages(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """The name of each page, and the page, in troff: of this command and of all below it."""
    ctx = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    below = _below(ctx)
    yield ctx.command_path.replace(" ", "-"), "\n".join(_page(ctx, below)) + "\n"
    for sub, each in below.items():
        yield from pages(each, sub, ctx)


def _below(ctx: click.Context) -> dict[str, click.Command]:
    if not isinstance(ctx.command, click.Group):
        return {}
    found = {name: ctx.command.get_command(ctx, name) for name in ctx.command.list_commands(ctx)}
    return {name: command for name, command in found.items() if command is not None}


def _page(ctx: click.Context, below: dict[str, click.Command]) -> Iterator[str]:
    page = ctx.command_path.replace(" ", "-")
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(ctx.command.help or ""))
    yield f'.TH "{_text(page.upper())}" 1 "" "firstseen {_text(__version__)}" "firstseen"'
    yield from (".SH NAME", f"{_text(page)} \\- {_text(_first_sentence(paragraphs[0]))}")
    usage = ctx.command.collect_usage_pieces(ctx)
    yield from (".SH SYNOPSIS", f"\\fB{_text(ctx.command_path)}\\fR {_text(' '.join(usage))}", ".SH DESCRIPTION")
    for paragraph in paragraphs:
        yield from (".PP", _text(" ".join(paragraph.split())))
    yield ".SH OPTIONS"
    for parameter in ctx.command.get_params(ctx):
        record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield from (".TP", f"\\fB{_text(record[0])}\\fR", _text(record[1]) or "\\&")
    if below:
        yield ".SH COMMANDS"
    for name, command in below.items():
        first = _first_sentence(inspect.cleandoc(command.help or ""))
        yield from (".TP", f"\\fB{_text(page)}\\-{_text(name)}\\fR(1)", _text(first))
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES.items():
        yield from (".TP", f"\\fB{code}\\fR", _text(meaning))
    if ctx.parent is not None:
        yield from (".SH SEE ALSO", f"\\fB{_text(ctx.parent.command_path.replace(' ', '-'))}\\fR(1)")


def _first_sentence(text: str) -> str:
    """The first sentence, on one line and without its full stop."""
    line = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=[.?])\s", line)[0].removesuffix(".")


def _text(text: str) -> str:
    """As troff shows it as it is: hyphens that can be copied, backslashes, and no request at the begin of a line."""
    plain = (
        text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("`", "\\(ga").replace("~", "\\(ti")
    )
    return f"\\&{plain}" if plain[:1] in (".", "'") else plain


def main(folder: Path) -> None:
    """Writes them to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages(cli.main, "firstseen"):
        (folder / f"{name}.1").write_text(page)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
