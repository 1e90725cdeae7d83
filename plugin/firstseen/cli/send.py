"""``firstseen send``: events from files over Forward, for trying things out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import click
from fluent.sender import EventTime, FluentSender

from firstseen.errors import FirstseenError, InputError
from firstseen.eventfiles import Event, read_events
from firstseen.eventfolders import event_files
from firstseen.notation import Address
from firstseen.record.view import views
from firstseen.status.view.words import several

TIMEOUT_S = 10.0

_LAST_S = (1 << 32) - 1


@click.command("send")
@click.option("--to", "target", required=True, metavar="HOST:PORT", help="A Forward server, such as the agent.")
@click.option("--tag", default="aws.cloudtrail", show_default=True)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def command(target: str, tag: str, files: tuple[str, ...]) -> None:
    """Send every event, dated by its own time, in Message mode.

    The protocol's simplest mode has no acks: what is reported as sent was taken by the connection.
    """
    try:
        address = Address(target)
    except ValueError as error:
        what = f"{error}: write HOST:PORT, such as 127.0.0.1:24225"
        raise click.BadParameter(what, param_hint="--to") from None
    with ExitStack() as stack:
        sent = _send(address, tag, files, stack)
    click.echo(f"{several(sent, 'event')} sent to {target} with tag {tag}", err=True)


def _send(address: Address, tag: str, files: tuple[str, ...], stack: ExitStack) -> int:
    """Send the events and tell how many; the connection is the stack's."""
    sender = FluentSender(
        tag,
        host=address.host,
        port=address.port,
        timeout=TIMEOUT_S,
        nanosecond_precision=True,
        forward_packet_error=False,
    )
    sent = 0
    for event in _events(files):
        record = event.decode()
        moment = _time(event, record)
        if not sent:
            sender.socket = stack.enter_context(_connected(address))  # its own would be of IPv4 only
        try:
            taken = sender.emit_with_time(None, moment, record)
        except (UnicodeEncodeError, OverflowError, ValueError) as error:
            raise InputError(f"{event.source}: event {event.number} cannot be carried by msgpack: {error}") from None
        if not taken:
            raise FirstseenError(f"{address} took {several(sent, 'event')}, then no more: {sender.last_error}")
        sent += 1
    sender.close()
    return sent


def _events(files: tuple[str, ...]) -> Iterator[Event]:
    for file in event_files(files):
        yield from read_events(file)


def _connected(address: Address) -> socket.socket:
    try:
        connection = socket.create_connection((address.host, address.port), TIMEOUT_S)
    except OSError as error:
        raise FirstseenError(f"{address} took 0 events, then no more: {error}") from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _time(event: Event, record: Mapping[str, Any]) -> EventTime:
    times = (view.timestamp_ms for view in views(record))
    first = next((moment for moment in times if moment is not None), None)
    seconds, ms = divmod(time.time_ns() // 1_000_000 if first is None else first, 1_000)
    if not 0 <= seconds <= _LAST_S:
        raise InputError(
            f"{event.source}: event {event.number} is of a time that Forward cannot carry: "
            "it counts seconds in 32 bits, from 1970 to 2106"
        )
    return EventTime(seconds, ms * 1_000_000)
