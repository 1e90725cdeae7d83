"""Bytes that a peer sends, in any splitting, into a `Receiver`; and what comes out of it, copied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from firstseen.forward.buffers import Pool
from firstseen.forward.messages import Chunk, Mode, Options
from firstseen.forward.server import Received, Receiver


def feed(receiver: Receiver, data: bytes) -> list[Received]:
    """``data`` arrives in one piece, or in as many as the receiver's buffers ask for; nothing is released."""
    found = []
    while data:
        buffer = receiver.buffer()
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        found += receiver.received(size)
        while receiver.has_more:
            found += receiver.received(0)
        data = data[size:]
    return found


def pieces(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """``data`` cut at the offsets ``cuts``."""
    at = 0
    for cut in (*sorted(cuts), len(data)):
        yield data[at:cut]
        at = cut


@dataclass(frozen=True)
class Found:
    """A chunk, copied out of the receiver's memory; offsets count from the frame's first byte."""

    frame: bytes
    mode: Mode
    tag: str
    elements: int
    carrier: int
    body: tuple[int, int]
    option: tuple[int, int] | None
    options: Options
    count: int
    offsets: Sequence[int]


def found(chunk: Chunk) -> Found:
    """What ``chunk`` says, on its own."""
    start = chunk.start
    return Found(
        frame=bytes(chunk.data[start : chunk.stop]),
        mode=chunk.mode,
        tag=chunk.tag,
        elements=chunk.elements,
        carrier=chunk.carrier - start,
        body=(chunk.body - start, chunk.body_stop - start),
        option=None if chunk.option is None else (chunk.option - start, chunk.option_stop - start),
        options=chunk.options,
        count=chunk.count,
        offsets=tuple(chunk.offsets),
    )


@dataclass(frozen=True)
class Outcome:
    """All that a receiver made of a connection: its chunks, its error, and whether it waits for the rest of a frame."""

    chunks: Sequence[Found]
    error: str | None
    waits: bool


def receive(sent: Iterable[bytes], max_frame: int = 1 << 20) -> Outcome:
    """What a connection on which ``sent`` arrives comes to; every chunk is released at once."""
    receiver = Receiver(Pool(), max_frame)
    chunks = []
    for piece in sent:
        for received in feed(receiver, piece):
            chunks.append(found(received.chunk))
            received.slab.release()
    error = None if receiver.error is None else str(receiver.error)
    return Outcome(chunks, error, error is None and receiver.inside_frame)


def chunk_of(frame: bytes) -> Chunk:
    """The chunk that is all of ``frame``."""
    receiver = Receiver(Pool(), 1 << 26)
    (received,) = feed(receiver, frame)
    assert receiver.error is None
    assert received.chunk.size == len(frame)
    return received.chunk
