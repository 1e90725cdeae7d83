"""The points of the client that need a socket, a timer or a whole agent; what bytes can say is in the files beside."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest

from firstseen.config.sections import Output
from firstseen.errors import ProtocolError
from firstseen.forward.content import content_of
from firstseen.forward.handshake import ClientHandshake, ClientKeys, ServerHandshake, ServerKeys
from firstseen.forward.outgoing import Frame
from firstseen.forward.shapes import PIECE, Shaper
from firstseen.net.downstream import connect
from firstseen.net.lane import Backoff
from firstseen.net.tls import client_context, server_context
from support.agent import AgentProcess, write_config
from support.authority import Authority
from support.deliveries import forwarding, frame, target
from support.keys import KEY
from support.loopback import TIMEOUT_S, Conversation, downstream, greeting, serve
from support.peers import Sink, Source
from support.rulebook import call
from support.wire import chunk_of

ADA = "arn:aws:iam::111122223333:user/ada"
EVENT_TIME = msgpack.ExtType(0, bytes.fromhex("6553f100075bcd15"))


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())


def raw(frame: Frame) -> bytes:
    return b"".join(bytes(piece) for piece in frame.pieces)


@pytest.mark.e2e
@pytest.mark.parametrize("entries", ["as_received", "v1"])
def test_point_43_entries_lose_their_metadata_only_where_that_is_configured(tmp_path: Path, entries: str) -> None:
    sent = msgpack.packb(["app", [[[EVENT_TIME, {"m": 1}], {"n": 1}], [1, {"n": 2}]], {"chunk": "c"}])
    with Sink() as sink:
        config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")
        server = f'{{address = "{sink.address}", entries = "{entries}"}}'
        config.write_text(config.read_text().replace(f'"{sink.address}"', server))
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(sent)
            assert client.ack() == "c"
        (arrived,) = sink.frames
    v1 = msgpack.packb(["app", [[EVENT_TIME, {"n": 1}], [1, {"n": 2}]], {"chunk": "c"}])
    assert arrived.raw == (v1 if entries == "v1" else sent)


@pytest.mark.e2e
def test_point_46_and_64_an_alert_arrives_with_everything_as_it_was_and_labels_of_plain_values(tmp_path: Path) -> None:
    record = {**call(ADA, "e-1"), "odd": b"\xff", "float": 0.5}
    with Sink() as sink:
        config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(msgpack.packb(["aws.trail", [[EVENT_TIME, record], [EVENT_TIME, {"n": 1}]], {"chunk": "c"}]))
            assert client.ack() == "c"
        alert, other = sink.entries
    assert (alert.tag, alert.raw_time, other.record) == ("aws.trail", msgpack.packb(EVENT_TIME), {"n": 1})
    labels = alert.record["alerts"]
    assert {key: value for key, value in alert.record.items() if key != "alerts"} == record
    assert labels[0]["new_terms"]["values"] == [ADA]
    assert is_plain(labels)


def is_plain(value: Any) -> bool:
    """Whether it holds maps with text for keys, lists, and values that every peer knows."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or isinstance(value, str | int | float)


def test_point_48_no_frame_is_larger_than_its_limit_and_pieces_are_of_1_mb() -> None:
    entries = [[1, {"n": number, "m": "x" * 1000}] for number in range(20_000)]
    most = Output().max_frame.bytes
    chunk = chunk_of(msgpack.packb(["app", entries, {"chunk": "c"}]))
    assert chunk.size > 3 * most
    frames = Shaper(most, "", True, bytes).frames(content_of(chunk, 1 << 26), ())
    assert max(each.size for each in frames) <= PIECE <= most < 6_144_000
    decoded = [msgpack.unpackb(raw(each)) for each in frames]
    assert [entry for _, carrier, _ in decoded for entry in carrier] == entries
    ids = [option["chunk"] for _, _, option in decoded]
    assert len(set(ids)) == len(frames)
    assert {len(base64.b64decode(each, validate=True)) for each in ids} == {16}
    again = Shaper(most, "", True, bytes).frames(content_of(chunk, 1 << 26), ())
    assert [each.chunk for each in again] == ids, "a chunk that comes again leaves under the same ids"


def test_point_49_52_and_53_a_retry_has_the_same_id_on_another_connection() -> None:
    """The first server says nothing, the second one closes, the third one acks."""

    async def test() -> None:
        seen: list[tuple[int, str]] = []

        async def script(peer: Conversation, number: int) -> None:
            received = await peer.frame()
            seen.append((number, received[-1]["chunk"]))
            if number == 0:
                await peer.until_closed()
            elif number == 2:
                await peer.ack(received)
                await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port, ack_timeout_s=0.5)) as (deliveries, retried):
            deliveries.submit("a", frame("its id"))
            await deliveries.until("a")
        assert seen == [(0, "its id"), (1, "its id"), (2, "its id")]
        assert retried == [1, 1]

    run(test)


def test_point_50_a_wrong_ack_and_then_the_right_one_is_no_ack() -> None:
    async def test() -> None:
        async def script(peer: Conversation, number: int) -> None:
            received = await peer.frame()
            connections.append(number)
            if number == 0:
                await peer.write(msgpack.packb({"ack": "wrong"}) + msgpack.packb({"ack": received[-1]["chunk"]}))
                await peer.until_closed()
            await peer.ack(received)
            await peer.until_closed()

        connections: list[int] = []
        async with downstream(script) as port, forwarding(target(port)) as (deliveries, _):
            deliveries.submit("a", frame())
            await deliveries.until("a")
        assert connections == [0, 1]

    run(test)


KEYS = ClientKeys(KEY, "client.example", "alice", b"pw")
KNOWN = ServerKeys(KEY, "server.example", {"alice": b"pw"})


def test_point_54_every_connection_shakes_hands_and_one_on_which_that_failed_is_never_used() -> None:
    async def test() -> None:
        said: list[list[str]] = []

        async def refuse(peer: Conversation) -> None:
            """Stay open after it: the client must not take that for a welcome."""
            await peer.write(ServerHandshake(KNOWN, os.urandom).helo)
            said[-1].append((await peer.frame())[0])
            await peer.write(msgpack.packb(["PONG", False, "not today", "", ""]))
            said[-1].append((await peer.frame())[0])

        async def script(peer: Conversation, number: int) -> None:
            said.append([])
            if number == 0:
                await refuse(peer)
            await greeting(KNOWN)(peer, number)

        keyed = partial(target, handshake=partial(ClientHandshake, KEYS, os.urandom))
        async with downstream(script) as port, forwarding(keyed(port)) as (deliveries, _):
            deliveries.submit("a", frame())
            await deliveries.until("a")
        assert said == [["PING"], []]

    run(test)


def test_point_55_no_data_precedes_the_pong() -> None:
    async def test() -> None:
        pinged, go = asyncio.Event(), asyncio.Event()

        async def script(peer: Conversation, _: int) -> None:
            handshake = ServerHandshake(KNOWN, os.urandom)
            await peer.write(handshake.helo)
            greeted = handshake.feed(msgpack.packb(await peer.frame()))
            assert greeted is not None
            behind = asyncio.create_task(peer.frame())
            pinged.set()
            await go.wait()
            assert not behind.done()
            await peer.write(greeted.reply)
            await peer.ack(await behind)
            await peer.until_closed()

        keyed = partial(target, handshake=partial(ClientHandshake, KEYS, os.urandom))
        async with downstream(script) as port, forwarding(keyed(port)) as (deliveries, _):
            deliveries.submit("a", frame())
            await pinged.wait()
            for _ in range(50):
                await asyncio.sleep(0)
            go.set()
            await deliveries.until("a")

    run(test)


def test_point_59_where_the_server_wants_no_keepalive_each_frame_gets_a_connection() -> None:
    async def test() -> None:
        seen: list[list[str]] = []

        async def script(peer: Conversation, _: int) -> None:
            handshake = ServerHandshake(ServerKeys(KEY, "server.example"), bytes)
            await peer.write(msgpack.packb(["HELO", {"nonce": bytes(16), "auth": b"", "keepalive": False}]))
            greeted = handshake.feed(msgpack.packb(await peer.frame()))
            assert greeted is not None
            await peer.write(greeted.reply)
            seen.append([])
            while True:
                received = await peer.frame()
                seen[-1].append(received[-1]["chunk"])
                await peer.ack(received)

        keyed = partial(target, handshake=partial(ClientHandshake, KEYS, os.urandom))
        async with downstream(script) as port, forwarding(keyed(port)) as (deliveries, retried):
            for name in "abc":
                deliveries.submit(name, frame(name))
            await deliveries.until("a", "b", "c")
            assert retried == []
        assert [each for each in seen if each] == [["a"], ["b"], ["c"]]

    run(test)


def test_point_60_the_host_name_is_verified_and_asked_for_and_a_certificate_is_shown(tmp_path: Path) -> None:
    root = Authority(tmp_path, "root")
    server = server_context(*root.issue("logs.example.com"), root.file)
    client = client_context(root.file, *root.issue("client.example.com"))
    asked: list[str | None] = []
    server.sni_callback = lambda _, name, __: asked.append(name)

    bare = client_context(root.file)
    bare.maximum_version = ssl.TLSVersion.TLSv1_2  # in which a server refuses before anything is sent

    async def test() -> None:
        async with downstream(serve, tls=server) as port:
            secure = partial(target, port, server_name="logs.example.com")
            async with forwarding(secure(tls=client)) as (deliveries, _):
                deliveries.submit("a", frame())
                await deliveries.until("a")
            assert asked == ["logs.example.com"]
            with pytest.raises(ProtocolError, match="Hostname mismatch"):
                await connect(secure(tls=client, server_name="other.example.com"), lambda _: None)
            with pytest.raises(ProtocolError, match=r"output\.tls\.cert|no TLS"):
                await connect(secure(tls=bare), lambda _: None)

    run(test)


def test_point_61_pauses_double_up_to_a_limit_and_vary() -> None:
    longest, shortest = (Backoff(lambda share=share: share) for share in (1.0, 0.0))
    assert [longest.pause_s() for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [shortest.pause_s() for _ in range(3)] == [0.125, 0.25, 0.5]


def test_point_62_an_idle_connection_carries_nothing() -> None:
    async def test() -> None:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def script(peer: Conversation, number: int) -> None:
            await peer.ack(await peer.frame())
            heard.set_result(await peer.rest())

        old = partial(target, ack_timeout_s=0.5, max_age_s=0.8)  # closed when it is that old
        async with downstream(script) as port, forwarding(old(port)) as (deliveries, _):
            deliveries.submit("a", frame())
            assert await asyncio.wait_for(heard, TIMEOUT_S) == b""

    run(test)


def test_point_63_a_server_that_closes_an_idle_connection_costs_nothing() -> None:
    async def test() -> None:
        async def script(peer: Conversation, number: int) -> None:
            await peer.ack(await peer.frame())
            if number > 0:
                await peer.until_closed()

        async with downstream(script) as port, forwarding(target(port)) as (deliveries, retried):
            for name in ("a", "b"):
                deliveries.submit(name, frame(name))
                await deliveries.until_true(lambda name=name: name in deliveries.done)
            assert sum(retried) <= 1
            assert deliveries.done == ["a", "b"]

    run(test)
