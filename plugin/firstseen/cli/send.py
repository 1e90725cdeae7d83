"""``firstseen send``: events from files over Forward, for trying things out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
from fluent.sender import EventTime, FluentSender

from firstseen.errors import FirstseenError, InputError
from firstseen.eventfiles import Event, event_files, read_events
from firstseen.record.view import views
from firstseen.status.view.words import several

TIMEOUT_S = 10.0


@click.command("send")
@click.option("--to", "target", required=True, metavar="HOST:PORT", help="A Forward server, such as the agent.")
@click.option("--tag", default="aws.cloudtrail", show_default=True)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def command(target: str, tag: str, files: tuple[str, ...]) -> None:
    """Send every event, dated by its own time, in Message mode.

    The protocol's simplest mode has no acks: what is reported as sent was taken by the connection.
    """
    host, _, port = target.rpartition(":")
    if not host or not port.isdigit():
        raise click.BadParameter("write HOST:PORT, such as 127.0.0.1:24225", param_hint="--to")
    sender = FluentSender(
        tag,
        host=host.strip("[]"),
        port=int(port),
        timeout=TIMEOUT_S,
        nanosecond_precision=True,
        forward_packet_error=False,
    )
    sent = 0
    for event in _events(files):
        try:
            taken = sender.emit_with_time(None, _time(event), event.decode())
        except (UnicodeEncodeError, OverflowError, ValueError) as error:
            raise InputError(f"{event.source}: event {event.number} cannot be carried by msgpack: {error}") from None
        if not taken:
            raise FirstseenError(f"{target} took {several(sent, 'event')}, then no more: {sender.last_error}")
        sent += 1
    sender.close()
    click.echo(f"{several(sent, 'event')} sent to {target} with tag {tag}", err=True)


def _events(files: tuple[str, ...]) -> Iterator[Event]:
    for file in event_files(files):
        yield from read_events(file)


def _time(event: Event) -> EventTime:
    times = (view.timestamp_ms for view in views(event.decode()))
    first = next((moment for moment in times if moment is not None), None)
    return EventTime(time.time() if first is None else first / 1000)
