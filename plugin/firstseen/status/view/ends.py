"""The section of both ends: who sends, and who takes."""

from __future__ import annotations

from collections.abc import Sequence

from firstseen.status.report import Client, Server, Status
from firstseen.status.view.markup import Child, Html, element, joined
from firstseen.status.view.parts import badge, section
from firstseen.status.view.tables import Column, table
from firstseen.status.view.words import ago, length, number, several


def ends(told: Status) -> Html:
    """Who sends, and who takes."""
    return section(
        "ends",
        "Both ends",
        element("div", _senders(told), _servers(told), class_="halves"),
    )


def _senders(told: Status) -> Html:
    columns = [
        Column("Client"),
        Column("Connections", numeric=True),
        Column("Chunks", numeric=True),
        Column("On its way", numeric=True),
        Column("Lag", numeric=True),
        Column("Last chunk", numeric=True),
    ]
    clients = told.input.clients
    notes = []
    if told.input.paused:
        notes.append("Reading has stopped until something is delivered: acks are late.")
    if told.input.refused:
        notes.append(f"{several(told.input.refused, 'connection')} had to be closed for what came.")
    return element(
        "div",
        element("h3", "Records come from"),
        table("Clients", columns, map(_client, clients), "ends")
        if clients
        else element("p", "Nobody has connected yet.", class_="empty"),
        *(element("p", note, class_="note") for note in notes),
    )


def _client(client: Client) -> Sequence[Child]:
    return [
        joined(element("code", client.origin), element("span", "TLS", class_="detail") if client.tls else None),
        number(client.connections),
        number(client.chunks),
        number(client.in_flight),
        length(client.lag_seconds),
        ago(client.last_chunk_seconds),
    ]


def _servers(told: Status) -> Html:
    columns = [
        Column("Server"),
        Column("Connections", numeric=True),
        Column("Messages", numeric=True),
        Column("On its way", numeric=True),
        Column("Lag", numeric=True),
        Column("Last delivery", numeric=True),
    ]
    waiting = told.output.waiting
    return element(
        "div",
        element("h3", "Records go to"),
        table("Servers", columns, map(_server, told.output.servers), "ends"),
        element("p", f"{several(waiting, 'message')} with no server.", class_="note") if waiting else None,
    )


def _server(server: Server) -> Sequence[Child]:
    away = not server.connections and not server.standby
    trouble = server.trouble if away or not server.delivered else ""
    if server.standby:
        state: Html | None = element("span", "on standby", class_="detail")
    else:
        state = badge("away") if away else None
    return [
        joined(element("code", server.address), state, element("span", trouble, class_="reason") if trouble else None),
        number(server.connections),
        number(server.delivered),
        number(server.in_flight),
        length(server.lag_seconds),
        ago(server.last_delivery_seconds),
    ]
