"""Frames that go downstream: the bytes that came in wherever they can stay, new ones only where something changed.

What is written anew follows the client rules of the protocol: a str tag, a bin blob, a str chunk id, never an empty
blob. Everything that is kept is a view of the memory it came in.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgpack

from firstseen.forward.messages import Chunk, Mode, option_pairs, text
from firstseen.packing import Buffer, Kind, array_header, bin_header, map_header, read_head, resized, str_header

MAX_CHUNK_ID = 256
"""Bytes of a chunk id that is kept: an ack has to fit into the one read that peers give it."""

RandomBytes = Callable[[int], bytes]
"""Gives so many random bytes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """``pieces`` make one frame when written one behind the other; ``chunk`` is the id that its ack must carry.

    ``chunk`` is None where no ack is expected. The id stays the same for every attempt to deliver the frame.
    """

    tag: str
    pieces: tuple[Buffer, ...]
    size: int
    chunk: str | None


@dataclass(frozen=True, slots=True)
class Body:
    """New content of a chunk's entries: ``pieces`` hold ``count`` entries, compressed if ``gzipped``.

    ``shortened`` says that there are fewer than before, so that the sender's ``size`` hint is wrong now.
    """

    pieces: tuple[Buffer, ...]
    count: int
    gzipped: bool = False
    shortened: bool = False

    @property
    def size(self) -> int:
        """Bytes of all pieces."""
        return sum(map(len, self.pieces))


def outgoing(
    chunk: Chunk, *, require_ack: bool, random_bytes: RandomBytes, body: Body | None = None, tag: str | None = None
) -> Frame:
    """The frame that carries ``chunk`` on, with another ``body`` or ``tag`` where one is given.

    The sender's chunk id is kept if every peer reads it the same and can echo it. Without such an id the frame gets one
    of its own where ``require_ack`` needs it: an ack that never fits would stop everything behind it.
    """
    chunk_id = _usable_id(chunk)
    changes: dict[str, bytes | None] = {}
    if require_ack and chunk_id is None:
        chunk_id = new_chunk_id(random_bytes)
        changes["chunk"] = msgpack.packb(chunk_id)
    if body is not None and chunk.options.compressed and not body.gzipped:
        changes["compressed"] = None
    if body is not None and body.shortened:
        changes["size"] = None
    data = memoryview(chunk.data)
    pieces: list[Buffer]
    if not changes and body is None and tag is None:
        pieces = [data[chunk.start : chunk.stop]]
    else:
        pieces = [*_opening(chunk, data, bool(changes), tag), *_content(chunk, data, body)]
        pieces += _closing(chunk, data, changes)
    return Frame(
        chunk.tag if tag is None else tag, tuple(pieces), sum(map(len, pieces)), chunk_id if require_ack else None
    )


def forward_frame(tag: str, entries: Sequence[Buffer], *, require_ack: bool, random_bytes: RandomBytes) -> Frame:
    """A Forward frame of our own around ``entries``, each of them whole."""
    name = tag.encode("utf-8", "surrogateescape")
    chunk_id = new_chunk_id(random_bytes) if require_ack else None
    options: dict[str, object] = {"size": len(entries)}
    if chunk_id is not None:
        options = {"chunk": chunk_id, **options}
    pieces: tuple[Buffer, ...] = (
        array_header(3) + str_header(len(name)) + name + array_header(len(entries)),
        *entries,
        msgpack.packb(options),
    )
    return Frame(tag, pieces, sum(map(len, pieces)), chunk_id)


def new_chunk_id(random_bytes: RandomBytes) -> str:
    """128 random bits in base64, as every peer takes them."""
    return base64.b64encode(random_bytes(16)).decode("ascii")


def _usable_id(chunk: Chunk) -> str | None:
    raw = chunk.options.chunk
    head = read_head(raw, 0, len(raw)) if raw else None
    if raw is None or head is None or chunk.options.id_in_doubt:
        return None
    chunk_id = text(raw) if head.kind is Kind.STR and 0 < head.size <= MAX_CHUNK_ID else None
    return chunk_id if chunk_id is not None and chunk_id.isascii() else None


def _opening(chunk: Chunk, data: memoryview, changed_options: bool, tag: str | None) -> list[Buffer]:
    """The frame's array header and its tag."""
    elements = chunk.elements
    if chunk.option is None and changed_options:
        elements += 1
    outer = read_head(data, chunk.start, chunk.stop)
    behind_outer = outer.payload if outer else chunk.start
    header = resized(data[chunk.start : behind_outer], elements)
    if tag is None:
        return [header, data[behind_outer : chunk.carrier]]
    name = tag.encode("utf-8", "surrogateescape")
    return [header, str_header(len(name)) + name]


def _content(chunk: Chunk, data: memoryview, body: Body | None) -> list[Buffer]:
    """The second element (in Message mode the second and the third)."""
    if body is None:
        return [data[chunk.carrier : chunk.body_stop]]
    if chunk.mode is Mode.MESSAGE:
        return list(body.pieces)
    header = bytes(data[chunk.carrier : chunk.body])
    if chunk.mode is Mode.FORWARD:
        return [resized(header, body.count), *body.pieces]
    # A blob of our own making is bin: some peers take no others.
    return [bin_header(body.size), *body.pieces]


def _closing(chunk: Chunk, data: memoryview, changes: Mapping[str, bytes | None]) -> list[Buffer]:
    """The option element and whatever lies behind it."""
    if not changes:
        return [data[chunk.body_stop : chunk.stop]]
    pairs = [] if chunk.option is None else list(option_pairs(data, chunk.option, chunk.option_stop))
    kept = [(key, value) for name, key, value in pairs if name not in changes]
    added = [(msgpack.packb(name), value) for name, value in changes.items() if value is not None]
    options = (map_header(len(added) + len(kept)), *(part for pair in (*added, *kept) for part in pair))
    return [b"".join(options), data[chunk.option_stop : chunk.stop]]
