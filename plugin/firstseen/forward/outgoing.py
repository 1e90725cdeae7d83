"""Frames that go downstream: the bytes that came in wherever they can stay, new ones only where something changed.

What is written anew follows the client rules of the protocol: a str tag, a bin blob, a str chunk id, never an empty
blob. Everything that is kept is a view of the memory it came in.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping

import msgpack
from msgspec import Struct

from firstseen.forward.handshake import RandomBytes
from firstseen.forward.messages import Chunk, Mode, option_pairs, text
from firstseen.packing import NIL, Buffer, Kind, array_header, bin_header, map_header, read_head, resized, str_header

MAX_CHUNK_ID = 256
"""Bytes of a chunk id that is kept: an ack has to fit into the one read that peers give it."""


class Frame(Struct, frozen=True):
    """``pieces`` make one frame when written one behind the other; ``chunk`` is the id that its ack must carry.

    ``chunk`` is None where no ack is expected. The id stays the same for every attempt to deliver the frame.
    """

    tag: str
    pieces: tuple[Buffer, ...]
    size: int
    chunk: str | None


class Body(Struct, frozen=True):
    """New content of a chunk's entries: ``pieces`` hold ``count`` entries, as the chunk names it if ``compressed``.

    ``shortened`` says that there are fewer than before, so that the sender's ``size`` hint is wrong now.
    """

    pieces: tuple[Buffer, ...]
    count: int
    compressed: bool = False
    shortened: bool = False

    @property
    def size(self) -> int:
        """Bytes of all pieces."""
        return sum(map(len, self.pieces))


def outgoing(
    chunk: Chunk,
    *,
    require_ack: bool,
    random_bytes: RandomBytes,
    body: Body | None = None,
    tag: str | None = None,
    chunk_id: str | None = None,
    without: Collection[str] = (),
) -> Frame:
    """The frame that carries ``chunk`` on, with another ``body``, ``tag`` or ``chunk_id`` where one is given.

    Options named in ``without`` stay behind. The sender's chunk id is kept if every peer reads it the same and can echo
    it. Without such an id the frame gets one of its own where ``require_ack`` needs it: an ack that never fits would
    stop everything behind it.
    """
    changes: dict[str, bytes | None] = dict.fromkeys(without)
    kept_id = usable_id(chunk) if chunk_id is None else None
    if require_ack and kept_id is None:
        kept_id = chunk_id or new_chunk_id(random_bytes)
        changes["chunk"] = msgpack.packb(kept_id)
    names_compression = chunk.options.compressed is not None or chunk.options.compression_in_doubt
    if body is not None and names_compression and not body.compressed:
        changes["compressed"] = None
    if body is not None and body.shortened:
        changes["size"] = None
    if chunk.option is None:
        changes = {name: value for name, value in changes.items() if value is not None}
    # Fluent Bit reads no PackedForward frame whose option is nil: it becomes a map without anything in it.
    nothing = chunk.mode is Mode.PACKED and chunk.option is not None and chunk.data[chunk.option] == NIL
    data = memoryview(chunk.data)
    pieces: list[Buffer]
    if not changes and body is None and tag is None and not nothing:
        pieces = [data[chunk.start : chunk.stop]]
    else:
        pieces = [*_opening(chunk, data, bool(changes), tag), *_content(chunk, data, body)]
        pieces += _closing(chunk, data, changes, anew=bool(changes) or nothing)
    return Frame(
        chunk.tag if tag is None else tag, tuple(pieces), sum(map(len, pieces)), kept_id if require_ack else None
    )


def forward_frame(tag: str, body: Body, chunk_id: str | None) -> Frame:
    """A Forward frame of our own around the entries of ``body``, with this chunk id if an ack is wanted."""
    name = tag.encode("utf-8", "surrogateescape")
    options: dict[str, object] = {"size": body.count}
    if chunk_id is not None:
        options = {"chunk": chunk_id, **options}
    pieces: tuple[Buffer, ...] = (
        array_header(3) + str_header(len(name)) + name + array_header(body.count),
        *body.pieces,
        msgpack.packb(options),
    )
    return Frame(tag, pieces, sum(map(len, pieces)), chunk_id)


def new_chunk_id(random_bytes: RandomBytes) -> str:
    """128 random bits in base64, as every peer takes them."""
    return base64.b64encode(random_bytes(16)).decode("ascii")


def derived_id(chunk_id: str, what: str) -> str:
    """The id of a frame that stands for a part of another: the same each time, so that a repeat can be told."""
    digest = hashlib.sha256(f"{len(chunk_id)}:{chunk_id}{what}".encode("utf-8", "surrogateescape")).digest()
    return base64.b64encode(digest[:16]).decode("ascii")


def usable_id(chunk: Chunk) -> str | None:
    """The sender's chunk id, if every peer reads it the same and can echo it."""
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
    if not body.count:
        return [array_header(0)]  # Fluent Bit closes the connection on an empty blob
    # A blob of our own making is bin: some peers take no others.
    return [bin_header(body.size), *body.pieces]


def _closing(chunk: Chunk, data: memoryview, changes: Mapping[str, bytes | None], *, anew: bool) -> list[Buffer]:
    """The option element and whatever lies behind it."""
    if not anew:
        return [data[chunk.body_stop : chunk.stop]]
    pairs = [] if chunk.option is None else list(option_pairs(data, chunk.option, chunk.option_stop))
    kept = [(key, value) for name, key, value in pairs if name not in changes]
    added = [(msgpack.packb(name), value) for name, value in changes.items() if value is not None]
    options = (map_header(len(added) + len(kept)), *(part for pair in (*added, *kept) for part in pair))
    return [b"".join(options), data[chunk.option_stop : chunk.stop]]
