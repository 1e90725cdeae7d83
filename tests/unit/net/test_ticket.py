"""A chunk on its way."""

import tracemalloc

import msgpack
import pytest

from firstseen.forward.buffers import Pool
from support.desk import ack, connect, listening, message, read, run, turns


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


def test_a_ticket_that_is_made_light_weighs_next_to_nothing() -> None:
    async def test() -> None:
        one = message("c", "x" * 10_000)
        async with listening(max_in_flight=3 * len(one)) as (_, desk, port):
            reader, writer = await connect(port)
            for number in range(10):
                writer.write(one)
                await desk.has(number + 1)
                desk.tickets[number].lighten()
            assert desk.pauses == 0
            for ticket in desk.tickets:
                ticket.settle(safe=True)
            await read(reader, 10 * len(ack("c")))
            writer.close()

    run(test)


def test_the_memory_of_a_ticket_that_is_made_light_is_free() -> None:
    async def test() -> None:
        async with listening(pool=Pool(spare_bytes=0)) as (_, desk, port):
            _, writer = await connect(port)
            tracemalloc.start()
            try:
                for number in range(20):
                    writer.write(message("c", "x" * 200_000))
                    await desk.has(number + 1)
                    desk.tickets[number].lighten()
                taken, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert taken < 1 << 20
            assert {ticket.chunk.tag for ticket in desk.tickets} == {"app"}
            writer.close()

    run(test)


def test_what_was_inflated_counts_as_on_its_way() -> None:
    async def test() -> None:
        async with listening(max_in_flight=100_000) as (listener, desk, port):
            _, writer = await connect(port, message("c"))
            await desk.has(1)
            desk.tickets[0].weighs(100_000)
            assert (listener.paused, desk.pauses) == (True, 1)
            desk.tickets[0].settle(safe=True)
            assert not listener.paused
            writer.close()

    run(test)


@pytest.mark.parametrize("light", [False, True])
def test_what_a_tag_and_an_id_take_beside_the_frame_counts(light: bool) -> None:
    async def test() -> None:
        async with listening(1 << 24, pool=Pool(spare_bytes=0)) as (listener, desk, port):
            _, writer = await connect(port)
            tracemalloc.start()
            try:
                for number in range(10):
                    tag = f"\N{GRINNING FACE}{number}".ljust(50_000, "x")
                    writer.write(msgpack.packb([tag, 1, {}, {"chunk": "c" * 60_000}]))
                    await desk.has(number + 1)
                    if light:
                        desk.tickets[number].lighten()
                taken, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert listener.in_flight == sum(ticket.cost for ticket in desk.tickets)
            assert taken < listener.in_flight + (1 << 19), "what connections take by themselves"
            writer.close()

    run(test)
