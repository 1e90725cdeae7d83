"""What means harm takes no memory to speak of, holds nobody else up, and ends with one line in the log.

Each case is a process of its own with the default settings; a client beside goes on sending all the time.
"""

from __future__ import annotations

import gzip
import random
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard

from support.agent import AgentProcess, write_config
from support.memory import Bystander, peak_mb
from support.peers import Sink, Source
from support.rulebook import call

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MOST_MB = 128
WORST_S = 5.0
"""How long the client beside may wait for an ack; it is a fraction of a second, and a busy machine multiplies it."""

MIB = 1 << 20
TINY = b"\x92\x00\x80"
USUAL = b"\x92\xd7\x00" + bytes(8) + b"\x80"
NEEDLE = "GetCallerIdentity"


def packed(blob: bytes, compressed: str | None = None) -> bytes:
    options = {"chunk": "bomb", **({"compressed": compressed} if compressed else {})}
    return msgpack.packb(["bomb", blob, options])


def forward(count: int, entries: bytes) -> bytes:
    return b"\x93\xa4bomb\xdd" + struct.pack(">I", count) + entries + msgpack.packb({"chunk": "bomb"})


def one(record: dict[str, Any]) -> bytes:
    return forward(1, b"\x92\x00" + msgpack.packb(record))


def gzipped(piece: bytes, times: int) -> bytes:
    deflater = zlib.compressobj(9, wbits=31)
    return b"".join([*(deflater.compress(piece) for _ in range(times)), deflater.flush()])


def text(piece: str, size: int = 3 * MIB - 1_000) -> str:
    """A JSON array of ``size`` characters."""
    return f"[{piece * (size // len(piece))}1]"


def nested(opening: bytes, depth: int = 100_000) -> bytes:
    return opening * depth + b"\xc0"


@contextmanager
def agent(folder: Path, sink: Sink, extra: str = "") -> Iterator[tuple[AgentProcess, int]]:
    """An agent that is watched: its memory and the client beside it must be fine at the end."""
    config = write_config(folder / "c.toml", downstream=sink.address, state=folder / "state", extra=extra)
    with AgentProcess(config) as process:
        port = process.port
        with Bystander(port) as bystander:
            yield process, port
        print(f"most memory {peak_mb(process.pid):.0f} MiB, slowest ack {bystander.worst_s:.3f} s")
        assert peak_mb(process.pid) < MOST_MB
        assert bystander.worst_s < WORST_S
        process.stop()  # by then everything is told


def end_of(port: int, data: bytes) -> str:
    """What comes of sending this: an ack's chunk id, or that the connection closes."""
    with Source(port) as client:
        client.socket.settimeout(120)
        try:
            client.send(data)
            return str(client.ack())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return "closed"


def ends_of(port: int, sent: Sequence[bytes]) -> list[str]:
    """The same of several connections at a time."""
    ends: list[str] = []
    threads = [threading.Thread(target=lambda each=data: ends.append(end_of(port, each))) for data in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def times(count: int, data: bytes) -> list[bytes]:
    """The same chunk under so many ids, where it has one: else it would be known again."""
    return [data.replace(b"chunk\xa4bomb", b"chunk\xa4bom" + str(number).encode()) for number in range(count)]


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "gzip of zeros": (lambda: packed(gzipped(bytes(MIB), 200), "gzip"), "a gzip bomb"),
    "gzip of entries": (lambda: packed(gzipped(TINY * (MIB // 3), 15), "gzip"), "more than 2097152 entries"),
    "gzip unnamed": (lambda: packed(gzipped(bytes(MIB), 200)), "a gzip bomb"),
    "zstd of a gigabyte": (lambda: packed(zstandard.compress(bytes(1000 * MIB), 3), "zstd"), "a zstd bomb"),
    "zstd of entries": (lambda: packed(zstandard.compress(TINY * (5 * MIB)), "zstd"), "more than 2097152 entries"),
    "gzip members": (lambda: packed(gzip.compress(TINY, mtime=0) * 200_000, "gzip"), "bytes in 65536 parts"),
    "gzip of depth": (lambda: packed(gzip.compress(nested(b"\x91")), "gzip"), "nested deeper than"),
    "zstd of depth": (
        lambda: packed(zstandard.compress(nested(b"\x81\xa1a")), "zstd"),
        "nested deeper than 1024 levels",
    ),
    "tiny entries": (lambda: packed(TINY * (3 * MIB)), "more than 2097152 entries"),
    "tiny entries declared": (lambda: forward(5 * MIB, TINY * (5 * MIB)), "5242880 entries announced"),
    "arrays in a record": (lambda: forward(1, b"\x92\x00\x81\xa1a" + nested(b"\x91")), "nested deeper than 1024"),
    "maps in a record": (lambda: forward(1, b"\x92\x00" + nested(b"\x81\xa1a")), "nested deeper than 1024"),
    "depth in an option": (lambda: b"\x93\xa1t\x90\x81\xa1a" + nested(b"\x91"), "nested deeper than 1024"),
    "an option of many": (
        lambda: b"\x93\xa1t\x90\xde\x27\x10" + b"\xc0" * 20_000,
        "an option map has at most 1024 pairs",
    ),
    "frames in frames": (lambda: nested(b"\x91"), "a frame has two elements or more, not 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bomb_closes_its_connection_with_one_line(tmp_path: Path, name: str) -> None:
    make, reason = REFUSED[name]
    with Sink(count_only=True) as sink, agent(tmp_path, sink) as (process, port):
        assert ends_of(port, times(4, make())) == ["closed"] * 4
    told = process.reasons("chunk_rejected", "connection_refused", count=4)
    assert all(reason in each for each in told)


HUGE = [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"]
ENTRIES = b"\x93\xa1t\x91"
BEFORE = {
    "outside": b"",
    "tag": b"\x93",
    "entries": b"\x93\xa1t",
    "entry": b"\x93\xa1t\x91",
    "time": b"\x93\xa1t\x91\x92",
    "record": b"\x93\xa1t\x91\x92\x01",
    "in a record": b"\x93\xa1t\x91\x92\x01\x81\xa1a",
    "option": b"\x93\xa1t\x90",
    "in an option": b"\x93\xa1t\x90\x81\xa5chunk",
    "behind the option": b"\x94\xa1t\x90\x80",
    "message": b"\x94\xa1t\x01",
}


def test_what_is_announced_and_never_sent_takes_nothing(tmp_path: Path) -> None:
    """Each is refused, or waited for like anything that has begun, until the frame's time is over."""
    sent = [before + first + b"\xff\xff\xff\xff\x00" for before in BEFORE.values() for first in HUGE]
    inside = [before.removeprefix(ENTRIES) for before in BEFORE.values() if before.startswith(ENTRIES)]
    blobs = [packed(gzip.compress(before + first + b"\xff\xff\xff\xff")) for before in inside for first in HUGE]
    with Sink(count_only=True) as sink, agent(tmp_path, sink, 'input: frame_timeout = "2s"') as (process, port):
        assert set(ends_of(port, [*sent, *blobs])) == {"closed"}
    process.reasons("chunk_rejected", "connection_refused", count=len(sent) + len(blobs))


PASSED: dict[str, Callable[[], bytes]] = {
    "entries of the smallest kind": lambda: forward(15 * MIB // 12, USUAL * (15 * MIB // 12)),
    "empty gzip members": lambda: packed(gzip.compress(b"", mtime=0) * 60_000 + gzip.compress(TINY), "gzip"),
    "text of objects": lambda: one({"n": NEEDLE, "log": text("{},")}),
    "text of arrays": lambda: one({"n": NEEDLE, "log": text("[],")}),
    "text of small objects": lambda: one({"n": NEEDLE, "message": text('{"a":1},', 790_000)}),
    "text of texts": lambda: one({"n": NEEDLE, "log": text('"ab",')}),
    "text of events": lambda: one({"n": NEEDLE, "log": text('{"eventSource":"a","eventName":"b"},')}),
    "text of escapes": lambda: one({"log": "\\u00" * (12 * MIB // 4)}),
    "texts": lambda: one({"n": NEEDLE, "a": ["ab"] * MIB}),
    "maps": lambda: one({"n": NEEDLE, "a": [{"a": {}}] * 99_000}),
    "a list of nothing": lambda: one({"n": NEEDLE, "Records": [{}] * 199_000}),
    "as deep as can be": lambda: one({"n": NEEDLE, "log": "[" * 100_000}),
}


@pytest.mark.parametrize("name", PASSED)
def test_what_is_odd_and_legal_passes_and_takes_little(tmp_path: Path, name: str) -> None:
    with Sink(count_only=True) as sink, agent(tmp_path, sink) as (process, port):
        assert sorted(ends_of(port, times(2, PASSED[name]()))) == ["bom0", "bom1"]
        process.reasons("chunk_rejected", "connection_refused", "downstream_lost", count=0)


def test_alerts_in_every_record_hold_nobody_up(tmp_path: Path) -> None:
    entries = [msgpack.packb([0, call(f"arn:aws:iam::111122223333:user/u{n}", f"e-{n}")]) for n in range(20_000)]
    with Sink(count_only=True) as sink, agent(tmp_path, sink) as (process, port):
        assert end_of(port, forward(len(entries), b"".join(entries))) == "bomb"
        process.reasons("chunk_rejected", "connection_refused", "downstream_lost", count=0)


def test_half_frames_on_many_connections(tmp_path: Path) -> None:
    """50 frames of nearly 16 MiB, half sent: those that find no memory wait, and all end with the frame's time."""
    half = b"\x92\xa4half\xc6" + struct.pack(">I", 15 * MIB) + bytes(7 * MIB)
    with Sink(count_only=True) as sink, agent(tmp_path, sink, 'input: frame_timeout = "3s"') as (process, port):
        with ExitStack() as stack:
            clients = [stack.enter_context(Source(port)) for _ in range(50)]
            for client in clients:
                client.socket.setblocking(False)
                try:
                    client.socket.send(half)
                except BlockingIOError:
                    continue
            process.wait_for("connection_refused")
        assert sink.chunks


def test_handshakes_byte_by_byte(tmp_path: Path) -> None:
    """Nobody gets further than the time for a handshake, and whatever is sent instead of a PING is refused."""
    extra = 'input: shared_key = "key"\ninput: frame_timeout = "2s"'
    config = write_config(tmp_path / "c.toml", downstream="127.0.0.1:1", state=tmp_path / "state", extra=extra)
    with AgentProcess(config) as process, ExitStack() as stack:
        clients = [stack.enter_context(Source(process.port)) for _ in range(50)]
        for client in clients:
            assert client.socket.recv(1024).startswith(b"\x92\xa4HELO")
            client.send(b"\x96\xa4PI")
        deep = stack.enter_context(Source(process.port))
        deep.send(nested(b"\x91"))
        huge = stack.enter_context(Source(process.port))
        huge.send(b"\x96\xa4PING\xdb\xff\xff\xff\xff")
        for client in (*clients, deep, huge):  # a text that is announced is waited for, and nothing allocated
            client.socket.settimeout(30)
            assert read_to_end(client.socket)
        assert peak_mb(process.pid) < MOST_MB
        process.stop()
    told = process.reasons("connection_refused", count=52)
    assert sum("no handshake within 2s" in each for each in told) == 51


def read_to_end(connection: socket.socket) -> bool:
    """Whether it closes."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


CLIENTS = 40


def test_memory_is_flat_while_downstream_is_away(tmp_path: Path) -> None:
    """Many clients send what inflates 20:1 and nobody takes it: reading stops, and all of it arrives in the end."""
    with Sink() as placeholder:
        address = placeholder.address
    rng = random.Random(7)
    lines = [msgpack.packb([0, {"log": "the same line again " * 60 + rng.randbytes(16).hex()}]) for _ in range(1_600)]
    blob = gzip.compress(b"".join(lines), 9, mtime=0)
    config = write_config(tmp_path / "c.toml", downstream=address, state=tmp_path / "state")
    with AgentProcess(config) as process, ExitStack() as stack:
        clients = [stack.enter_context(Source(process.port)) for _ in range(CLIENTS)]
        ends: list[Any] = []

        def deliver(number: int, client: Source) -> None:
            client.socket.settimeout(120)
            ids = [f"{number}-{each}" for each in range(2)]
            frames = [msgpack.packb(["away", blob * 2, {"chunk": each, "compressed": "gzip"}]) for each in ids]
            assert client.deliver(frames, window=2) == ids
            ends.extend(ids)

        threads = [threading.Thread(target=deliver, args=each) for each in enumerate(clients)]
        for thread in threads:
            thread.start()
        process.wait_for("downstream_unreachable")
        threads[0].join(5)
        assert ends == []
        assert peak_mb(process.pid) < MOST_MB
        with Sink(count_only=True, port=int(address.rpartition(":")[2])) as sink:
            for thread in threads:
                thread.join(120)
            assert len(set(ends)) == 2 * CLIENTS
            assert sink.chunks == 2 * CLIENTS
            assert sink.size > 2 * CLIENTS * 2 * sum(map(len, lines))
        print(f"most memory {peak_mb(process.pid):.0f} MiB")
        assert peak_mb(process.pid) < MOST_MB
