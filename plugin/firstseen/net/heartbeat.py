"""Fluentd's UDP heartbeat: a datagram to the Forward port, answered with the same to where it came from.

Source: Fluentd's ``heartbeat_type udp``. Other clients do not use it, and the answer says only that we are here.
"""

from __future__ import annotations

import asyncio
from typing import cast

LARGEST = 128
"""Bytes of the largest datagram that is taken for a heartbeat."""

BEAT = b"\x00"


class Heartbeat(asyncio.DatagramProtocol):
    """Answers on one port. The answer is never longer than what asked for it, so nobody's echo is made louder."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        """Somebody asks."""
        if self._transport is not None and 0 < len(data) <= LARGEST:
            self._transport.sendto(BEAT, addr)
