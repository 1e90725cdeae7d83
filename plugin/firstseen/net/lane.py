"""A lane: one connection to one server, kept up.

A lane that had trouble rests for a pause that grows and varies, and is probed before it is trusted again: a new
connection gets one frame, and the next ones when that is acked. A server that takes nothing so costs one repeat each
time, and a frame that a server never takes is found out, because it is alone.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from firstseen.errors import ProtocolError
from firstseen.logs import complain
from firstseen.net.delivery import Parcel
from firstseen.net.downstream import Downstream, Target, connect
from firstseen.net.forming import Forming

log = logging.getLogger(__name__)

STEADY_S = 4.0
"""How long a connection has to last for its server to count as one that can be reached, if nothing was delivered."""


class Backoff:
    """Pauses that double from ``first_s`` up to ``most_s``, each a random share between half of it and all of it."""

    def __init__(self, random: Callable[[], float], first_s: float = 0.25, most_s: float = 30.0) -> None:
        self._random = random
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def pause_s(self) -> float:
        """How long to wait before the next attempt."""
        pause = self._next_s
        self._next_s = min(2 * pause, self._most_s)
        return pause * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """An attempt succeeded."""
        self._next_s = self._first_s


class Owner(Protocol):
    """Whoever fills the lanes."""

    def changed(self) -> None:
        """A lane opened, is proven, delivers again, was closed by its server, or went to rest."""

    def settled(self, lane: Lane, parcel: Parcel) -> None:
        """A parcel is delivered, or nobody wants it any more."""

    def given_back(self, lane: Lane, parcels: Sequence[Parcel], sent: int, suspect: bool, reason: str) -> None:
        """These have to be delivered by another lane, or by this one later; the first ``sent`` of them were sent.

        ``suspect`` says that the first one may be at fault: it was the only one on the connection.
        """


class Lane:
    """One connection to ``target``, the ``server``. Run `run` in a task for as long as it should be kept up.

    ``rests`` says that the last attempt to use it failed; ``trusted`` is what gets any number of frames: a lane that is
    new, or one that delivered something since it had trouble. While `want` was last told False, the lane is closed.
    ``since_s`` is since when it is connected, None where it is not, and ``is_proven`` says that this connection has
    delivered something, or stands for `STEADY_S`.

    It has ``delivered`` so many parcels, the last one at ``delivered_s`` by the loop's clock. Attempts to use it had
    ``failures``, the last one for the reason ``trouble``, which is empty again once something is delivered.
    """

    def __init__(self, target: Target, backoff: Backoff, owner: Owner) -> None:
        self.target = target
        self.server = str(target)
        self.rests = False
        self.trusted = True
        self.since_s: float | None = None
        self.is_proven = False
        self.delivered = 0
        self.delivered_s: float | None = None
        self.failures = 0
        self.trouble = ""
        self._backoff = backoff
        self._owner = owner
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._connection: Downstream | None = None
        self._left: set[Downstream] = set()
        self._retiring = False
        self._flushing = False
        self._queue: deque[Parcel] = deque()
        self._forming = Forming(target.form, self._flush)

    @property
    def is_open(self) -> bool:
        """Whether parcels put on it leave soon."""
        return self._connection is not None and not self._retiring

    @property
    def load(self) -> int:
        """Parcels on it."""
        return len(self._queue) + (len(self._connection) if self._connection is not None else 0)

    @property
    def oldest_s(self) -> float | None:
        """When the parcel set out that is on it for longest."""
        oldest = self._connection.oldest if self._connection is not None else None
        if oldest is None and self._queue:
            oldest = self._queue[0]
        return None if oldest is None else oldest.since_s

    def put(self, parcel: Parcel) -> None:
        """Deliver it, behind all that were put here before."""
        self._queue.append(parcel)
        self._flush()

    def want(self, wanted: bool) -> None:
        """Keep the lane open, or close it once it is empty."""
        if wanted:
            self._wanted.set()
        elif self._wanted.is_set():
            self._wanted.clear()
            self._retire()

    def leave(self) -> set[Downstream]:
        """Send no more. Returns the connections whose servers may have to read more than they tell of."""
        if self.target.require_ack:
            return set()
        self._wanted.clear()
        self._retiring = True
        if self._connection is not None:
            self._connection.finish("the agent stops")
        return {*self._left, *(each for each in (self._connection,) if each is not None)}

    async def run(self) -> None:
        """Keep a connection up."""
        while True:
            await self._wanted.wait()
            if await self._connected():
                continue
            await asyncio.sleep(self._backoff.pause_s())

    async def _connected(self) -> bool:
        """Connect, and stay so for as long as may be. Whether to connect again at once."""
        server = str(self.target)
        try:
            connection = await connect(self.target, self._settled, self._flush)
        except (OSError, TimeoutError, ProtocolError) as error:
            reason = str(error) or repr(error)
            complain(log, logging.WARNING, "downstream_unreachable", (server, reason), server=server, reason=reason)
            self._rest((), suspect=False, reason=reason)
            return False
        complain(log, logging.INFO, "downstream_connected", (server,), server=server)
        return await self._use(connection)

    async def _use(self, connection: Downstream) -> bool:
        self._connection = connection
        if self.delivered and self.target.require_ack:
            connection.doubtful_until_s = 0.0  # it takes what it gets
        self._retiring = False
        if not self.target.require_ack:
            self.trusted, self.rests = True, False
        loop = asyncio.get_running_loop()
        self.since_s = loop.time()
        proving = loop.call_later(STEADY_S, self._prove)
        aging = loop.call_later(self.target.max_age_s, self._retire) if self.target.max_age_s else None
        if not self._wanted.is_set():
            self._retire()
        self._flush()
        self._owner.changed()
        reason = await connection.lost
        if not connection.gone.done():
            self._left.add(connection)
            connection.gone.add_done_callback(lambda _: self._left.discard(connection))
        proving.cancel()
        if aging is not None:
            aging.cancel()
        retired, self._connection = self._retiring, None
        proven, self.is_proven, self.since_s = self.is_proven, False, None
        unsettled = connection.take_unsettled()
        failed = bool(unsettled) or connection.at_odds
        level = logging.WARNING if failed else logging.INFO
        server = str(self.target)
        count = len(unsettled)
        complain(log, level, "downstream_lost", (server, reason), server=server, reason=reason, unsettled=count)
        if failed:
            self._rest(unsettled, suspect=bool(unsettled) and (not self.trusted or connection.single), reason=reason)
            return False
        if proven:
            self._backoff.reset()
        if not self._wanted.is_set():
            self._give_back((), suspect=False, reason=reason)
        elif not retired:
            self._owner.changed()
        return retired

    def _prove(self) -> None:
        self.is_proven = True
        self._owner.changed()

    def _settled(self, parcel: Parcel) -> None:
        self._backoff.reset()
        self.delivered += 1
        self.delivered_s = asyncio.get_running_loop().time()
        self.trouble = ""
        news = not self.trusted or self.rests or not self.is_proven
        self.trusted, self.rests, self.is_proven = True, False, True
        self._owner.settled(self, parcel)
        if self._connection is not None and self._connection.single:
            self._retire()
        elif self._retiring:
            self._close_if_empty()
        else:
            self._flush()
        if news:
            self._owner.changed()

    def _flush(self) -> None:
        """Send as much of the queue as may be on its way at a time."""
        connection = self._connection
        if connection is None or self._flushing:  # without acks, sending settles at once, which comes back here
            return
        self._flushing = True
        try:
            window = sys.maxsize if self.trusted and not connection.single else 1
            while self._queue and not self._retiring and len(connection) < window and not connection.is_full:
                parcel = self._queue[0]
                if parcel.delivery.over:
                    self._queue.popleft()
                    self._owner.settled(self, parcel)
                    continue
                frame = self._forming.of(parcel)
                if frame is None:
                    break
                self._queue.popleft()
                self._forming.forget()
                connection.send(parcel, frame)
        finally:
            self._flushing = False

    def _retire(self) -> None:
        """Send nothing more on this connection, and close it once it is empty."""
        self._retiring = True
        self._close_if_empty()

    def _close_if_empty(self) -> None:
        if self._connection is not None and not len(self._connection):
            self._connection.finish()

    def _rest(self, unsettled: Sequence[Parcel], *, suspect: bool, reason: str) -> None:
        self.rests, self.trusted = True, False
        self.failures += 1
        self.trouble = reason
        self._give_back(unsettled, suspect=suspect, reason=reason)

    def _give_back(self, unsettled: Sequence[Parcel], *, suspect: bool, reason: str) -> None:
        parcels = [*unsettled, *self._queue]
        self._queue.clear()
        self._forming.forget()
        if parcels:
            self._owner.given_back(self, parcels, len(unsettled), suspect, reason)
        self._owner.changed()
