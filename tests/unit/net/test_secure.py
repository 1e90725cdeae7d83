import asyncio
import contextlib
import logging
import os
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firstseen.net import secure as module
from firstseen.net.tls import client_context, server_context
from support.authority import Authority
from support.desk import TIMEOUT_S, Desk, ack, connect, listening, message, read, read_to_end, run, turns
from support.logged import events


class Contexts:
    """TLS for both ends, and for a client whose certificate is from elsewhere."""

    def __init__(self, folder: Path) -> None:
        root, other = Authority(folder, "root"), Authority(folder, "other")
        self.server = server_context(*root.issue("localhost"))
        self.asking = server_context(*root.issue("two.example.com"), root.file)
        self.client = client_context(root.file)
        self.stranger = client_context(root.file, *other.issue("other.example.com"))
        self.stranger.check_hostname = False


@pytest.fixture
def tls(tmp_path: Path) -> Contexts:
    return Contexts(tmp_path)


@pytest.fixture
def refusals(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.DEBUG):
        yield lambda: [told["reason"] for told in events(caplog, "connection_refused")]


async def until_refused(desk: Desk, count: int) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while desk.refused < count:  # noqa: ASYNC110  # whatever the loop does until then, it does in its turns
            await asyncio.sleep(0)


def test_who_agrees_on_tls_is_a_client_like_any_other(tls: Contexts) -> None:
    async def test() -> None:
        async with listening(tls=tls.server) as (listener, desk, port):
            reader, writer = await connect(port, message("a"), ssl=tls.client, server_hostname="localhost")
            await desk.has(1)
            (ticket,) = desk.tickets
            assert str(ticket.peer) == "127.0.0.1:{1}".format(*writer.get_extra_info("sockname"))
            assert ticket.peer.secure
            ticket.settle(safe=True)
            assert await read(reader, len(ack("a"))) == ack("a")
            writer.close()
            assert await listener.drain(TIMEOUT_S)
            with pytest.raises(ConnectionRefusedError):
                await connect(port)

    run(test)


def test_whoever_fails_is_named_with_the_reason(tls: Contexts, refusals: Callable[[], list[str]]) -> None:
    async def test() -> None:
        async with listening(tls=tls.asking) as (_, desk, port):
            reader, writer = await connect(port, b"\x93\xa3app" + bytes(100))
            await read_to_end(reader)
            writer.close()
            await until_refused(desk, 1)
            reader, writer = await connect(port, ssl=tls.stranger)
            with contextlib.suppress(ssl.SSLError):  # or just the end, whichever is read first
                assert await read_to_end(reader) == b""
            writer.close()
            await until_refused(desk, 2)

    run(test)
    assert refusals() == ["no TLS: wrong version number", "no TLS: certificate verify failed"]


def test_whoever_does_not_go_on_is_given_up(tls: Contexts, refusals: Callable[[], list[str]]) -> None:
    async def test() -> None:
        async with listening(tls=tls.server, frame_timeout_s=0.05) as (_, desk, port):
            reader, writer = await connect(port, b"\x16\x03\x01")
            assert await read_to_end(reader) == b""
            writer.close()
            await until_refused(desk, 1)

    run(test)
    assert refusals() == ["no TLS within 0.05s (input.frame_timeout)"]


def test_whoever_only_looks_if_the_port_is_open_is_not_refused(
    tls: Contexts, refusals: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with listening(tls=tls.server) as (_, desk, port):
            _, writer = await connect(port)
            writer.close()
            await writer.wait_closed()
            async with asyncio.timeout(TIMEOUT_S):
                while not events(caplog, "connection_lost"):  # noqa: ASYNC110  # as above
                    await asyncio.sleep(0)
            assert desk.refused == 0

    run(test)
    assert refusals() == []
    assert [told["level"] for told in events(caplog)] == ["debug"]


@contextmanager
def no_more_files() -> Iterator[None]:
    """The system opens no file for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    null = os.open(os.devnull, os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (null + 1, hard))
    filled = [null]
    try:
        with pytest.raises(OSError, match="Too many open files"):
            filled += iter(lambda: os.dup(null), None)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in filled:
            os.close(each)


def test_a_system_that_is_out_of_files_is_waited_for(
    tls: Contexts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)

    async def test() -> None:
        async with listening(tls=tls.server) as (_, desk, port):
            with socket.socket() as client:
                client.setblocking(False)
                with no_more_files():
                    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
                    async with asyncio.timeout(TIMEOUT_S):
                        while not events(caplog, "accept_failed"):  # noqa: ASYNC110  # as above
                            await asyncio.sleep(0)
                _, writer = await asyncio.open_connection(sock=client, ssl=tls.client, server_hostname="localhost")
                writer.write(message("a"))
                await desk.has(1)
                writer.close()

    run(test)
    assert events(caplog, "accept_failed")[0]["reason"].endswith("Too many open files")


def test_whoever_is_half_through_when_it_closes_is_dropped(tls: Contexts) -> None:
    async def test() -> None:
        async with listening(tls=tls.server) as (listener, desk, port):
            reader, writer = await connect(port, b"\x16\x03\x01")
            await turns()
            assert await listener.drain(TIMEOUT_S)
            assert await read_to_end(reader) == b""
            assert desk.refused == 0
            writer.close()

    run(test)
