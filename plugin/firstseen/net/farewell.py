"""The end of a connection whose server may still have to read, and says nothing of it.

Servers ack chunks that have an id also where nobody asked for it. A socket that is closed answers that with a reset,
and a reset throws away what the server has not read: all of it counts as delivered where there are no acks to wait for.
"""

from __future__ import annotations

import asyncio

from firstseen.net import tcpsocket
from firstseen.timers import SECOND_LOOK_S

PATIENCE_S = 600.0
"""How long a server may stand still that has something to read: it loses that for good when it is given up."""


class Farewell:
    """Ends our side of ``transport``, and passes over what the server says until it ends its own.

    It is not waited for any longer when for ``patience_s`` nothing more got to it, and nothing came from it: what its
    process has still to read cannot be known. Call `heard` when something comes, `over` when the connection is.
    """

    def __init__(self, transport: asyncio.Transport, patience_s: float, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._patience_s = patience_s
        self._loop = loop
        self._heard = False
        self._overdue = False
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()  # TLS ends as a whole: it says so behind all that was sent, and waits for the same
        self._unsent = tcpsocket.unsent(transport)
        self._timer = loop.call_later(patience_s, self._look)

    def heard(self) -> None:
        """The server said something: it lives, and read."""
        self._heard = True

    def over(self) -> None:
        """The connection is gone."""
        self._timer.cancel()

    def _look(self) -> None:
        before, self._unsent = self._unsent, tcpsocket.unsent(self._transport)
        if self._heard or self._unsent < before:
            self._heard = self._overdue = False
            self._timer = self._loop.call_later(self._patience_s, self._look)
        elif not self._overdue:
            self._overdue = True
            self._timer = self._loop.call_later(SECOND_LOOK_S, self._look)
        else:
            self._transport.abort()
