import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from firstseen.net.tls import client_context, server_context
from support.authority import Authority
from support.desk import TIMEOUT_S, ack, connect, listening, message, read, read_to_end, run, turns


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


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_both_versions(tmp_path: Path, version: ssl.TLSVersion) -> None:
    root = Authority(tmp_path, "root")
    pem = root.issue("localhost")
    client = client_context(root.file)
    client.minimum_version = client.maximum_version = version

    async def test() -> None:
        async with listening(tls=server_context(*pem)) as (_, desk, port):
            many = [message(str(number), "x" * 20_000) for number in range(20)]
            reader, writer = await connect(port, b"".join(many), ssl=client, server_hostname="localhost")
            await desk.has(20)
            assert all(ticket.peer.secure for ticket in desk.tickets)
            for ticket in desk.tickets:
                ticket.settle(safe=True)
            expected = b"".join(ack(str(number)) for number in range(20))
            assert await read(reader, len(expected)) == expected
            writer.close()

    run(test)


async def is_shut_out(port: int, client: ssl.SSLContext) -> bool:
    """Whether a connection ends without an ack, be it with an alert of TLS or with a reset."""
    try:
        reader, _ = await connect(port, message("a"), ssl=client, server_hostname="localhost")
        return not await read_to_end(reader)
    except OSError:
        return True


def test_a_client_without_the_certificate_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    root, other = Authority(tmp_path, "root"), Authority(tmp_path, "other")
    server = server_context(*root.issue("localhost"), root.file)
    bare = client_context(root.file)
    wrong = client_context(root.file, *other.issue("other.example.com"))
    right = client_context(root.file, *root.issue("client.example.com"))

    async def test() -> None:
        async with listening(tls=server) as (_, desk, port):
            for refused, client in enumerate((bare, wrong), 1):
                assert await is_shut_out(port, client)
                assert desk.refused == refused
            reader, writer = await connect(port, message("a"), ssl=right, server_hostname="localhost")
            await desk.has(1)
            desk.tickets[0].settle(safe=True)
            assert await read(reader, len(ack("a"))) == ack("a")
            writer.close()

    run(test)


def test_who_speaks_no_tls_where_it_is_asked_for_is_refused_and_who_says_nothing_is_not(tmp_path: Path) -> None:
    server = server_context(*Authority(tmp_path, "root").issue("localhost"))

    async def test() -> None:
        async with listening(tls=server, frame_timeout_s=0.1) as (_, desk, port):
            _, writer = await connect(port)
            writer.close()
            await writer.wait_closed()
            await turns()
            assert desk.refused == 0
            reader, writer = await connect(port, message("a"))
            await read_to_end(reader)
            writer.close()
            assert desk.refused == 1
            reader, writer = await connect(port)
            await read_to_end(reader)
            writer.close()
            assert (desk.refused, desk.unreadable) == (2, 0)

    run(test)


def test_half_of_tls_is_dropped_when_the_listener_stops(tmp_path: Path) -> None:
    server = server_context(*Authority(tmp_path, "root").issue("localhost"))

    async def test() -> None:
        async with listening(tls=server) as (listener, _, port):
            reader, writer = await connect(port)
            await turns()
            assert await listener.drain(TIMEOUT_S)
            assert await read_to_end(reader) == b""
            writer.close()

    run(test)


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "forward.sock"

    async def test() -> None:
        async with listening() as (listener, desk, _):
            assert await listener.listen_unix(path, 0o600) == f"unix:{path}"
            assert path.stat().st_mode & 0o777 == 0o600
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(message("a"))
            await desk.has(1)
            (ticket,) = desk.tickets
            assert ticket.peer.origin == f"unix:{path}"
            assert "pid" in str(ticket.peer)
            ticket.settle(safe=True)
            assert await read(reader, len(ack("a"))) == ack("a")
            writer.close()
            assert await listener.drain(TIMEOUT_S)
            assert not path.exists()

    run(test)


@pytest.mark.parametrize("size", [1, 128])
def test_heartbeats_are_answered_on_the_same_port_if_that_is_wanted(size: int) -> None:
    async def test() -> None:
        async with listening(heartbeat=True) as (_, _, port):
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.setblocking(False)
                probe.connect(("127.0.0.1", port))
                await loop.sock_sendall(probe, bytes(129))
                await loop.sock_sendall(probe, bytes(size))
                async with asyncio.timeout(TIMEOUT_S):
                    assert await loop.sock_recv(probe, 100) == b"\x00"
                with pytest.raises(BlockingIOError):
                    probe.recv(100)

    run(test)


def test_heartbeats_are_answered_on_every_address_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        both = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
        async with listening() as (listener, _, _):
            with monkeypatch.context() as patch:
                found = [(family, socket.SOCK_STREAM, 6, "", (host, 0)) for host, family in both.items()]
                patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
                address = await listener.listen("both.example", 0, heartbeat=True)
            loop = asyncio.get_running_loop()
            for host, family in both.items():
                with socket.socket(family, socket.SOCK_DGRAM) as probe:
                    probe.setblocking(False)
                    probe.connect((host, int(address.rpartition(":")[2])))
                    await loop.sock_sendall(probe, b"\x00")
                    async with asyncio.timeout(TIMEOUT_S):
                        assert await loop.sock_recv(probe, 100) == b"\x00"

    asyncio.run(test())  # uvloop resolves names itself


def test_a_silent_connection_is_neither_refused_nor_counted() -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            for _ in range(3):
                _, writer = await connect(port)
                writer.close()
                await writer.wait_closed()
            await turns()
            assert (desk.refused, desk.tickets) == (0, [])

    run(test)
