import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from firstseen.net import http as module
from firstseen.net.http import HttpConnection, Request, Response, refusal
from support.desk import TIMEOUT_S, connect, read, read_to_end, turns


class House:
    """Answers with what was asked for, and notes who is there."""

    headers = (("x-extra", "of the house"), ("x-house", "yes"))

    def __init__(self) -> None:
        self.here: set[HttpConnection] = set()
        self.asked: list[Request] = []
        self.body = b""
        self.patient = False

    def opened(self, connection: HttpConnection) -> None:
        self.here.add(connection)

    def closed(self, connection: HttpConnection) -> None:
        self.here.discard(connection)

    def wait(self, connection: HttpConnection) -> None:
        if self.patient:
            asyncio.get_running_loop().call_later(0.01, connection.answer)
        else:
            connection.answer()

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        return Response(200, self.body or request.path.encode(), headers=[("x-extra", "yes")])


@asynccontextmanager
async def open_house() -> AsyncIterator[tuple[House, int]]:
    house = House()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpConnection(house, loop), "127.0.0.1", 0)
    try:
        yield house, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in tuple(house.here):
            connection.abort()
        await turns()


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())


async def conversation(port: int, *sent: bytes) -> bytes:
    """All that comes until the server closes."""
    reader, writer = await connect(port)
    for data in sent:
        writer.write(data)
        await writer.drain()
        await turns(5)
    try:
        return await read_to_end(reader)
    finally:
        writer.close()


def get(path: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: localhost", *lines, "", ""]).encode()


CLOSE = "Connection: close"


def test_an_answer() -> None:
    async def test() -> None:
        async with open_house() as (house, port):
            head, _, body = (await conversation(port, get("/a?b=c", "X-One: 1", "X-ONE: 2", CLOSE))).partition(
                b"\r\n\r\n"
            )
            assert body == b"/a"
            lines = head.decode().split("\r\n")
            assert lines[0] == "HTTP/1.1 200 OK"
            assert {line.partition(":")[0] for line in lines[1:]} == {
                *("date", "content-type", "content-length", "x-extra", "x-house", "Connection"),
            }
            assert "x-extra: yes" in lines
            (request,) = house.asked
            assert (request.method, request.path) == ("GET", "/a")
            assert (request.headers["host"], request.headers["x-one"]) == ("localhost", "1, 2")

    run(test)


def test_several_on_one_connection_however_they_are_split() -> None:
    async def test() -> None:
        async with open_house() as (house, port):
            data = get("/a") + get("/b") + get("/c", CLOSE)
            pieces = [data[at : at + 7] for at in range(0, len(data), 7)]
            for sent in ([data], pieces):
                answered = await conversation(port, *sent)
                assert [answered.count(path) for path in (b"/a", b"/b", b"/c")] == [1, 1, 1]
            assert [request.path for request in house.asked] == ["/a", "/b", "/c"] * 2

    run(test)


def test_an_answer_without_its_body() -> None:
    async def test() -> None:
        async with open_house() as (_, port):
            answered = await conversation(port, get("/abc", CLOSE, method="HEAD"))
            assert answered.endswith(b"\r\n\r\n")
            assert b"content-length: 4" in answered

    run(test)


@pytest.mark.parametrize("data", [b"GET /a HTTP/1.0\r\n\r\n", get("/a", version="1.0")])
def test_an_old_client_is_answered_and_left(data: bytes) -> None:
    async def test() -> None:
        async with open_house() as (_, port):
            assert (await conversation(port, data)).endswith(b"\r\n\r\n/a")

    run(test)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "BREW"])
def test_nothing_can_be_changed(method: str) -> None:
    async def test() -> None:
        async with open_house() as (house, port):
            answered = await conversation(port, get("/a", method=method))
            assert answered.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
            assert b"allow: GET, HEAD\r\n" in answered
            assert house.asked == []

    run(test)


@pytest.mark.parametrize(
    ("method", "line", "status"),
    [
        ("POST", "Content-Length: 1000000", b"405"),
        ("POST", "Transfer-Encoding: chunked", b"405"),
        ("GET", "Content-Length: 10", b"400"),
        ("GET", "Transfer-Encoding: chunked", b"400"),
    ],
)
def test_a_body_is_not_waited_for(method: str, line: str, status: bytes) -> None:
    async def test() -> None:
        async with open_house() as (house, port):
            answered = await conversation(port, get("/a", line, method=method) + b"x" * 5)
            assert answered.startswith(b"HTTP/1.1 " + status)
            assert house.asked == []

    run(test)


def test_a_body_of_no_bytes_is_none() -> None:
    async def test() -> None:
        async with open_house() as (_, port):
            assert b" 200 OK" in await conversation(port, get("/a", "Content-Length: 00", CLOSE))

    run(test)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET /a HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET / a HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000, b"431"),
        (b"GET /" + b"a" * 20_000, b"431"),
    ],
    ids=["TLS", "no host", "two hosts", "no request", "a long head", "a long path"],
)
def test_what_is_no_request_is_said_to_be_none(data: bytes, status: bytes) -> None:
    async def test() -> None:
        async with open_house() as (house, port):
            answered = await conversation(port, data)
            assert answered.startswith(b"HTTP/1.1 " + status), answered
            assert b"connection: close" in answered.lower()
            assert house.asked == []

    run(test)


@pytest.mark.parametrize("line", [b"X\x01<b>: y", b"<b>\xff y"])
def test_what_is_no_request_is_not_repeated(line: bytes) -> None:
    async def test() -> None:
        async with open_house() as (_, port):
            answered = await conversation(port, b"GET /a HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n")
            assert answered.endswith(b"\r\n\r\nno request: illegal header line\n")

    run(test)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("REQUEST_S", b""),
        ("REQUEST_S", b"GET /a HTTP/1.1\r\nHost"),
        ("REQUEST_S", get("/a") + b"GET"),
        ("IDLE_S", get("/a")),
    ],
)
def test_who_does_not_go_on_is_left(name: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, name, 0.05)

    async def test() -> None:
        async with open_house() as (house, port):
            reader, writer = await connect(port, data)
            with contextlib.suppress(ConnectionResetError):
                await read_to_end(reader)
            writer.close()
            assert not house.here

    run(test)


def test_a_request_that_comes_byte_by_byte_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_S", 0.2)

    async def test() -> None:
        async with open_house() as (house, port):
            reader, writer = await connect(port, b"GET /a HTTP/1.1\r\n")
            async with asyncio.timeout(TIMEOUT_S):
                while not writer.transport.is_closing():
                    writer.write(b"X: 1\r\n")
                    await asyncio.sleep(0.02)
            assert house.asked == []
            del reader

    run(test)


def test_who_does_not_read_gets_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_S", 0.1)

    async def test() -> None:
        async with open_house() as (house, port):
            house.body = b"x" * (32 << 20)
            reader, writer = await connect(port, get("/a") * 100)
            while house.here or not house.asked:  # noqa: ASYNC110  # time has to pass, and nothing else
                await asyncio.sleep(0.01)
            assert len(house.asked) == 1
            writer.close()
            del reader

    run(test)


def test_a_long_answer_arrives_whole_and_the_next_one_behind_it() -> None:
    async def test() -> None:
        async with open_house() as (house, port):
            house.body = b"x" * (4 << 20)
            answered = await conversation(port, get("/a") + get("/b", CLOSE))
            assert answered.count(house.body) == 2

    run(test)


def test_whoever_asks_too_often_waits_for_his_turn() -> None:
    async def test() -> None:
        async with open_house() as (house, port):
            house.patient = True
            answered = await conversation(port, get("/a") + get("/b", CLOSE))
            assert answered.count(b" 200 OK") == 2
            assert [request.path for request in house.asked] == ["/a", "/b"]

    run(test)


def test_a_connection_that_ends_before_its_turn_is_not_answered() -> None:
    async def test() -> None:
        async with open_house() as (house, port):
            house.patient = True
            _, writer = await connect(port, get("/a"))
            await turns()
            (connection,) = house.here
            assert connection.busy
            connection.abort()
            await asyncio.sleep(0.05)
            writer.close()
            assert house.asked == []

    run(test)


def test_keeping_the_connection() -> None:
    async def test() -> None:
        async with open_house() as (house, port):
            reader, writer = await connect(port)
            for _ in range(3):
                writer.write(get("/a"))
                answer = b""
                while not answer.endswith(b"/a"):
                    answer += await read(reader, 1)
            assert len(house.here) == 1
            assert not next(iter(house.here)).busy
            writer.close()

    run(test)


def test_a_refusal_is_the_last_word() -> None:
    assert refusal(400, "no", ("a", "b")) == Response(400, b"no\n", headers=(("a", "b"),), closes=True)
