"""``firstseen fields``: events as the rules see them."""

from __future__ import annotations

import sys

import click

from firstseen.cli import EXIT_FAILED
from firstseen.errors import InputError
from firstseen.eventfiles import encode_object, event_files, read_events
from firstseen.record.view import views


@click.command("fields")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--output", type=click.Choice(["json"]), default="json", show_default=True, help="One document a line.")
@click.pass_context
def command(ctx: click.Context, files: tuple[str, ...], output: str) -> None:
    """Print each event as an ECS document, one a line, with the fields that rules can ask for."""
    failed = False
    for file in event_files(files):
        try:
            for event in read_events(file):
                for view in views(event.decode()):
                    sys.stdout.buffer.write(encode_object(view.document()) + b"\n")
        except (InputError, ValueError) as error:
            click.echo(f"firstseen: {error}", err=True)
            failed = True
    sys.stdout.buffer.flush()
    ctx.exit(EXIT_FAILED if failed else 0)
