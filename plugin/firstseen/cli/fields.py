"""``firstseen fields``: events as the rules see them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from firstseen import config
from firstseen.cli import CONFIG_FILE, EXIT_FAILED
from firstseen.cli.complaints import say
from firstseen.errors import InputError
from firstseen.eventfiles import encode_object, in_ascii, read_events
from firstseen.eventfolders import event_files
from firstseen.geoip import GeoIp, databases
from firstseen.record.view import views

FILE = click.Path(path_type=Path)


@click.command("fields")
@click.option("-c", "--config", "file", type=CONFIG_FILE, help="Take the databases of addresses that this file names.")
@click.option("--city", type=FILE, help="A database of places, for source.geo.")
@click.option("--asn", type=FILE, help="A database of networks, for source.as.")
@click.option("--output", type=click.Choice(["json"]), default="json", show_default=True, help="One document a line.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_context
def command(
    ctx: click.Context, file: Path | None, city: Path | None, asn: Path | None, output: str, files: tuple[str, ...]
) -> None:
    """Print each event as an ECS document, one a line, with the fields that rules can ask for."""
    geoip = _opened(file, city, asn)
    failed = False
    for name in event_files(files):
        try:
            for event in read_events(name):
                for view in views(event.decode(), enrichment=geoip):
                    sys.stdout.buffer.write(in_ascii(encode_object(view.document())) + b"\n")
        except (InputError, ValueError) as error:
            say(error)
            failed = True
    sys.stdout.buffer.flush()
    ctx.exit(EXIT_FAILED if failed else 0)


def _opened(file: Path | None, city: Path | None, asn: Path | None) -> GeoIp:
    if file is None:
        return GeoIp(city, asn)
    if city is not None or asn is not None:
        raise click.UsageError("name the databases with --city and --asn, or with a configuration file, not both")
    return databases(config.load_part(file, ["geoip"]))
