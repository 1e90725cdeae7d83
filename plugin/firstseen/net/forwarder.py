"""Where everything goes on to: servers that speak Forward, one or several, and others that stand by.

A frame is kept until a server acked it (or, where it does not ack, until its bytes are with the kernel). What a lane
could not deliver goes on through another, or the same one later, with the same chunk ids.

A source that has something on its way stays with its lane, so that its chunks keep their order; one that has not gets
the next lane in turn. Standby lanes are open only while every other one rests.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import chain

from msgspec import Struct

from firstseen.logs import event
from firstseen.net.delivery import Delivery, Parcel
from firstseen.net.downstream import Target
from firstseen.net.lane import Backoff, Lane

log = logging.getLogger(__name__)

MOST_STRIKES = 5
"""How often a frame that is sent alone may fail, others being taken there in between, before it counts as refused."""

FAREWELL_S = 5.0
"""How long servers that do not ack may read what they were sent, where no time is left to stop in."""


class _Bond:
    """A source's lane, and how many parcels it has on it."""

    __slots__ = ("lane", "parcels")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.parcels = 0


class Server(Struct, frozen=True):
    """How deliveries to one server go, over all of its lanes. Times are by the loop's clock, None for never.

    ``connections`` are open; ``in_flight`` parcels are on their way to it, the oldest since ``oldest_s``. The others
    are as in `Lane`.
    """

    name: str
    standby: bool
    connections: int
    in_flight: int
    oldest_s: float | None
    delivered: int
    delivered_s: float | None
    failures: int
    trouble: str


class Forwarder:
    """Delivers what is submitted; run `run` in a task for as long as it should.

    Keeps a lane to each of ``servers``, and to each of ``standby`` while it is needed; ``backoff`` makes the pauses of
    one lane, ``retried`` is told how many frames have to be sent again.
    """

    def __init__(
        self,
        servers: Sequence[Target],
        standby: Sequence[Target],
        backoff: Callable[[], Backoff],
        retried: Callable[[int], None],
    ) -> None:
        self._lanes = deque(Lane(target, backoff(), self) for target in servers)
        self._standby = deque(Lane(target, backoff(), self) for target in standby)
        self._by_server: dict[tuple[str, bool], list[Lane]] = {}
        for waits, lanes in ((False, self._lanes), (True, self._standby)):
            for lane in lanes:
                self._by_server.setdefault((lane.server, waits), []).append(lane)
        self._loop = asyncio.get_running_loop()
        self._retried = retried
        self._waiting: deque[Parcel] = deque()
        self._bonds: dict[Hashable, _Bond] = {}
        self._delivered = 0
        self._took: dict[str, int] = {}
        self._leaves = False
        self._hurries = False
        self._hurried: asyncio.Future[None] | None = None
        self.reached = False
        """Whether any server ever was."""
        self._cut_off_s: float | None = self._loop.time()

    def unreachable_s(self) -> float | None:
        """For how long no server can be reached; None while one can.

        Something in front of a server may take connections and close them at once. So one that opened is no end of
        that before it is proven (`Lane.is_proven`): while it is open, the time stands still, and else it goes on.
        """
        if self._cut_off_s is None:
            return None
        until_s = min((lane.since_s for lane in self._all() if lane.since_s is not None), default=self._loop.time())
        return round(max(until_s - self._cut_off_s, 0.0), 3)

    def _all(self) -> Iterator[Lane]:
        return chain(self._lanes, self._standby)

    def submit(self, delivery: Delivery) -> None:
        """Deliver these frames, however long it takes."""
        for frame in delivery.frames:
            self._place_or_keep(Parcel(frame, delivery, self._delivered, self._loop.time()))

    @property
    def waiting(self) -> int:
        """Parcels that are with no server."""
        return len(self._waiting)

    @property
    def oldest_s(self) -> float | None:
        """Since when the oldest parcel of all is on its way, by the loop's clock."""
        lanes = (lane.oldest_s for lane in self._all())
        waiting = (parcel.since_s for parcel in self._waiting)
        return min((since_s for since_s in chain(lanes, waiting) if since_s is not None), default=None)

    def servers(self) -> list[Server]:
        """How each server does, in the order of the configuration, those on standby behind the others."""
        return [
            Server(
                name=name,
                standby=standby,
                connections=sum(lane.is_open for lane in lanes),
                in_flight=sum(lane.load for lane in lanes),
                oldest_s=min((lane.oldest_s for lane in lanes if lane.oldest_s is not None), default=None),
                delivered=sum(lane.delivered for lane in lanes),
                delivered_s=max((lane.delivered_s for lane in lanes if lane.delivered_s is not None), default=None),
                failures=sum(lane.failures for lane in lanes),
                trouble=next((lane.trouble for lane in lanes if lane.trouble), ""),
            )
            for (name, standby), lanes in self._by_server.items()
        ]

    async def run(self) -> None:
        """Keep the lanes up, and everything unsettled on them."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._standby:
                lane.want(False)
            for lane in self._all():
                tasks.create_task(lane.run())

    async def leave(self, until_s: float) -> None:
        """Deliver no more; wait until servers that do not say so have read what counts as delivered, and hang up.

        No longer than ``until_s`` by the loop's clock, or `FAREWELL_S` where that is sooner or whoever stops us was
        impatient before, and than until `give_up`.
        """
        self._leaves = True
        left = {connection.gone for lane in self._all() for connection in lane.leave()}
        if left:
            self._hurried = self._loop.create_future()
            timeout_s = FAREWELL_S if self._hurries else max(until_s - self._loop.time(), FAREWELL_S)
            both = (asyncio.gather(*left), self._hurried)
            await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    def give_up(self) -> None:
        """Wait for that for `FAREWELL_S` at the most, also where it has not begun; the second time no longer."""
        again, self._hurries = self._hurries, True
        if self._hurried is None:
            return
        if again:
            self._hurry()
        else:
            self._loop.call_later(FAREWELL_S, self._hurry)

    def _hurry(self) -> None:
        if self._hurried is not None and not self._hurried.done():
            self._hurried.set_result(None)

    def changed(self) -> None:
        """Called by a lane."""
        needed = not self._leaves and all(lane.rests for lane in self._lanes)
        for lane in self._standby:
            lane.want(needed)
        self._note_reach()
        waiting, self._waiting = self._waiting, deque()
        for parcel in waiting:
            self._place_or_keep(parcel)

    def _note_reach(self) -> None:
        connected = any(lane.since_s is not None for lane in self._all())
        if (connected and not self.reached) or any(lane.is_proven for lane in self._all()):
            self.reached, self._cut_off_s = True, None
        elif not connected and self._cut_off_s is None:
            self._cut_off_s = self._loop.time()

    def settled(self, lane: Lane, parcel: Parcel) -> None:
        """Called by a lane."""
        delivery = parcel.delivery
        bond = self._bonds[delivery.source]
        bond.parcels -= 1
        if not bond.parcels:
            del self._bonds[delivery.source]
        if not delivery.over:
            self._delivered += 1
            self._took[lane.server] = self._delivered
            delivery.one_delivered()

    def given_back(self, lane: Lane, parcels: Sequence[Parcel], sent: int, suspect: bool, reason: str) -> None:
        """Called by a lane."""
        for parcel in parcels[:sent]:
            parcel.failed_at(lane.server)
        for parcel in parcels:
            self._bonds.pop(parcel.delivery.source, None)
        self._retried(sent)
        if not suspect:
            self._waiting.extendleft(reversed(parcels))
            return
        # Its source goes behind all others: if it is this frame that no server takes, they need not wait for it.
        source = parcels[0].delivery.source
        self._waiting.extendleft(parcel for parcel in reversed(parcels) if parcel.delivery.source != source)
        self._waiting.extend(parcel for parcel in parcels if parcel.delivery.source == source)
        self._strike(lane.server, parcels[0], reason)

    def _strike(self, server: str, parcel: Parcel, reason: str) -> None:
        """A frame failed alone. That counts if the server took others since it last did, and so is not at fault itself.

        It is refused when that was so often enough, and at each server that could take it.
        """
        trial = parcel.trials[server]
        if self._took.get(server, 0) <= trial.seen:
            return
        trial.seen = self._delivered
        trial.strikes += 1
        frame = parcel.frame
        event(
            log, logging.WARNING, "frame_not_taken", tag=frame.tag, size=frame.size, times=parcel.strikes, reason=reason
        )
        able = {lane.server for lane in self._all() if self._is_able(lane, parcel)}
        if parcel.strikes >= MOST_STRIKES and able <= parcel.trials.keys():
            parcel.delivery.refuse(f"no server takes it: {reason}")

    def _is_able(self, lane: Lane, parcel: Parcel) -> bool:
        """Whether its server can be expected to take something now: it is there, and did since the parcel set out."""
        return lane.is_open and (lane.trusted or self._took.get(lane.server, 0) > parcel.seen)

    def _place_or_keep(self, parcel: Parcel) -> None:
        if parcel.delivery.over:
            return
        source = parcel.delivery.source
        bond = self._bonds.get(source)
        if bond is None:
            lane = self._next_lane(parcel)
            if lane is None:
                self._waiting.append(parcel)
                return
            bond = self._bonds[source] = _Bond(lane)
        bond.parcels += 1
        bond.lane.put(parcel)

    def _next_lane(self, parcel: Parcel) -> Lane | None:
        """The next open lane in turn. One that had trouble takes a single parcel, and is asked first.

        But before that come all lanes to servers at which this parcel failed less often: another one may take it.
        """
        for failures in sorted({0, *(trial.failures for trial in parcel.trials.values())}):
            for lanes in (self._lanes, self._standby):
                for ready in (_wants_a_probe, _is_trusted):
                    for _ in range(len(lanes)):
                        lane = lanes[0]
                        lanes.rotate(-1)
                        if ready(lane) and parcel.failures_at(lane.server) <= failures:
                            return lane
        return None


def _wants_a_probe(lane: Lane) -> bool:
    return lane.is_open and not lane.trusted and not lane.load


def _is_trusted(lane: Lane) -> bool:
    return lane.is_open and lane.trusted
