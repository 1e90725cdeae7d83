import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import msgpack
import pytest

from firstseen.forward.buffers import Pool
from firstseen.forward.handshake import ClientHandshake, ClientKeys, ServerHandshake, ServerKeys
from firstseen.forward.server import MOST_FOUND
from firstseen.net.connection import Connection
from firstseen.net.listener import SHARE, Listener
from firstseen.net.tls import client_context, server_context
from support.authority import Authority
from support.desk import TIMEOUT_S, Desk, ack, connect, listening, message, read, read_to_end, run, turns


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
            assert (desk.refused, desk.unreadable) == (1, 1)
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


def test_half_a_frame_and_then_nothing_costs_the_connection() -> None:
    async def test() -> None:
        async with listening(frame_timeout_s=0.05) as (_, desk, port):
            reader, writer = await connect(port, message("a") + message("b")[:-1])
            await desk.has(1)
            desk.tickets[0].settle(safe=True)
            assert await read_to_end(reader) == ack("a")
            assert (desk.refused, len(desk.tickets)) == (1, 1)
            writer.close()

    run(test)


def test_a_frame_that_comes_slowly_is_waited_for() -> None:
    async def test() -> None:
        async with listening(frame_timeout_s=0.2) as (_, desk, port):
            _, writer = await connect(port)
            for byte in message("a"):
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.015)
            await desk.has(1)
            assert desk.refused == 0
            writer.close()

    run(test)


def test_a_frame_that_comes_slowly_may_not_keep_others_waiting_for_memory() -> None:
    async def test() -> None:
        async with listening(pool=Pool(limit=1 << 18), frame_timeout_s=0.3) as (_, desk, port):
            slow = message("slow", "x" * 900_000)
            _, dribble = await connect(port, slow[:300_000])
            await asyncio.sleep(0.1)  # there is no event for a half frame
            _, writer = await connect(port, message("waits", "y" * 150_000))
            for byte in slow[300_000:300_200]:
                dribble.write(bytes((byte,)))
                await asyncio.sleep(0.01)
                if desk.tickets:
                    break
            else:
                pytest.fail("who waits for memory waits as long as somebody sends a byte now and then")
            assert desk.tickets[0].chunk.options.chunk == msgpack.packb("waits")
            assert desk.refused == 1
            writer.close()
            dribble.close()

    run(test)


MANY_ACKS = [f"{number:060000}" for number in range(100)]
"""Ids whose acks are more than what the kernel holds of them."""


async def deaf_to_many_acks(desk: Desk, port: int, ids: Sequence[str] = MANY_ACKS) -> socket.socket:
    """A client that has read nothing of the acks of these, which all are owed to it."""
    before = len(desk.tickets)
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, b"".join(map(message, ids)))
    await desk.has(before + len(ids))
    for ticket in desk.tickets[before:]:
        ticket.settle(safe=True)
    return client


def test_who_does_not_read_its_acks_is_given_up() -> None:
    async def test() -> None:
        async with listening(1 << 26, frame_timeout_s=0.3) as (listener, desk, port):
            client = await deaf_to_many_acks(desk, port)
            await desk.has_refused(1)
            await listener.drain(1)
            assert listener.in_flight == 0
            client.close()

    run(test)


def test_acks_that_nobody_reads_take_no_more_than_their_share_of_memory() -> None:
    """Who lets most of them lie is given up, before its time: clients could come again and again meanwhile."""

    async def test() -> None:
        async with listening(1 << 25, frame_timeout_s=TIMEOUT_S) as (listener, desk, port):
            reader, writer = await connect(port)
            deaf = []
            for _ in range(6):
                deaf.append(await deaf_to_many_acks(desk, port))
                assert sum(listener._owed.values()) <= (1 << 25) // SHARE
                count = len(desk.tickets)
                writer.write(message("read"))
                await desk.has(count + 1)
                desk.tickets[-1].settle(safe=True)
                assert await read(reader, len(ack("read"))) == ack("read")
            assert 2 <= desk.refused < 6
            assert listener.clients.connections == 1 + 6 - desk.refused
            for client in deaf:
                client.close()
            writer.close()

    run(test)


def test_who_has_read_since_is_not_the_one_to_go() -> None:
    async def test() -> None:
        async with listening(1 << 25, frame_timeout_s=TIMEOUT_S) as (listener, desk, port):
            loop = asyncio.get_running_loop()
            slow = await deaf_to_many_acks(desk, port, MANY_ACKS + MANY_ACKS[:50])
            (connection,) = listener._owed
            assert connection.unread == listener._owed[connection]
            while connection.unread > 1_500_000:  # more than what it is called a reader for
                await loop.sock_recv(slow, 1 << 14)
            other = await deaf_to_many_acks(desk, port)
            await turns()
            assert (desk.refused, listener._owed[connection]) == (0, connection.unread)
            slow.close()
            other.close()

    run(test)


def test_what_many_leave_unread_counts_where_each_leaves_little() -> None:
    """Less than what a transport holds before it says so."""

    async def test() -> None:
        async with listening(1 << 20, frame_timeout_s=TIMEOUT_S) as (listener, desk, port):
            clients = []
            for _ in range(40):
                client = await deaf_to_many_acks(desk, port, ())
                clients.append(client)
                for number in range(200):
                    count = len(desk.tickets)
                    await asyncio.get_running_loop().sock_sendall(client, message(f"{number:030000}"))
                    await desk.has(count + 1)
                    desk.tickets[-1].settle(safe=True)
                    if desk.tickets[-1]._connection.unread or desk.refused:  # type: ignore[attr-defined]
                        break
            assert sum(each.unread for each in listener._connections) <= (1 << 20) // SHARE
            assert desk.refused > 0
            for client in clients:
                client.close()

    run(test)


def test_nothing_is_owed_to_who_reads_or_is_gone() -> None:
    async def test() -> None:
        async with listening(1 << 25, frame_timeout_s=TIMEOUT_S) as (listener, desk, port):
            loop = asyncio.get_running_loop()
            reads, goes = [await deaf_to_many_acks(desk, port, MANY_ACKS[:count]) for count in (70, 75)]
            assert len(listener._owed) == 2
            goes.close()
            async with asyncio.timeout(TIMEOUT_S):
                while len(listener._owed) > 1:
                    await turns()
                while listener._owed:
                    await loop.sock_recv(reads, 1 << 16)
            assert listener._owed_in_all == 0
            reads.close()

    run(test)


def test_who_leaves_most_unread_is_the_one_to_go() -> None:
    async def test() -> None:
        async with listening(1 << 25, frame_timeout_s=TIMEOUT_S) as (listener, desk, port):
            clients = [await deaf_to_many_acks(desk, port, MANY_ACKS[:count]) for count in (75, 90, 80)]
            less, most, more = listener._owed
            assert less.unread < more.unread < most.unread
            listener.max_in_flight = SHARE * (less.unread + more.unread)
            listener.owes(less, less.unread)
            assert (desk.refused, set(listener._owed)) == (1, {less, more})
            for client in clients:
                client.close()

    run(test)


def test_nothing_is_written_to_a_connection_that_is_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its own end of it is told in the next turn of the loop, which logs for each ack that it is closed, not whose."""
    root = Authority(tmp_path, "root")

    async def test() -> None:
        async with listening(tls=server_context(*root.issue("localhost"))) as (_, desk, port):
            _, writer = await connect(port, ssl=client_context(root.file), server_hostname="localhost")
            writer.write(b"".join(message(f"{number}") for number in range(20)))
            await desk.has(20)
            desk.tickets[0]._connection.abort()  # type: ignore[attr-defined]
            for ticket in desk.tickets:
                ticket.settle(safe=True)
            writer.close()
        assert not caplog.records

    run(test)


def test_who_reads_its_acks_late_is_waited_for() -> None:
    async def test() -> None:
        async with listening(1 << 26, frame_timeout_s=0.5) as (_, desk, port):
            client = await deaf_to_many_acks(desk, port)
            expected = sum(len(ack(each)) for each in MANY_ACKS)
            got = 0
            for part in (expected // 3, 2 * expected // 3, expected):
                await asyncio.sleep(0.3)
                while got < part:
                    got += len(await asyncio.get_running_loop().sock_recv(client, 1 << 20))
            assert (got, desk.refused) == (expected, 0)
            await asyncio.sleep(0.7)
            assert desk.refused == 0
            client.close()

    run(test)


def test_who_reads_its_acks_slowly_is_waited_for() -> None:
    """The kernel takes the next of ours only when a good part of what it holds is gone."""

    async def test() -> None:
        async with listening(1 << 26, frame_timeout_s=0.5) as (_, desk, port):
            client = await deaf_to_many_acks(desk, port)
            for _ in range(40):
                await asyncio.get_running_loop().sock_recv(client, 1 << 13)
                await asyncio.sleep(0.05)
            assert desk.refused == 0
            client.close()

    run(test)


@pytest.mark.parametrize("stands", ["pause_writing", "finish"])
def test_who_does_not_go_on_keeps_nobody_waiting_for_memory(monkeypatch: pytest.MonkeyPatch, stands: str) -> None:
    connections: list[Connection] = []
    opened = Listener.opened

    def noted(listener: Listener, connection: Connection) -> None:
        connections.append(connection)
        opened(listener, connection)

    monkeypatch.setattr(Listener, "opened", noted)

    async def test() -> None:
        async with listening(1 << 26, pool=Pool(limit=1 << 17), frame_timeout_s=60) as (listener, desk, port):
            large = message("large", "x" * 900_000)
            _, first = await connect(port, message("a") + large[:400_000])
            await desk.has(1)
            await asyncio.sleep(0.1)  # there is no event for a half frame
            assert listener.is_short
            _, waiting = await connect(port, message("waits", "y" * 150_000))
            await asyncio.sleep(0.1)
            assert len(desk.tickets) == 1, "somebody else is before it"
            getattr(connections[0], stands)()
            await desk.has(2)
            assert desk.tickets[1].chunk.options.chunk == msgpack.packb("waits")
            for each in (first, waiting):
                each.transport.abort()

    run(test)


def test_a_handshake_is_not_drawn_out_byte_by_byte() -> None:
    async def test() -> None:
        keys = ServerKeys(b"key", "server.example")
        async with listening(handshake=lambda: ServerHandshake(keys, os.urandom), frame_timeout_s=0.2) as (
            _,
            desk,
            port,
        ):
            reader, writer = await connect(port)
            for byte in b"\x96\xa4PING" + b"\xd9\xff" + b"x" * 200:
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.01)
                if desk.refused:
                    break
            else:
                pytest.fail("a handshake lasts as long as somebody sends a byte now and then")
            assert (await read_to_end(reader)).startswith(b"\x92\xa4HELO")
            writer.close()

    run(test)


def test_half_a_frame_that_we_do_not_read_on_ourselves_is_not_the_peers_fault() -> None:
    async def test() -> None:
        one = message("c", "x" * 10_000)
        async with listening(max_in_flight=len(one), frame_timeout_s=0.05) as (_, desk, port):
            _, writer = await connect(port, one + one[:-1])
            await desk.has(1)
            await asyncio.sleep(0.2)
            assert desk.refused == 0
            desk.tickets[0].settle(safe=True)
            await turns()
            writer.write(one[-1:])
            await desk.has(2)
            writer.close()

    run(test)


def test_idle_connections_are_closed_only_if_that_is_wanted() -> None:
    async def test() -> None:
        async with listening(frame_timeout_s=0.01) as (_, _, port):
            kept, kept_writer = await connect(port)
            async with listening(idle_timeout_s=0.05) as (_, desk, limited):
                reader, writer = await connect(limited, message("a"))
                await desk.has(1)
                await asyncio.sleep(0.15)
                assert not reader.at_eof(), "an ack is owed"
                desk.tickets[0].settle(safe=True)
                assert await read_to_end(reader) == ack("a")
                assert desk.refused == 0
                writer.close()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(kept.read(1), 0.05)
            kept_writer.close()

    run(test)


def test_half_a_frame_is_not_given_the_time_of_an_idle_connection() -> None:
    async def test() -> None:
        async with listening(idle_timeout_s=600, frame_timeout_s=0.05) as (_, desk, port):
            reader, writer = await connect(port, message("a"))
            await desk.has(1)
            desk.tickets[0].settle(safe=True)
            assert await read(reader, len(ack("a"))) == ack("a")
            writer.write(message("b")[:-1])
            assert await read_to_end(reader) == b""
            assert desk.refused == 1
            writer.close()

    run(test)


def test_who_waits_for_no_ack_and_ends_its_connection_takes_up_none() -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            reader, writer = await connect(port, message())
            await desk.has(1)
            writer.write_eof()
            assert await read_to_end(reader) == b""
            desk.tickets[0].settle(safe=True)
            writer.close()

    run(test)


def test_a_client_that_is_let_in_and_sends_nothing_holds_no_memory() -> None:
    keys = ServerKeys(b"key", "server")

    async def test() -> None:
        pool = Pool()
        async with listening(pool=pool, handshake=lambda: ServerHandshake(keys, bytes)) as (_, desk, port):
            reader, writer = await connect(port)
            client = ClientHandshake(ClientKeys(b"key", "client"), bytes)
            while not client.done:
                writer.write(client.feed(await reader.read(1 << 12)))
            await turns()
            assert pool.lent == 0
            writer.write(message("c"))
            await desk.has(1)
            assert pool.lent > 0
            desk.tickets[0].settle(safe=True)
            writer.close()

    run(test)


def test_what_comes_in_one_piece_with_the_end_of_a_tls_connection_is_taken(tmp_path: Path) -> None:
    root = Authority(tmp_path, "root")
    server, client = server_context(*root.issue("localhost")), client_context(root.file)

    async def test() -> None:
        async with listening(tls=server) as (_, desk, port):
            _, writer = await connect(port, message() * (3 * MOST_FOUND), ssl=client, server_hostname="localhost")
            writer.close()
            await desk.has(3 * MOST_FOUND)

    run(test)


def test_large_frames_that_come_at_once_are_received_one_after_the_other() -> None:
    async def test() -> None:
        one = message("c", "x" * 900_000)
        pool = Pool(limit=1 << 21)
        async with listening(1 << 26, pool=pool) as (_, desk, port):
            peers = [await connect(port) for _ in range(20)]
            for _, writer in peers:
                writer.write(one[:-1])
            most = 0
            for _ in range(300):
                await asyncio.sleep(0.001)
                most = max(most, pool.lent)
            assert most <= (1 << 21) + (1 << 20) + (1 << 19) + 20 * (1 << 16), "what one frame takes beyond the limit"
            for _, writer in peers:
                writer.write(one[-1:])
            settled = 0
            while settled < 20:
                await desk.has(settled + 1)
                desk.tickets[settled].settle(safe=True)
                settled += 1
            for reader, writer in peers:
                assert await read(reader, len(ack("c"))) == ack("c")
                writer.close()

    run(test)
