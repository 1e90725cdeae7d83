import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from firstseen.config import Http
from firstseen.errors import FirstseenError
from firstseen.net.tls import client_context, server_context
from firstseen.notation import Endpoint, Mode
from firstseen.status.service import StatusService
from support.agency import agency, now_ms
from support.authority import Authority
from support.desk import connect, read_to_end


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())


async def readyz(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[str]:
    """The codes of what is in the way."""
    writer.write(b"GET /readyz HTTP/1.0\r\nAccept: application/json\r\n\r\n")
    body = (await read_to_end(reader)).partition(b"\r\n\r\n")[2]
    writer.close()
    return [reason["code"] for reason in json.loads(body)["reasons"]]


def test_shown_from_before_the_start_until_after_the_end(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            service = StatusService(Http(listen=Endpoint("127.0.0.1:0")), parts, now_ms)
            await service.open(None)
            assert service.address is not None
            port = int(service.address.rpartition(":")[2])
            for stage, codes in (("starting", ["starting"]), ("running", []), ("stopping", ["stopping"])):
                service.enter(stage)
                assert await readyz(*await connect(port)) == [*codes, "downstream_unreachable"]
            await service.close()
            with pytest.raises(ConnectionRefusedError):
                await connect(port)

    run(test)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.0\r\n\r\n".encode()


@pytest.mark.parametrize(
    "request_",
    [
        *map(get, ("/", "/page.js", "/status", "/metrics", "/livez", "/readyz", "/nowhere")),
        b"POST / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
        b"GET / HTTP/1.1\r\n\r\n",
        b"no request\r\n\r\n",
    ],
)
def test_no_answer_can_be_kept_framed_or_taken_for_something_else(tmp_path: Path, request_: bytes) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            service = StatusService(Http(listen=Endpoint("127.0.0.1:0")), parts, now_ms)
            await service.open(None)
            assert service.address is not None
            reader, writer = await connect(int(service.address.rpartition(":")[2]), request_)
            lines = (await read_to_end(reader)).partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
            writer.close()
            await service.close()
        headers = dict(line.split(": ", 1) for line in lines)
        assert len(headers) == len(lines)
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]

    run(test)


def test_where_nothing_is_to_be_shown_nothing_is(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            service = StatusService(Http(listen=None), parts, now_ms)
            await service.open(None)
            assert service.address is None
            await service.close()

    run(test)


def test_on_a_unix_socket(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "status.sock"
        async with agency(tmp_path) as parts:
            service = StatusService(Http(listen=Endpoint(f"unix:{path}"), unix_mode=Mode("0600")), parts, now_ms)
            await service.open(None)
            assert path.stat().st_mode & 0o777 == 0o600
            assert "starting" in await readyz(*await asyncio.open_unix_connection(path))
            await service.close()

    run(test)


def test_under_tls(tmp_path: Path) -> None:
    root = Authority(tmp_path, "root")
    server, client = server_context(*root.issue("localhost")), client_context(root.file)

    async def test() -> None:
        async with agency(tmp_path) as parts:
            service = StatusService(Http(listen=Endpoint("tls://127.0.0.1:0")), parts, now_ms)
            await service.open(server)
            assert service.address is not None
            assert service.address.startswith("https://127.0.0.1:")
            port = int(service.address.rpartition(":")[2])
            tls: dict[str, Any] = {"ssl": client, "server_hostname": "localhost"}
            assert "starting" in await readyz(*await connect(port, **tls))
            await service.close()

    run(test)


def test_a_port_that_is_taken_says_what_to_do(tmp_path: Path) -> None:
    async def test() -> None:
        async with agency(tmp_path) as parts:
            taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
            port = taken.sockets[0].getsockname()[1]
            service = StatusService(Http(listen=Endpoint(f"127.0.0.1:{port}")), parts, now_ms)
            with pytest.raises(FirstseenError, match=rf"cannot listen on 127.0.0.1:{port} \(http.listen\): .*; name"):
                await service.open(None)
            await service.close()
            taken.close()

    run(test)
