import asyncio
import gc
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import msgpack
import pytest
import uvloop
from msgspec.structs import replace

from firstseen.errors import ProtocolError
from firstseen.forward.handshake import ClientHandshake, ClientKeys, ServerHandshake, ServerKeys
from firstseen.net import downstream as module
from firstseen.net.downstream import Downstream, connect
from firstseen.net.tls import client_context, server_context
from firstseen.notation import Endpoint
from support.authority import Authority
from support.deliveries import target
from support.desk import TIMEOUT_S, turns
from support.loopback import Conversation, Settled, downstream, greeting, lost, parcel, serve

KEYS = ClientKeys(b"s3cret", "client.example", "alice", b"pw")


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())


def test_parcels_are_settled_by_their_own_acks_in_any_order() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            first, second = await peer.frame(), await peer.frame()
            await peer.ack(second)
            await peer.ack(first)
            await peer.until_closed()

        settled = Settled()
        async with downstream(script) as port:
            connection = await connect(target(port), settled)
            sent = [parcel("one"), parcel("two")]
            for each in sent:
                connection.send(each, each.frame)
            assert len(connection) == 2
            await settled.are(sent[1], sent[0])
            assert (len(connection), connection.take_unsettled(), connection.single) == (0, [], False)
            connection.finish()
            assert await lost(connection) == "closed for a new one"

    run(test)


def test_a_unix_socket(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "forward.sock"
        settled = Settled()
        async with downstream(serve, path=path):
            connection = await connect(replace(target(0), endpoint=Endpoint(f"unix:{path}")), settled)
            sent = parcel()
            connection.send(sent, sent.frame)
            await settled.are(sent)
            connection.abort()
            await lost(connection)

    run(test)


@pytest.mark.parametrize("require_ack", [True, False])
def test_tls_with_the_host_name_verified(tmp_path: Path, require_ack: bool) -> None:
    root = Authority(tmp_path, "root")
    server, client = server_context(*root.issue("logs.example.com")), client_context(root.file)
    names: list[str] = []
    server.sni_callback = lambda _, name, __: names.append(name)

    async def test() -> None:
        settled = Settled()
        async with downstream(serve, tls=server) as port:
            secure = target(port, tls=client, require_ack=require_ack)
            with pytest.raises(ProtocolError, match=r"cannot be verified.*output\.tls\.server_name"):
                await connect(secure, settled)
            connection = await connect(replace(secure, server_name="logs.example.com"), settled)
            sent = [parcel("one"), parcel("two", 1 << 20)]
            for each in sent:
                connection.send(each, each.frame)
            await settled.are(*sent)
            connection.finish()
            await lost(connection)

    run(test)
    assert names == [None, "logs.example.com"]


def test_a_server_that_never_says_goodbye_under_tls_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GOODBYE_S", 0.05)
    root = Authority(tmp_path, "root")
    server, client = server_context(*root.issue("localhost")), client_context(root.file)
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def stand_still() -> None:
        with server.wrap_socket(listening.accept()[0], server_side=True):
            over.wait(TIMEOUT_S)

    thread = threading.Thread(target=stand_still)
    thread.start()

    async def test() -> None:
        port = listening.getsockname()[1]
        connection = await connect(target(port, tls=client, server_name="localhost"), Settled())
        connection.finish()
        await lost(connection)

    try:
        with listening:
            run(test)
    finally:
        over.set()
        thread.join(TIMEOUT_S)


@pytest.mark.parametrize("users", [{}, {"alice": b"pw"}])
def test_a_handshake_comes_before_everything(users: dict[str, bytes]) -> None:
    async def test() -> None:
        settled = Settled()
        async with downstream(greeting(ServerKeys(b"s3cret", "server.example", users))) as port:
            connection = await connect(target(port, handshake=partial(ClientHandshake, KEYS, os.urandom)), settled)
            sent = parcel()
            connection.send(sent, sent.frame)
            await settled.are(sent)
            connection.finish()
            await lost(connection)

    run(test)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (ServerKeys(b"other", "server.example"), "in the handshake: the server refuses: shared_key mismatch"),
        (ServerKeys(b"s3cret", "server.example", {"bob": b"pw"}), "the server refuses: username/password mismatch"),
    ],
)
def test_a_server_that_refuses_and_stays_open_is_left_and_gets_nothing(keys: ServerKeys, reason: str) -> None:
    async def test() -> None:
        async with downstream(greeting(keys)) as port:
            with pytest.raises(ProtocolError, match=reason):
                await connect(target(port, handshake=partial(ClientHandshake, KEYS, os.urandom)), Settled())

    run(test)


def test_a_server_without_a_handshake_is_given_up_at_the_timeout() -> None:
    async def test() -> None:
        async with downstream(lambda peer, _: peer.until_closed()) as port:
            keyed = target(port, handshake=partial(ClientHandshake, KEYS, os.urandom), connect_timeout_s=0.05)
            with pytest.raises(TimeoutError, match=r"^no handshake \(.*output.shared_key.*\) within 0.05s$"):
                await connect(keyed, Settled())

    run(test)


def test_a_server_that_accepts_nobody_is_given_up_at_the_timeout() -> None:
    async def test() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            with pytest.raises(TimeoutError, match=r"^no connection within 0.05s$"):
                await connect(target(full.getsockname()[1], connect_timeout_s=0.05), Settled())
            for each in waiting:
                each.close()

    run(test)


def test_a_server_that_closes_in_the_handshake() -> None:
    async def test() -> None:
        async with downstream(lambda *_: asyncio.sleep(0)) as port:
            reason = r"in the handshake: closed by the server, which said nothing: it may want TLS \(tls://"
            with pytest.raises(ProtocolError, match=reason):
                await connect(target(port, handshake=partial(ClientHandshake, KEYS, os.urandom)), Settled())

    run(test)


def test_a_handshake_that_nobody_waits_for_any_more_is_no_mistake() -> None:
    async def test() -> None:
        faults: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        connection = Downstream(target(1, handshake=partial(ClientHandshake, KEYS, os.urandom)), Settled(), loop)
        connection.connection_lost(None)
        del connection
        gc.collect()
        await turns()
        assert faults == []

    run(test)


@pytest.mark.parametrize("keepalive", [True, False])
def test_a_server_that_takes_one_frame_a_connection_is_told_apart(keepalive: bool) -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            handshake = ServerHandshake(ServerKeys(b"s3cret", "server.example"), bytes)
            await peer.write(msgpack.packb(["HELO", {"nonce": bytes(16), "keepalive": keepalive}]))
            greeted = handshake.feed(msgpack.packb(await peer.frame()))
            assert greeted is not None
            await peer.write(greeted.reply)
            await peer.until_closed()

        async with downstream(script) as port:
            keyed = target(port, handshake=partial(ClientHandshake, KEYS, os.urandom))
            connection = await connect(keyed, Settled())
            assert connection.single is not keepalive
            connection.abort()
            await lost(connection)

    run(test)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (msgpack.packb({"ack": "two"}), "an ack for a chunk that was not sent"),
        (msgpack.packb({"ack": 1}), "an ack whose chunk id is no text"),
        (msgpack.packb(["HELO", {}]), "the server asks for a shared key"),
        (b"\xc1", "a reply that is no msgpack"),
        (b"", "closed by the server, which said nothing: it may want TLS (tls:// in output.servers) or a key"),
    ],
)
def test_whatever_is_no_ack_ends_the_connection_and_nothing_is_settled(reply: bytes, reason: str) -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            await peer.frame()
            await peer.write(reply)
            if reply:
                await peer.until_closed()

        settled = Settled()
        async with downstream(script) as port:
            connection = await connect(target(port), settled)
            sent = parcel()
            connection.send(sent, sent.frame)
            assert (await lost(connection)).startswith(reason)
            assert (settled.parcels, connection.take_unsettled()) == ([], [sent])

    run(test)


def test_an_ack_before_its_chunk_was_sent_settles_nothing_and_loses_nothing() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            await peer.begun()
            await peer.write(msgpack.packb({"ack": "large"}))
            await closed.wait()

        closed = asyncio.Event()
        settled = Settled()
        async with downstream(script) as port:
            connection = await connect(target(port), settled)
            sent = [parcel("large", 1 << 25), parcel("behind")]
            for each in sent:
                connection.send(each, each.frame)
            assert await lost(connection) == "an ack before its chunk was sent"
            assert (settled.parcels, connection.take_unsettled()) == ([], sent)
            closed.set()

    run(test)


def test_no_progress_for_as_long_as_an_ack_may_take() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            first = await peer.frame()
            await peer.frame()
            await peer.ack(first)
            await peer.until_closed()

        settled = Settled()
        async with downstream(script) as port:
            connection = await connect(target(port, ack_timeout_s=1), settled)
            sent = [parcel("one"), parcel("two")]
            began_s = asyncio.get_running_loop().time()
            for each in sent:
                connection.send(each, each.frame)
            assert await lost(connection) == "no ack within 1s"
            assert 1 <= asyncio.get_running_loop().time() - began_s < 2, (
                "that the bytes went at once is no progress later"
            )
            assert (settled.parcels, connection.take_unsettled()) == (sent[:1], sent[1:])

    run(test)


class Standing:
    """A loop that stands still but for what is done by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.due.append((self.now_s + delay_s, call))

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def go_on(self, now_s: float) -> None:
        """The timers that are over by then, as a loop runs them that stood still until then."""
        self.now_s = now_s
        over, self.due = (
            [call for at_s, call in self.due if at_s <= now_s],
            [each for each in self.due if each[0] > now_s],
        )
        for call in over:
            call()


@pytest.mark.parametrize("came", [True, False])
def test_an_ack_that_came_while_the_process_stood_still_is_read_before_it_is_missed(came: bool) -> None:
    async def test() -> None:
        loop, transport, settled = Standing(), Mock(spec=asyncio.Transport), Settled()
        transport.get_write_buffer_size.return_value = 0
        transport.is_closing.return_value = False
        connection = Downstream(target(0, ack_timeout_s=2), settled, cast(asyncio.AbstractEventLoop, loop))
        connection.connection_made(transport)
        sent = parcel()
        connection.send(sent, sent.frame)
        loop.go_on(3_600)
        assert not transport.abort.called
        if came:
            connection.data_received(msgpack.packb({"ack": "one"}))
            assert settled.parcels == [sent]
        loop.go_on(3_601)
        assert transport.abort.called is not came

    run(test)


def test_an_idle_connection_is_not_given_up() -> None:
    async def test() -> None:
        settled = Settled()
        async with downstream(serve) as port:
            connection = await connect(target(port, ack_timeout_s=0.5), settled)
            sent = parcel()
            connection.send(sent, sent.frame)
            await settled.are(sent)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(connection.lost), 0.8)
            connection.abort()
            await lost(connection)

    run(test)


def test_a_frame_that_goes_slowly_is_waited_for() -> None:
    async def test() -> None:
        async def script(peer: Conversation, _: int) -> None:
            await peer.read_slowly(size)
            await peer.write(msgpack.packb({"ack": "large"}))
            await peer.until_closed()

        settled = Settled()
        sent = parcel("large", 1 << 26)
        size = sent.frame.size
        async with downstream(script) as port:
            connection = await connect(target(port, ack_timeout_s=1), settled)
            connection.send(sent, sent.frame)
            await settled.are(sent)
            connection.abort()
            await lost(connection)

    run(test)


def test_without_acks_a_frame_is_settled_when_it_is_with_the_kernel() -> None:
    async def test() -> None:
        go = asyncio.Event()

        async def script(peer: Conversation, _: int) -> None:
            await go.wait()
            await peer.until_closed()

        settled = Settled()
        async with downstream(script) as port:
            connection = await connect(target(port, require_ack=False), settled)
            sent = [parcel(None), parcel(None, 1 << 25), parcel(None)]
            for each in sent:
                connection.send(each, each.frame)
            await turns()
            assert settled.parcels == sent[:1]
            go.set()
            await settled.are(*sent)
            connection.abort()
            await lost(connection)

    run(test)


@pytest.mark.parametrize("secure", [False, True])
def test_without_acks_a_server_that_stands_still_is_told_of_once_and_so_is_its_going_on(
    tmp_path: Path, secure: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not left, or what it has not read would be lost: all who wait for it wait on, and nobody else knows why."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    root = Authority(tmp_path, "root")
    server = server_context(*root.issue("localhost")) if secure else None
    tls = {"tls": client_context(root.file), "server_name": "localhost"} if secure else {}

    def told() -> list[str]:
        return [each.getMessage() for each in caplog.records]

    async def test() -> None:
        go = asyncio.Event()

        async def script(peer: Conversation, _: int) -> None:
            await go.wait()
            await peer.until_closed()

        settled = Settled()
        async with downstream(script, tls=server) as port:
            connection = await connect(target(port, require_ack=False, ack_timeout_s=0.6, **tls), settled)
            sent = [parcel(None, 1 << 25), parcel(None)]
            for each in sent:
                connection.send(each, each.frame)
            async with asyncio.timeout(TIMEOUT_S):
                while not told():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.sleep(1)
            assert told() == ["downstream_stuck"]
            assert sent[-1] not in settled.parcels
            go.set()
            await settled.are(*sent)
            assert told() == ["downstream_stuck", "downstream_goes_on"]
            await asyncio.sleep(1)
            assert told() == ["downstream_stuck", "downstream_goes_on"], "an idle server stands not still"
            connection.abort()
            await lost(connection)

    run(test)


def test_without_acks_a_server_that_reads_slowly_is_not_taken_for_one_that_stands_still(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The kernel takes nothing more from us meanwhile: it waits until a good part of what it holds is gone."""
    caplog.set_level(logging.INFO)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
            listening.setblocking(False)
            settled = Settled()
            endpoint = target(listening.getsockname()[1], require_ack=False, ack_timeout_s=0.25)
            connection = await connect(endpoint, settled)
            accepted, _ = await loop.sock_accept(listening)
            sent = parcel(None, 1 << 24)
            connection.send(sent, sent.frame)
            began_s = loop.time()
            with accepted:
                while loop.time() - began_s < 1.5:
                    await loop.sock_recv(accepted, 1 << 15)
                    await asyncio.sleep(0.05)
                assert settled.parcels == []
                connection.abort()
                await lost(connection)
        assert not caplog.records

    run(test)


def test_without_acks_nothing_is_lost_to_a_server_that_asks_for_a_key_that_is_not_set() -> None:
    """It takes what it is sent for an answer to that, and nobody would hear that it did not get there."""

    async def test() -> None:
        got: list[bytes] = []

        async def script(peer: Conversation, _: int) -> None:
            await asyncio.sleep(0.1)
            await peer.write(msgpack.packb(["HELO", {"nonce": bytes(16)}]))
            got.append(await peer.rest())

        settled = Settled()
        async with downstream(script) as port:
            with pytest.raises(ProtocolError, match=r"^the server asks for a shared key, but none is set"):
                await connect(target(port, require_ack=False, hush_s=TIMEOUT_S), settled)
            async with asyncio.timeout(TIMEOUT_S):
                while not got:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        assert got == [b""]

    run(test)


def test_what_comes_behind_a_server_that_will_say_no_more_was_not_sent() -> None:
    """It reads on, and what was written before goes; but nothing more is written."""

    async def test() -> None:
        go = asyncio.Event()

        async def script(peer: Conversation, _: int) -> None:
            await peer.begun()
            peer.half_close()
            await go.wait()
            await peer.until_closed()

        settled = Settled()
        async with downstream(script) as port:
            connection = await connect(target(port, require_ack=False), settled)
            sent = [parcel(None, 1 << 25), parcel(None)]
            connection.send(sent[0], sent[0].frame)
            async with asyncio.timeout(TIMEOUT_S):
                while not connection._transport.is_closing():  # type: ignore[union-attr]  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            connection.send(sent[1], sent[1].frame)
            go.set()
            hint = "it may want TLS (tls:// in output.servers) or a key (output.shared_key)"
            assert await lost(connection) == f"closed by the server, which said nothing: {hint}"
            assert (settled.parcels, connection.take_unsettled()) == (sent[:1], sent[1:])

    run(test)


def test_what_is_sent_on_a_connection_that_is_closing_is_not_lost() -> None:
    async def test() -> None:
        settled = Settled()
        async with downstream(serve) as port:
            connection = await connect(target(port), settled)
            sent = [parcel("one"), parcel("two")]
            connection.finish()
            connection.send(sent[0], sent[0].frame)
            await lost(connection)
            connection.send(sent[1], sent[1].frame)
            assert (settled.parcels, connection.take_unsettled()) == ([], sent)
            connection.finish()
            connection.abort()

    run(test)


def test_each_server_gets_the_form_that_it_reads() -> None:
    async def test() -> None:
        got: list[list[Any]] = []

        async def script(peer: Conversation, _: int) -> None:
            got.append(await peer.frame())
            await peer.ack(got[0])
            await peer.until_closed()

        other = msgpack.packb(["app", b"another", {"chunk": "one"}])
        settled = Settled()
        async with downstream(script) as port:
            connection = await connect(target(port), settled)
            sent = parcel()
            connection.send(sent, replace(sent.frame, pieces=(other,), size=len(other)))
            await settled.are(sent)
            connection.abort()
            await lost(connection)
        assert got == [["app", b"another", {"chunk": "one"}]]

    run(test)
    assert str(target(24224)) == "127.0.0.1:24224"


def test_a_server_that_is_gone_under_tls_while_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transport has no socket any more before anybody is told that it is lost."""
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    root = Authority(tmp_path, "root")
    server, client = server_context(*root.issue("localhost")), client_context(root.file)
    faults: list[dict[str, Any]] = []

    async def test() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        goes = asyncio.Event()

        async def script(peer: Conversation, _: int) -> None:
            await goes.wait()
            peer._writer.transport.abort()

        async with downstream(script, tls=server) as port:
            secure = target(port, tls=client, require_ack=False, ack_timeout_s=0.05, server_name="localhost")
            connection = await connect(secure, Settled())
            async with asyncio.timeout(TIMEOUT_S):
                while not connection._stuck:
                    if not connection.is_full:
                        sent = parcel(None, 1 << 20)
                        connection.send(sent, sent.frame)
                    await turns(3)
            goes.set()
            await lost(connection)

    run(test)
    assert not faults
