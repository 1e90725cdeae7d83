import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgpack

from firstseen.forward.buffers import Pool
from firstseen.net.listener import Listener, Ticket

TIMEOUT_S = 10


def message(chunk: str | None = None, text: str = "x") -> bytes:
    frame = ["app", 1, {"text": text}]
    return msgpack.packb(frame if chunk is None else [*frame, {"chunk": chunk}])


def ack(chunk: str) -> bytes:
    return msgpack.packb({"ack": chunk})


class Desk:
    """Takes the tickets; the test settles them."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.refused = 0
        self.pauses = 0
        self._news = asyncio.Event()

    def take(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)
        self._news.set()

    def refuse(self) -> None:
        self.refused += 1

    def paused(self) -> None:
        self.pauses += 1

    async def has(self, count: int) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.tickets) < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def listening(max_in_flight: int = 1 << 20) -> AsyncIterator[tuple[Listener, Desk, int]]:
    desk = Desk()
    listener = Listener(
        pool=Pool(),
        max_frame=1 << 20,
        max_in_flight=max_in_flight,
        handle=desk.take,
        refuse=desk.refuse,
        paused=desk.paused,
    )
    address = await listener.listen("127.0.0.1", 0)
    try:
        yield listener, desk, int(address.rpartition(":")[2])
    finally:
        await listener.drain(0)


async def connect(port: int, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    return reader, writer


async def read(reader: asyncio.StreamReader, size: int) -> bytes:
    async with asyncio.timeout(TIMEOUT_S):
        return await reader.readexactly(size)


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(TIMEOUT_S):
        return await reader.read()


async def turns(count: int = 50) -> None:
    """Let the loop turn: what could happen without further input has then happened."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())


def test_a_chunk_is_acked_when_it_is_settled_and_not_before() -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            reader, writer = await connect(port, message("one"))
            await desk.has(1)
            assert desk.tickets[0].chunk.tag == "app"
            await turns()
            assert not reader._buffer  # type: ignore[attr-defined]
            desk.tickets[0].settle(safe=True)
            assert await read(reader, len(ack("one"))) == ack("one")
            writer.close()

    run(test)


def test_acks_leave_in_the_order_of_the_chunks() -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            reader, writer = await connect(port, message("a") + message() + message("b"))
            await desk.has(3)
            for ticket in reversed(desk.tickets):
                ticket.settle(safe=True)
            expected = ack("a") + ack("b")
            assert await read(reader, len(expected)) == expected
            writer.close()

    run(test)


def test_a_chunk_that_is_not_safe_costs_its_sender_the_connection_and_no_later_chunk_is_acked() -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            reader, writer = await connect(port, message("a") + message("b") + message("c"))
            await desk.has(3)
            first, second, third = desk.tickets
            third.settle(safe=True)
            first.settle(safe=True)
            second.settle(safe=False)
            assert await read_to_end(reader) == ack("a")
            writer.close()

    run(test)


def test_chunks_before_garbage_are_acked_before_the_connection_closes() -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            reader, writer = await connect(port, message("a") + b"\xc1" + message("b"))
            await desk.has(1)
            await turns()
            assert desk.refused == 1
            desk.tickets[0].settle(safe=True)
            assert await read_to_end(reader) == ack("a")
            assert len(desk.tickets) == 1
            writer.close()

    run(test)


def test_a_half_closed_connection_still_gets_its_acks() -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            reader, writer = await connect(port, message("a"))
            writer.write_eof()
            await desk.has(1)
            await turns()
            desk.tickets[0].settle(safe=True)
            assert await read_to_end(reader) == ack("a")
            writer.close()

    run(test)


def test_a_chunk_whose_sender_is_gone_can_be_settled() -> None:
    async def test() -> None:
        async with listening() as (listener, desk, port):
            _, writer = await connect(port, message("a"))
            await desk.has(1)
            writer.transport.abort()
            await turns()
            desk.tickets[0].settle(safe=True)
            assert await listener.drain(1)

    run(test)


def test_reading_stops_when_too_much_is_on_its_way_and_goes_on_when_it_is_not() -> None:
    async def test() -> None:
        one = message("c", "x" * 10_000)
        async with listening(max_in_flight=5 * len(one)) as (_, desk, port):
            _, first = await connect(port)
            _, second = await connect(port)
            for _ in range(20):
                for writer in (first, second):
                    writer.write(one)
                    await turns()
            held = len(desk.tickets)
            assert held < 20
            for ticket in desk.tickets:
                ticket.settle(safe=True)
            while len(desk.tickets) < 40:
                count = len(desk.tickets)
                for ticket in desk.tickets[held:]:
                    ticket.settle(safe=True)
                held = count
                await desk.has(min(count + 1, 40))
            assert desk.pauses > 0
            first.close()
            second.close()

    run(test)


def test_draining_waits_for_what_came_and_takes_nothing_more() -> None:
    async def test() -> None:
        async with listening() as (listener, desk, port):
            reader, writer = await connect(port, message("a"))
            await desk.has(1)
            draining = asyncio.create_task(listener.drain(TIMEOUT_S))
            await turns()
            writer.write(message("b"))
            await turns()
            assert not draining.done()
            desk.tickets[0].settle(safe=True)
            assert await draining
            assert await read_to_end(reader) == ack("a")
            assert len(desk.tickets) == 1
            writer.close()

    run(test)


def test_draining_gives_up_at_its_deadline() -> None:
    async def test() -> None:
        async with listening() as (listener, desk, port):
            _, writer = await connect(port, message("a"))
            await desk.has(1)
            assert not await listener.drain(0.01)
            writer.close()

    run(test)


def test_a_ticket_is_settled_once() -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            _, writer = await connect(port, message("a"))
            await desk.has(1)
            desk.tickets[0].settle(safe=True)
            try:
                desk.tickets[0].settle(safe=True)
            except AssertionError:
                pass
            else:
                raise AssertionError("settled twice")
            writer.close()

    run(test)


def test_a_flood_of_small_chunks_does_not_keep_others_waiting() -> None:
    async def test() -> None:
        async with listening(max_in_flight=1 << 24) as (_, desk, port):
            flood = message("f") * 5_000
            reader, writer = await connect(port, flood)
            await desk.has(1)
            first = len(desk.tickets)
            assert first < 5_000
            _, other = await connect(port, message("other"))
            await desk.has(5_001)
            for ticket in desk.tickets:
                ticket.settle(safe=True)
            await read(reader, 5_000 * len(ack("f")))
            writer.close()
            other.close()

    run(test)
