import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import msgpack
import pytest

from firstseen.forward.outgoing import Frame
from firstseen.net.forwarder import Backoff, Delivery, Forwarder, Target
from support.loopback import Conversation, downstream

TIMEOUT_S = 10


def frame(chunk: str | None = "one") -> Frame:
    options = {} if chunk is None else {"chunk": chunk}
    data = msgpack.packb(["app", [[1, {"n": chunk}]], options])
    return Frame("app", (data[:5], memoryview(data)[5:]), len(data), chunk)


class Deliveries:
    """Submits frames and notes the order in which they are delivered."""

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self.done: list[str] = []
        self._news = asyncio.Event()

    def submit(self, name: str, *frames: Frame) -> None:
        self._forwarder.submit(Delivery(frames, lambda: self._delivered(name)))

    def _delivered(self, name: str) -> None:
        self.done.append(name)
        self._news.set()

    async def until(self, *names: str) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while self.done != list(names):
                await self._news.wait()
                self._news.clear()


@asynccontextmanager
async def forwarding(port: int, *, require_ack: bool = True, ack_timeout_s: float = TIMEOUT_S):
    retried: list[int] = []
    backoff = Backoff(lambda: 0.0, first_s=0.001, most_s=0.01)
    forwarder = Forwarder(Target("127.0.0.1", port, require_ack, ack_timeout_s), backoff, retried.append)
    task = asyncio.create_task(forwarder.run())
    try:
        yield Deliveries(forwarder), retried
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())


def test_a_frame_is_delivered_when_its_ack_comes() -> None:
    async def test() -> None:
        came, go = asyncio.Event(), asyncio.Event()
        got = []

        async def script(peer: Conversation, _: int) -> None:
            got.append(await peer.frame())
            came.set()
            await go.wait()
            await peer.ack(got[0])
            await peer.until_closed()

        async with downstream(script) as port, forwarding(port) as (deliveries, _):
            deliveries.submit("a", frame())
            await came.wait()
            assert deliveries.done == []
            go.set()
            await deliveries.until("a")
        assert got == [["app", [[1, {"n": "one"}]], {"chunk": "one"}]]

    run(test)


def test_what_was_submitted_before_there_was_a_connection_is_sent_first() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            while True:
                await peer.ack(await peer.frame())

        async with downstream(script) as port, forwarding(port) as (deliveries, _):
            for name in "abc":
                deliveries.submit(name, frame(name))
            await deliveries.until("a", "b", "c")

    run(test)


def test_a_delivery_of_several_frames_is_done_with_the_last_of_them() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            first, second = await peer.frame(), await peer.frame()
            await peer.ack(second)
            await peer.ack(first)
            await peer.until_closed()

        async with downstream(script) as port, forwarding(port) as (deliveries, _):
            deliveries.submit("both", frame("x"), frame("y"))
            await deliveries.until("both")

    run(test)


@pytest.mark.parametrize(
    "misbehave",
    [
        lambda peer: peer.write(msgpack.packb({"ack": "another"})),
        lambda peer: peer.write(msgpack.packb({"nack": 1})),
        lambda peer: peer.write(b"\xc1"),
        lambda peer: peer.write(msgpack.packb(["HELO", {"nonce": b"n"}])),
        lambda peer: asyncio.sleep(0),
    ],
    ids=["another id", "no ack", "garbage", "HELO", "end of stream"],
)
def test_everything_unsettled_is_sent_again_in_order_with_the_same_ids(
    misbehave: Callable[[Conversation], Awaitable[None]],
) -> None:
    async def test() -> None:
        sent: list[list[str]] = []

        async def script(peer: Conversation, number: int) -> None:
            sent.append([])
            for _ in range(2):
                received = await peer.frame()
                sent[number].append(received[-1]["chunk"])
                if number == 1:
                    await peer.ack(received)
            await (misbehave(peer) if number == 0 else peer.until_closed())

        async with downstream(script) as port, forwarding(port) as (deliveries, retried):
            deliveries.submit("a", frame("a"))
            deliveries.submit("b", frame("b"))
            await deliveries.until("a", "b")
        assert sent == [["a", "b"], ["a", "b"]]
        assert retried[:1] == [2]

    run(test)


def test_no_ack_in_time_gives_the_connection_up() -> None:
    async def test() -> None:
        async def script(peer: Conversation, number: int) -> None:
            received = await peer.frame()
            if number > 0:
                await peer.ack(received)
            await peer.until_closed()

        async with downstream(script) as port, forwarding(port, ack_timeout_s=0.05) as (deliveries, retried):
            deliveries.submit("a", frame())
            await deliveries.until("a")
        assert retried[:1] == [1]

    run(test)


def test_an_ack_in_pieces_is_one_ack() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            received = await peer.frame()
            for byte in msgpack.packb({"ack": received[-1]["chunk"]}):
                await peer.write(bytes((byte,)))
            await peer.until_closed()

        async with downstream(script) as port, forwarding(port) as (deliveries, retried):
            deliveries.submit("a", frame())
            await deliveries.until("a")
            assert retried == []

    run(test)


def test_without_acks_a_frame_is_delivered_once_it_is_written() -> None:
    async def test() -> None:
        read = asyncio.Event()

        async def script(peer: Conversation, _: int) -> None:
            await read.wait()
            await peer.until_closed()

        big = msgpack.packb(["app", b"x" * (1 << 24)])
        async with downstream(script) as port, forwarding(port, require_ack=False) as (deliveries, _):
            deliveries.submit("small", frame(None))
            await deliveries.until("small")
            deliveries.submit("big", Frame("app", (big,), len(big), None))
            deliveries.submit("behind", frame(None))
            for _ in range(100):
                await asyncio.sleep(0)
            assert deliveries.done == ["small"]
            read.set()
            await deliveries.until("small", "big", "behind")

    run(test)


def test_acks_that_nobody_asked_for_are_ignored() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            await peer.ack(await peer.frame())
            await peer.ack(await peer.frame())
            await peer.until_closed()

        async with downstream(script) as port, forwarding(port, require_ack=False) as (deliveries, retried):
            sent = frame("theirs")
            deliveries.submit("a", Frame(sent.tag, sent.pieces, sent.size, None))
            deliveries.submit("b", Frame(sent.tag, sent.pieces, sent.size, None))
            await deliveries.until("a", "b")
            assert retried == []

    run(test)


def test_pauses_double_up_to_a_limit_and_vary() -> None:
    backoff = Backoff(lambda: 1.0, first_s=1, most_s=5)

    assert [backoff.pause_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.pause_s() == 1
    assert Backoff(lambda: 0.0, first_s=1, most_s=5).pause_s() == 0.5
