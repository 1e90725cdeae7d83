import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from firstseen.net import httpserver as module
from firstseen.net.http import Request, Response
from firstseen.net.httpserver import HttpServer, Pace
from firstseen.net.tls import client_context, server_context
from support.authority import Authority
from support.desk import TIMEOUT_S, connect, read_to_end, turns

REQUEST = b"GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def echo(request: Request) -> Response:
    return Response(200, request.path.encode())


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's, and that of a client that trusts it."""
    root = Authority(folder, "root")
    return server_context(*root.issue("localhost")), client_context(root.file)


@asynccontextmanager
async def serving(
    answer: Callable[[Request], Response] = echo, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[HttpServer, int]]:
    server = HttpServer(answer)
    address = await server.listen("127.0.0.1", 0, tls)
    assert address.startswith("https://127.0.0.1:" if tls else "http://127.0.0.1:")
    try:
        yield server, int(address.rpartition(":")[2])
    finally:
        await server.close()
        await turns()


async def ask(port: int, **tls: object) -> bytes:
    reader, writer = await connect(port, REQUEST, **tls)
    try:
        return await read_to_end(reader)
    finally:
        writer.close()


def test_answers() -> None:
    async def test() -> None:
        async with serving() as (_, port):
            assert (await ask(port)).endswith(b"\r\n\r\n/here")

    run(test)


def test_on_a_unix_socket(tmp_path: Path) -> None:
    async def test() -> None:
        server, path = HttpServer(echo), tmp_path / "status.sock"
        assert await server.listen_unix(path, 0o600) == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(REQUEST)
        assert (await read_to_end(reader)).endswith(b"/here")
        writer.close()
        await server.close()
        assert not path.exists()

    run(test)


def test_under_tls_and_whoever_speaks_none_is_left(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)

    async def test() -> None:
        async with serving(tls=server) as (_, port):
            assert b" 200 " not in await ask(port)
            assert b" 200 " in await ask(port, ssl=client, server_hostname="localhost")

    run(test)


def test_a_mistake_in_an_answer_costs_that_answer(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: Request) -> Response:
        raise KeyError(request.path)

    async def test() -> None:
        async with serving(answer) as (_, port):
            for _ in range(2):
                assert (await ask(port)).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")

    run(test)
    assert [record.getMessage() for record in caplog.records] == ["http_answer_failed"] * 2


def test_whoever_opens_many_and_says_nothing_shuts_himself_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 4)
    monkeypatch.setattr(module, "MOST_VISITS_PER_S", 1_000)

    async def test() -> None:
        async with serving() as (_, port):
            silent = [await connect(port, b"GET /") for _ in range(20)]
            assert (await ask(port)).endswith(b"/here")
            ended = 0
            for reader, writer in silent:
                try:
                    async with asyncio.timeout(0.05):
                        ended += not await reader.read(1)
                except ConnectionResetError:
                    ended += 1
                except TimeoutError:
                    pass
                writer.close()
            assert ended >= 16

    run(test)


def test_connections_are_accepted_at_a_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VISITS_PER_S", 2)

    async def test() -> None:
        async with serving() as (_, port):
            began_s = asyncio.get_running_loop().time()
            await asyncio.gather(*(ask(port) for _ in range(5)))
            assert asyncio.get_running_loop().time() - began_s >= 0.9

    run(test)


def test_whoever_asks_for_much_at_once_is_not_served_before_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REQUESTS_PER_S", 4)
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.path)
        return Response(200)

    async def test() -> None:
        async with serving(answer) as (_, port):
            _, greedy = await connect(port, REQUEST.replace(b"close", b"keep-alive").replace(b"here", b"greedy") * 50)
            await turns()
            await ask(port)
            greedy.close()

    run(test)
    assert asked.index("/here") <= 5


def test_what_negotiates_for_ever_has_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 2)
    server, client = contexts(tmp_path)

    async def test() -> None:
        async with serving(tls=server) as (_, port):
            silent = [await connect(port) for _ in range(4)]
            assert b" 200 " in await ask(port, ssl=client, server_hostname="localhost")
            for _, writer in silent:
                writer.close()

    run(test)


def test_whoever_negotiates_for_ever_shuts_nobody_out_who_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 8)
    monkeypatch.setattr(module, "MOST_VISITS_PER_S", 1_000)
    server, client = contexts(tmp_path)

    async def test() -> None:
        async with serving(tls=server) as (_, port):
            others = [await connect(port) for _ in range(8)]
            reader, writer = await connect(port, ssl=client, server_hostname="localhost")
            others += [await connect(port) for _ in range(20)]
            await ask(port, ssl=client, server_hostname="localhost")  # all that came before are let in by then
            writer.write(REQUEST)
            assert b" 200 " in await read_to_end(reader)
            for _, each in (*others, (reader, writer)):
                each.close()

    run(test)


def test_who_has_negotiated_and_says_nothing_shuts_nobody_out_who_still_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 8)
    monkeypatch.setattr(module, "MOST_VISITS_PER_S", 1_000)
    server, client = contexts(tmp_path)

    async def test() -> None:
        async with serving(tls=server) as (_, port):
            others = [await connect(port, ssl=client, server_hostname="localhost") for _ in range(8)]
            with socket.create_connection(("127.0.0.1", port)) as slow:
                slow.settimeout(TIMEOUT_S)
                others += [await connect(port) for _ in range(3)]
                await turns()

                def late() -> bytes:
                    with client.wrap_socket(slow, server_hostname="localhost") as secured:
                        secured.sendall(REQUEST)
                        return secured.recv(1 << 12)

                assert b" 200 " in await asyncio.to_thread(late)
            for _, each in others:
                each.close()

    run(test)


def test_many_who_come_at_once_are_no_more_than_there_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 4)
    monkeypatch.setattr(module, "MOST_VISITS_PER_S", 1_000)
    server, _ = contexts(tmp_path)

    async def test() -> None:
        async with serving(tls=server) as (_, port):
            with contextlib.ExitStack() as stack:
                # Without a turn of the loop in between: they wait to be accepted.
                silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(20)]
                await turns(50)
                for each in silent:
                    each.setblocking(False)
                assert sum(_is_open(each) for each in silent) == 4

    run(test)


def _is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def test_closing_ends_every_connection() -> None:
    async def test() -> None:
        async with serving() as (server, port):
            reader, writer = await connect(port, b"GET / HTTP/1.1\r\n")
            await turns()
            await server.close()
            with pytest.raises(ConnectionRefusedError):
                await connect(port)
            with contextlib.suppress(ConnectionResetError):
                assert await read_to_end(reader) == b""
            writer.close()

    run(test)


def test_a_system_that_cannot_accept_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)

    class Refusing:
        """A loop that cannot accept once."""

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self._loop = loop
            self._failed = False

        def __getattr__(self, name: str) -> object:
            return getattr(self._loop, name)

        async def sock_accept(self, listening: socket.socket) -> tuple[socket.socket, object]:
            if not self._failed:
                self._failed = True
                raise OSError(24, "Too many open files")
            return await self._loop.sock_accept(listening)

    async def test() -> None:
        server = HttpServer(echo)
        server._loop = Refusing(server._loop)  # type: ignore[assignment]
        port = int((await server.listen("127.0.0.1", 0)).rpartition(":")[2])
        assert (await ask(port)).endswith(b"/here")
        await server.close()

    with caplog.at_level(logging.ERROR):
        run(test)
    assert [record.getMessage() for record in caplog.records] == ["http_accept_failed"]


def test_a_pace() -> None:
    now = [10.0]
    pace = Pace(2, lambda: now[0])
    assert [pace.wait_s(), pace.wait_s()] == [0.0, 0.0]
    assert pace.wait_s() == pytest.approx(1.0)
    now[0] = 10.75
    assert pace.wait_s() == pytest.approx(0.25)
    now[0] = 11.0
    assert [pace.wait_s(), pace.wait_s()] == [0.0, 0.0]
    assert pace.wait_s() > 0
