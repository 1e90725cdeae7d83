"""Accepting connections under TLS, one by one, so that whoever fails at it can be named.

The loop's own server agrees on TLS in silence: a client that cannot would leave no trace.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

from firstseen.logs import complain, event
from firstseen.net.connection import Connection, Host
from firstseen.net.peers import Peer

log = logging.getLogger(__name__)

PAUSE_S = 1.0
"""How long nobody is accepted after the system could not, as when it is out of files."""


class SecureServer:
    """Accepts on ``listening``, agrees on TLS, and makes a `Connection` of ``host`` of what is left."""

    def __init__(self, host: Host, listening: socket.socket, tls: ssl.SSLContext) -> None:
        self._host = host
        self._listening = listening
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._negotiating: set[asyncio.Task[None]] = set()
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Accept no more, and drop who has not come through yet."""
        self._accepting.cancel()
        for task in self._negotiating:
            task.cancel()
        self._listening.close()

    async def _accept(self) -> None:
        while True:
            try:
                accepted, _ = await self._loop.sock_accept(self._listening)
            except OSError as error:
                complain(log, logging.ERROR, "accept_failed", (str(error),), reason=str(error))
                await asyncio.sleep(PAUSE_S)
                continue
            task = self._loop.create_task(self._negotiate(accepted))
            self._negotiating.add(task)
            task.add_done_callback(self._negotiating.discard)

    async def _negotiate(self, accepted: socket.socket) -> None:
        peer = Peer.named(accepted)
        timeout_s = self._host.frame_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.connect_accepted_socket(lambda: Connection(self._host), accepted, ssl=self._tls)
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            self._host.refused(peer, None, f"no TLS: {reason}")
        except TimeoutError:
            self._host.refused(peer, None, f"no TLS within {timeout_s:g}s (input.frame_timeout)")
        except OSError as error:  # gone before it said anything, as those do who only look if the port is open
            event(log, logging.DEBUG, "connection_lost", peer=str(peer), reason=str(error))
