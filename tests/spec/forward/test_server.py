"""The points of the server that need a socket, a timer or a whole agent; what bytes can say is in the files beside."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import tracemalloc
from pathlib import Path

import msgpack
import pytest
import zstandard

from firstseen.config.sections import Input
from firstseen.forward.buffers import Pool
from firstseen.forward.content import content_of
from firstseen.forward.handshake import ServerHandshake, ServerKeys
from firstseen.forward.server import Receiver
from firstseen.net.tls import client_context, server_context
from support.agent import AgentProcess, write_config
from support.authority import Authority
from support.desk import TIMEOUT_S, ack, connect, listening, message, read, read_to_end, run, turns
from support.keys import KEY, client_of, handshakes
from support.logged import events
from support.peers import Sink, Source, acked, closed, held
from support.records import TlsRecords
from support.wire import chunk_of, feed


def test_point_12_zstd_with_one_and_with_several_frames_each_above_1_mib() -> None:
    frames = [zstandard.compress(b"".join(msgpack.packb([n, {"m": "x" * 999}]) for _ in range(1100))) for n in range(3)]
    for count in (1, 3):
        chunk = chunk_of(msgpack.packb(["app", b"".join(frames[:count]), {"compressed": "zstd"}]))
        content = content_of(chunk, 1 << 22)
        assert content.entries.stop - content.entries.start > count << 20
        assert content.records == 1100 * count


def test_point_17_each_ack_is_one_write() -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            loop = asyncio.get_running_loop()
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setblocking(False)
                for number in range(3):
                    await loop.sock_sendall(client, message(f"chunk {number}"))
                    await desk.has(number + 1)
                    desk.tickets[number].settle(safe=True)
                    assert await loop.sock_recv(client, 511) == ack(f"chunk {number}"), "one read, as Fluent Bit reads"

    run(test)


def test_point_17_each_ack_is_one_tls_record(tmp_path: Path) -> None:
    root = Authority(tmp_path, "root")

    async def test() -> None:
        async with listening(tls=server_context(*root.issue("localhost"))) as (_, desk, port):
            client = TlsRecords(*await connect(port), client_context(root.file))
            await client.shake_hands()
            client.write(b"".join(message(str(number)) for number in range(3)))
            await desk.has(3)
            for ticket in reversed(desk.tickets):  # all three acks leave in one turn of the loop
                ticket.settle(safe=True)
            assert [await client.record() for _ in range(3)] == [ack(str(number)) for number in range(3)]
            client.close()

    run(test)


@pytest.mark.e2e
def test_point_18_an_ack_leaves_when_the_chunk_is_taken_and_never_where_it_is_not(tmp_path: Path) -> None:
    with Sink(held) as sink:
        config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")
        with AgentProcess(config) as agent, Source(agent.port) as client, Source(agent.port) as poison:
            client.send(message("taken"))
            sink.wait_until(lambda: sink.chunks >= 1)
            assert client.is_silent()
            sink.release()
            assert client.ack() == "taken"
            poison.send(msgpack.packb(["app", b"\x92\x01", {"chunk": "cannot be read"}]))
            assert poison.closes()


def test_point_27_a_connection_without_data_is_nothing_worth_telling(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = Authority(tmp_path, "root")
    server, client = server_context(*root.issue("localhost")), client_context(root.file)

    async def test() -> None:
        for tls in (None, server):
            for handshake in (None, handshakes()):
                async with listening(tls=tls, handshake=handshake) as (_, desk, port):
                    name = None if tls is None else "localhost"
                    for speaks in (None, client) if tls else (None,):
                        _, writer = await connect(port, ssl=speaks, server_hostname=name if speaks else None)
                        await turns()
                        writer.close()
                        await writer.wait_closed()
                        await turns()
                    assert (desk.refused, desk.tickets) == (0, [])

    with caplog.at_level(logging.DEBUG):
        run(test)
    assert {told["level"] for told in events(caplog)} <= {"debug"}


def test_point_28_a_udp_heartbeat_is_answered() -> None:
    async def test() -> None:
        async with listening(heartbeat=True) as (_, _, port):
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.setblocking(False)
                probe.connect(("127.0.0.1", port))
                await loop.sock_sendall(probe, b"\x00")
                async with asyncio.timeout(TIMEOUT_S):
                    assert await loop.sock_recv(probe, 100) == b"\x00"

    run(test)


@pytest.mark.parametrize("garbage", [b"\xc1", b"\x01", b"GET / HTTP/1.1\r\n\r\n" * 100])
def test_point_29_garbage_closes_the_connection_with_one_line(caplog: pytest.LogCaptureFixture, garbage: bytes) -> None:
    async def test() -> None:
        async with listening() as (_, desk, port):
            reader, writer = await connect(port, garbage)
            assert await read_to_end(reader) == b""
            assert (desk.refused, desk.tickets) == (1, [])
            (told,) = events(caplog)
            host, place = writer.get_extra_info("sockname")
            assert (told["event"], told["peer"]) == ("connection_refused", f"{host}:{place}")
            assert told["reason"]
            writer.close()

    run(test)


@pytest.mark.parametrize("declared", ["dd ff ff ff ff", "92 a1 74 dd ff ff ff ff", "92 a1 74 c6 ff ff ff ff"])
def test_point_30_what_is_declared_is_not_allocated(declared: str) -> None:
    receiver = Receiver(Pool(), 1 << 24)
    tracemalloc.start()
    try:
        assert feed(receiver, bytes.fromhex(declared)) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert receiver.error is not None
    assert peak < 1 << 18


def test_point_32_a_frame_above_the_limit_is_told_of_with_peer_tag_and_limit(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with listening(max_frame=1000) as (_, desk, port):
            reader, writer = await connect(port, message("first") + message("large", "x" * 1000))
            await desk.has(1)
            desk.tickets[0].settle(safe=True)
            assert await read_to_end(reader) == ack("first")
            (told,) = events(caplog, "connection_refused")
            host, place = writer.get_extra_info("sockname")
            assert (told["peer"], told["tag"]) == (f"{host}:{place}", "app")
            assert told["reason"] == "a frame of more than 1000 bytes (input.max_frame)"
            writer.close()

    run(test)


def test_point_33_half_a_frame_is_dropped_and_an_idle_connection_is_not() -> None:
    assert not Input().idle_timeout.ms
    assert Input().frame_timeout.ms

    async def test() -> None:
        async with listening(frame_timeout_s=0.05) as (_, desk, port):
            idle, idle_writer = await connect(port, message("a"))
            await desk.has(1)
            desk.tickets[0].settle(safe=True)
            assert await read(idle, len(ack("a"))) == ack("a")
            half, half_writer = await connect(port, message("b")[:-1])
            assert await read_to_end(half) == b""
            assert desk.refused == 1
            idle_writer.write(message("c"))
            await desk.has(2)
            for writer in (idle_writer, half_writer):
                writer.close()

    run(test)


FRAMES = b"".join(message(str(number)) for number in range(3))


@pytest.mark.parametrize("key", [KEY, b"another"])
def test_point_36_and_37_nothing_is_processed_before_the_pong_and_nothing_ever_behind_a_refusal(key: bytes) -> None:
    async def test() -> None:
        async with listening(handshake=handshakes()) as (_, desk, port):
            reader, writer = await connect(port)
            client = client_of(key)
            writer.write(
                client.feed(await read(reader, len(ServerHandshake(ServerKeys(KEY, "x"), bytes).helo))) + FRAMES
            )
            if key != KEY:
                assert msgpack.unpackb(await read_to_end(reader)) == ["PONG", False, "shared_key mismatch", "", ""]
                assert (desk.refused, desk.tickets) == (1, [])
            else:
                await desk.has(3)
                client.feed(await reader.read(1000))
                assert client.done
            writer.close()

    run(test)


def test_point_37_frames_in_the_place_of_a_ping_are_no_events() -> None:
    async def test() -> None:
        async with listening(handshake=handshakes()) as (_, desk, port):
            reader, writer = await connect(port, FRAMES)
            replies = msgpack.Unpacker()
            replies.feed(await read_to_end(reader))
            assert [reply[:2] for reply in list(replies)[1:]] == [["PONG", False]]
            assert (desk.refused, desk.tickets) == (1, [])
            writer.close()

    run(test)


def test_point_38_helo_and_pong_are_one_write_each() -> None:
    async def test() -> None:
        async with listening(handshake=handshakes()) as (_, _, port):
            loop = asyncio.get_running_loop()
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.setblocking(False)
                client = client_of(KEY)
                helo = await loop.sock_recv(sock, 1023)
                await loop.sock_sendall(sock, client.feed(helo))
                pong = await loop.sock_recv(sock, 1023)
                client.feed(pong)
                assert client.done
                assert max(len(helo), len(pong)) <= 500

    run(test)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_point_39_tls_1_2_and_1_3_with_client_certificates(tmp_path: Path, version: ssl.TLSVersion) -> None:
    root = Authority(tmp_path, "root")
    server = server_context(*root.issue("localhost"), root.file)
    bare, known = client_context(root.file), client_context(root.file, *root.issue("client.example.com"))

    async def test() -> None:
        async with listening(tls=server) as (_, desk, port):
            for client in (bare, known):
                client.minimum_version = client.maximum_version = version
            refusal = b""
            try:
                reader, _ = await connect(port, message("a"), ssl=bare, server_hostname="localhost")
                refusal = await read_to_end(reader)
            except OSError:
                refusal = b""
            assert (refusal, desk.refused, desk.tickets) == (b"", 1, [])
            reader, writer = await connect(port, message("a"), ssl=known, server_hostname="localhost")
            await desk.has(1)
            desk.tickets[0].settle(safe=True)
            assert await read(reader, len(ack("a"))) == ack("a")
            writer.close()

    run(test)


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_point_40_a_unix_socket_with_acks_and_the_mode_that_is_set(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "forward.sock"

    async def test() -> None:
        async with listening() as (listener, desk, _):
            await listener.listen_unix(path, mode)
            assert path.stat().st_mode & 0o777 == mode
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(message("a") + message("b"))
            await desk.has(2)
            for ticket in desk.tickets:
                ticket.settle(safe=True)
            expected = ack("a") + ack("b")
            assert await read(reader, len(expected)) == expected
            writer.close()

    run(test)


def test_point_41_at_the_limit_reading_stops_and_acks_are_late() -> None:
    async def test() -> None:
        pool = Pool()
        async with listening(1 << 20, pool=pool) as (_, desk, port):
            peers = [await connect(port) for _ in range(8)]
            for number, (_, writer) in enumerate(peers):
                for each in range(40):
                    writer.write(message(f"{number} {each}", "x" * 50_000))  # 16 MB in all
            settled = most = 0
            while settled < 320:
                await desk.has(settled + 1)
                await turns()
                most = max(most, pool.lent)
                for ticket in desk.tickets[settled:]:
                    ticket.settle(safe=True)
                    settled += 1
            assert desk.pauses > 0
            assert most < 4 << 20
            for number, (reader, writer) in enumerate(peers):
                expected = b"".join(ack(f"{number} {each}") for each in range(40))
                assert await read(reader, len(expected)) == expected
                writer.close()

    run(test)


@pytest.mark.e2e
def test_point_42_sigterm_accepts_no_more_and_acks_what_was_taken(tmp_path: Path) -> None:
    with Sink(held) as sink:
        config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state")
        with AgentProcess(config) as agent, Source(agent.port) as client, Source(agent.port) as half:
            client.send(message("whole"))
            half.send(message("half")[:-1])
            sink.wait_until(lambda: sink.chunks >= 1)
            agent.signal(signal.SIGTERM)
            agent.wait_for("stopping")
            assert half.closes()
            with pytest.raises(ConnectionRefusedError):
                Source(agent.port)
            assert client.is_silent()
            sink.use(acked)
            sink.release()
            assert client.ack() == "whole"
            assert agent.wait() == 0


@pytest.mark.e2e
def test_point_42_what_no_server_took_is_not_acked_when_it_stops(tmp_path: Path) -> None:
    with Sink(closed) as sink:
        extra = 'input: drain_timeout = "200ms"\n'
        config = write_config(tmp_path / "c.toml", downstream=sink.address, state=tmp_path / "state", extra=extra)
        with AgentProcess(config) as agent, Source(agent.port) as client:
            client.send(message("never taken"))
            sink.wait_until(lambda: sink.chunks >= 1)
            agent.signal(signal.SIGTERM)
            assert client.closes()
            assert agent.wait() == 0
