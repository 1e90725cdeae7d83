"""The end of a connection to a server that acks nothing, or what nobody asked it to ack."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from firstseen.net import downstream as module
from firstseen.net.downstream import Downstream, connect
from firstseen.net.tls import client_context, server_context
from support.authority import Authority
from support.deliveries import target
from support.loopback import TIMEOUT_S, Conversation, Settled, downstream, parcel

COUNT = 24


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())


async def gone(connection: Downstream) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        await connection.gone


@pytest.mark.parametrize("secure", [False, True])
def test_a_server_that_acks_unasked_reads_all_that_it_was_sent(tmp_path: Path, secure: bool) -> None:
    root = Authority(tmp_path, "root")
    server = server_context(*root.issue("localhost")) if secure else None
    tls = {"tls": client_context(root.file), "server_name": "localhost"} if secure else {}

    async def test() -> None:
        left = asyncio.Event()
        got: asyncio.Queue[str] = asyncio.Queue()

        async def script(peer: Conversation, _: int) -> None:
            await left.wait()
            while True:
                frame = await peer.frame()
                got.put_nowait(frame[-1]["chunk"])
                with contextlib.suppress(ConnectionResetError):  # asyncio's own, where TLS has had the other's goodbye
                    await peer.ack(frame)

        settled = Settled()
        async with downstream(script, tls=server) as port:
            connection = await connect(target(port, require_ack=False, **tls), settled)
            sent = [parcel(str(number), 1 << 16) for number in range(COUNT)]
            for each in sent:
                connection.send(each, each.frame)
            await settled.are(*sent)
            connection.finish()
            connection.finish()
            assert await connection.lost == "closed for a new one"
            left.set()
            await gone(connection)
            async with asyncio.timeout(TIMEOUT_S):
                assert [await got.get() for _ in range(COUNT)] == [str(number) for number in range(COUNT)]

    run(test)


def test_a_server_that_shows_no_sign_of_life_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)

    async def test() -> None:
        over = asyncio.Event()
        settled = Settled()
        async with downstream(lambda *_: over.wait()) as port:
            connection = await connect(target(port, require_ack=False), settled)
            sent = parcel("one")
            connection.send(sent, sent.frame)
            await settled.are(sent)
            connection.finish()
            await gone(connection)
            over.set()

    run(test)


def test_a_server_that_reads_or_answers_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    patience_s = 0.25
    monkeypatch.setattr(module, "PATIENCE_S", patience_s)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
            listening.setblocking(False)
            settled = Settled()
            endpoint = target(listening.getsockname()[1], require_ack=False, ack_timeout_s=patience_s)
            connection = await connect(endpoint, settled)
            accepted, _ = await loop.sock_accept(listening)
            size = 0
            while not len(connection):  # until the kernels hold all that they may, and the rest is here
                sent = parcel("one", 1 << 16)
                connection.send(sent, sent.frame)
                size += sent.frame.size
            connection.finish()
            began_s = loop.time()
            with accepted:
                while loop.time() - began_s < 5 * patience_s:
                    size -= len(await loop.sock_recv(accepted, 1 << 15))
                    await loop.sock_sendall(accepted, b"\x81\xa3ack\xa3one")
                    await asyncio.sleep(patience_s / 5)
                while data := await loop.sock_recv(accepted, 1 << 16):
                    size -= len(data)
            await gone(connection)
            assert size == 0

    run(test)


def test_a_connection_that_was_not_used_is_closed_at_once() -> None:
    async def test() -> None:
        over = asyncio.Event()
        async with downstream(lambda *_: over.wait()) as port:
            connection = await connect(target(port, require_ack=False), Settled())
            connection.finish()
            await gone(connection)
            over.set()

    run(test)


@pytest.mark.parametrize("used", [False, True])
def test_an_idle_connection_under_tls_is_left_at_once(tmp_path: Path, used: bool) -> None:
    """Also where its server never says goodbye: the lane goes on with another one."""
    root = Authority(tmp_path, "root")
    server = server_context(*root.issue("localhost"))

    async def test() -> None:
        over = asyncio.Event()
        settled = Settled()
        async with downstream(lambda *_: over.wait(), tls=server) as port:
            endpoint = target(port, require_ack=False, tls=client_context(root.file), server_name="localhost")
            connection = await connect(endpoint, settled)
            if used:
                sent = parcel("one")
                connection.send(sent, sent.frame)
                await settled.are(sent)
            connection.finish("left")
            async with asyncio.timeout(TIMEOUT_S):
                assert await connection.lost == "left"
            late = parcel("late")
            connection.send(late, late.frame)
            assert connection.take_unsettled() == [late]
            if not used:
                await gone(connection)
            over.set()

    run(test)
