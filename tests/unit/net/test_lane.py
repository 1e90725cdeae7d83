import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from io import StringIO
from typing import Any

import msgpack
import pytest

from firstseen.forward.outgoing import Frame
from firstseen.logs import JsonFormatter
from firstseen.net.delivery import Delivery, Parcel
from firstseen.net.downstream import MOST_BUFFERED, Target
from firstseen.net.lane import Backoff, Lane
from firstseen.notation import Endpoint
from firstseen.sparing import Sparing
from firstseen.steps import Steps
from support.loopback import Conversation, downstream

TIMEOUT_S = 10


def test_pauses_double_up_to_a_limit_and_vary() -> None:
    backoff = Backoff(lambda: 1.0, first_s=1, most_s=5)

    assert [backoff.pause_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.pause_s() == 1
    assert Backoff(lambda: 0.0, first_s=1, most_s=5).pause_s() == 0.5


class Owner:
    """Notes what a lane tells, and can be waited for."""

    def __init__(self) -> None:
        self.delivered: list[str | None] = []
        self.returned: list[str | None] = []
        self._news = asyncio.Event()

    def changed(self) -> None:
        self._news.set()

    def settled(self, lane: Lane, parcel: Parcel) -> None:
        self.delivered.append(parcel.frame.chunk)
        self._news.set()

    def given_back(self, lane: Lane, parcels: Sequence[Parcel], sent: int, suspect: bool, reason: str) -> None:
        self.returned += [parcel.frame.chunk for parcel in parcels]
        self._news.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not true():
                self._news.clear()
                await self._news.wait()


def parcel(name: str, size: int) -> Parcel:
    data = msgpack.packb(["app", [[1, {"m": "x" * size}]], {"chunk": name}])
    frame = Frame("app", (data,), len(data), name)
    return Parcel(frame, Delivery([frame], lambda: None, lambda reason: None), 0, 0.0)


async def with_lane(target: Target, backoff: Backoff, test: Callable[[Lane, Owner], Coroutine[Any, Any, None]]) -> None:
    owner = Owner()
    lane = Lane(target, backoff, owner)
    running = asyncio.create_task(lane.run())
    try:
        await test(lane, owner)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_what_a_server_does_not_read_stays_in_the_lane_as_it_came() -> None:
    """Else every frame would take its memory a second time where it is sent in another form."""

    async def main() -> None:
        go = asyncio.Event()
        formed = []

        def form(frame: Frame) -> Steps[Frame]:
            yield
            formed.append(frame.chunk)
            return frame

        async def script(peer: Conversation, _: int) -> None:
            await go.wait()
            while True:
                await peer.ack(await peer.frame())

        async def test(lane: Lane, owner: Owner) -> None:
            await owner.until(lambda: lane.is_open)
            names = [f"c-{number}" for number in range(60)]
            for name in names:
                lane.put(parcel(name, MOST_BUFFERED // 2))
            for _ in range(20):
                await asyncio.sleep(0)
            assert 2 <= len(formed) < 30
            assert lane.load == len(names)
            go.set()
            await owner.until(lambda: owner.delivered == names)
            assert formed == names

        async with downstream(script) as port:
            target = Target(Endpoint(f"127.0.0.1:{port}"), True, TIMEOUT_S, form=form)
            await with_lane(target, Backoff(lambda: 0.0, first_s=0.001), test)

    asyncio.run(main())


def test_what_waited_for_a_server_without_acks_goes_however_much_it_is() -> None:
    """Sending settles at once there, and what settles makes room for more: one must not be within the other."""

    async def main() -> None:
        go = asyncio.Event()

        async def script(peer: Conversation, _: int) -> None:
            await go.wait()
            while True:
                await peer.frame()

        async def test(lane: Lane, owner: Owner) -> None:
            await owner.until(lambda: lane.is_open)
            names = [str(number) for number in range(8 * sys.getrecursionlimit())]
            for name in names:
                lane.put(parcel(name, MOST_BUFFERED // 256))
            await asyncio.sleep(0.1)
            assert lane.load > 4 * sys.getrecursionlimit()
            go.set()
            await owner.until(lambda: len(owner.delivered) == len(names))
            assert owner.delivered == names

        async with downstream(script) as port:
            target = Target(Endpoint(f"127.0.0.1:{port}"), False, TIMEOUT_S)
            await with_lane(target, Backoff(lambda: 0.0, first_s=0.001), test)

    asyncio.run(main())


def test_what_takes_long_to_be_formed_keeps_its_place_and_nobody_waiting() -> None:
    async def main() -> None:
        served = 0

        def form(frame: Frame) -> Steps[Frame]:
            before = served
            while frame.chunk == "long" and served < before + 5:
                time.sleep(0.02)
                yield
            return frame

        async def others() -> None:
            nonlocal served
            while True:
                await asyncio.sleep(0)
                served += 1

        async def script(peer: Conversation, _: int) -> None:
            while True:
                await peer.ack(await peer.frame())

        async def test(lane: Lane, owner: Owner) -> None:
            await owner.until(lambda: lane.is_open)
            serving = asyncio.create_task(others())
            for name in ("long", "short"):
                lane.put(parcel(name, 10))
            assert lane.load == 2
            await owner.until(lambda: owner.delivered == ["long", "short"])
            serving.cancel()

        async with downstream(script) as port:
            target = Target(Endpoint(f"127.0.0.1:{port}"), True, TIMEOUT_S, form=form)
            await with_lane(target, Backoff(lambda: 0.0, first_s=0.001), test)

    asyncio.run(main())


def test_a_server_that_closes_at_once_is_asked_less_and_less_often() -> None:
    """A load balancer without anybody behind it takes every connection, and closes it."""

    async def main() -> None:
        gone = 0
        pauses: list[float] = []
        news = asyncio.Event()

        async def script(peer: Conversation, number: int) -> None:
            nonlocal gone
            gone += 1
            news.set()

        class Pauses(Backoff):
            def pause_s(self) -> float:
                pauses.append(super().pause_s())
                return 0.0

        async def test(lane: Lane, owner: Owner) -> None:
            async with asyncio.timeout(TIMEOUT_S):
                while gone < 6:
                    news.clear()
                    await news.wait()

        async with downstream(script) as port:
            target = Target(Endpoint(f"127.0.0.1:{port}"), True, TIMEOUT_S)
            await with_lane(target, Pauses(lambda: 1.0, first_s=1, most_s=10.0), test)
        assert pauses[:4] == [1, 2, 4, 8]

    asyncio.run(main())


def test_a_server_that_closes_behind_each_ack_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    count = 20
    stream = StringIO()

    async def main() -> None:
        begun: asyncio.Queue[int] = asyncio.Queue()

        async def script(peer: Conversation, number: int) -> None:
            begun.put_nowait(number)
            await peer.ack(await peer.frame())

        async def test(lane: Lane, owner: Owner) -> None:
            for _ in range(count):
                name = f"c-{await asyncio.wait_for(begun.get(), TIMEOUT_S)}"
                await owner.until(lambda: lane.is_open)
                lane.put(parcel(name, 1))
                await owner.until(lambda name=name: name in owner.delivered)  # type: ignore[misc]

        async with downstream(script) as port:
            target = Target(Endpoint(f"127.0.0.1:{port}"), True, TIMEOUT_S)
            await with_lane(target, Backoff(lambda: 0.0, first_s=0.001), test)

    log = logging.getLogger("firstseen.net.lane")
    out = logging.StreamHandler(stream)
    out.setFormatter(JsonFormatter())
    sparing = Sparing([out])
    log.addHandler(sparing)
    try:
        asyncio.run(main())
    finally:
        log.removeHandler(sparing)
    before = len(stream.getvalue().splitlines())
    sparing.sum_up(all_of_it=True)
    told = list(map(json.loads, stream.getvalue().splitlines()))
    names = [each["event"] for each in told]
    assert names[:before] == ["downstream_connected", "downstream_lost"]
    assert sum(each.get("times", 1) for each in told if each["event"] == "downstream_connected") >= count


@pytest.mark.parametrize("require_ack", [True, False])
def test_a_server_that_speaks_something_else_is_warned_of_and_rests(
    require_ack: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It asks for a key that is not set: whatever it is sent, it takes none of it."""
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async def script(peer: Conversation, number: int) -> None:
            await peer.write(msgpack.packb(["HELO", {"nonce": bytes(16)}]))
            await peer.until_closed()

        async def test(lane: Lane, owner: Owner) -> None:
            await owner.until(lambda: lane.failures > 1)
            assert lane.trouble == "the server asks for a shared key, but none is set (output.shared_key)"

        async with downstream(script) as port:
            target = Target(Endpoint(f"127.0.0.1:{port}"), require_ack, TIMEOUT_S)
            await with_lane(target, Backoff(lambda: 0.0, first_s=0.001), test)

    asyncio.run(main())
    told = {(each.levelname, each.getMessage().split(" ")[0]) for each in caplog.records}
    assert ("WARNING", "downstream_lost" if require_ack else "downstream_unreachable") in told
    assert ("INFO", "downstream_lost") not in told
