"""In which frames a chunk leaves: as it came wherever it can, and only what has to be new is new.

It leaves in another shape where a default Fluent Bit would lose a part of the one it came in, in several frames where
one would be too large, and labelled records in a frame of their own where they go under another tag. The ids of frames
that take a chunk's place come from the chunk's own, so that a chunk that comes again leaves under the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from firstseen.errors import ProtocolError
from firstseen.forward.compression import deflate, travels
from firstseen.forward.content import Content
from firstseen.forward.conversion import with_event_time
from firstseen.forward.entries import BATCH, Entries
from firstseen.forward.groups import Group, Kept, bracketed, group_at, groups
from firstseen.forward.handshake import RandomBytes
from firstseen.forward.messages import Chunk, Mode
from firstseen.forward.outgoing import (
    Body,
    Frame,
    derived_id,
    forward_frame,
    new_chunk_id,
    outgoing,
    usable_id,
)
from firstseen.packing import Buffer
from firstseen.steps import Steps, finished

PIECE = 1_000_000
"""Bytes of the frames that a chunk is cut into: some servers take memory by the frame, and a retry costs less."""

FLOATS = frozenset((0xCA, 0xCB))
"""First bytes of a float: a Fluent Bit reads no Message frame with one for its time."""

SPARE = 256
"""Bytes kept free in a frame for what its header and its options may grow by."""


class Edit(Struct, frozen=True):
    """The entry at ``start`` to ``stop`` becomes ``entry``; empty bytes take it out.

    It leaves under a tag of its own where there is one, unless it is not to be set ``apart``.
    """

    start: int
    stop: int
    entry: bytes
    apart: bool = True


class Shaper(Struct, frozen=True):
    """Makes frames of at most ``max_frame`` bytes, or of one entry that is larger.

    ``tag_prefix`` is put in front of the tag of edited entries to be set apart, which then leave on their own;
    ``require_ack`` says that every frame must have a chunk id.
    """

    max_frame: int
    tag_prefix: str
    require_ack: bool
    random_bytes: RandomBytes

    def fits(self, chunk: Chunk) -> bool:
        """Whether the chunk is small enough as it came, whatever its options grow by."""
        return chunk.size + SPARE <= self.max_frame

    def as_it_came(self, chunk: Chunk) -> Frame:
        """The frame of a chunk that nobody looked into."""
        return self._frame(chunk, None)

    def frames(self, content: Content, edits: Sequence[Edit]) -> Sequence[Frame]:
        """What to deliver for a chunk with these ascending ``edits`` of its entries; nothing where it holds nothing.

        Raises `ProtocolError` for one that has to be cut, and has a tag and options that would fill every part of it.
        """
        return finished(self.shaping(content, edits))

    def shaping(self, content: Content, edits: Sequence[Edit]) -> Steps[Sequence[Frame]]:
        """The same in steps."""
        if not content.entries.count:
            return ()
        set_apart = [edit for edit in edits if edit.apart] if self.tag_prefix else []
        if not set_apart:
            return (yield from self._together(content, edits))
        if content.chunk.mode is Mode.MESSAGE:
            return (yield from self._together(content, edits, self.tag_prefix + content.chunk.tag))
        apart = yield from self._apart(content, set_apart)
        if len(set_apart) == content.records:
            return apart
        left = [replace(edit, entry=b"") if edit.apart else edit for edit in edits]
        rest = yield from self._together(content, left)
        return [*apart, *rest]

    def _together(self, content: Content, edits: Sequence[Edit], tag: str | None = None) -> Steps[Sequence[Frame]]:
        chunk = content.chunk
        if not edits and content.travels:
            whole = self._frame(chunk, None)
            if whole.size <= self.max_frame:  # with the id that it may have got
                return (whole,)
        pieces = _spliced(content.entries, edits)
        size = sum(map(len, pieces))
        if chunk.mode is Mode.MESSAGE:
            return (self._frame(chunk, Body(pieces, 1), tag=tag),)
        taken_out = sum(not edit.entry for edit in edits)
        if size <= self._room(chunk, self.max_frame):
            body = Body(pieces, content.entries.count - taken_out, shortened=bool(taken_out))
            return (self._frame(chunk, _compressed_again(content, body, size) if edits else body),)
        frames: list[Frame] = []
        for cut in self._cut(content, _kept(content.entries, edits)):
            if cut is not None:
                frames.append(self._frame(chunk, cut, chunk_id=self._derived(chunk, f"part {len(frames)}")))
            yield
        return frames

    def _apart(self, content: Content, edits: Sequence[Edit]) -> Steps[list[Frame]]:
        """Forward frames of the edited entries alone, under their own tag."""
        tag = self.tag_prefix + content.chunk.tag
        frames: list[Frame] = []
        kept: Iterator[tuple[Kept, int]] = (((edit.start, edit.stop, edit.entry), 1) for edit in edits)
        for cut in self._cut(content, kept):
            if cut is not None:
                chunk_id = self._derived(content.chunk, f"apart {len(frames)}")
                frames.append(forward_frame(tag, cut, chunk_id=chunk_id))
            yield
        return frames

    def _cut(self, content: Content, kept: Iterator[tuple[Kept, int]]) -> Iterator[Body | None]:
        """Bodies of a piece each, every record in its log group; None after each step on the way to one."""
        found = groups(content.entries)
        most = min(PIECE, self.max_frame)
        room = self._room(content.chunk, most)
        if room < most // 2:
            raise ProtocolError(
                f"its tag and options have {most - room} bytes, which is too much to repeat: it leaves in parts of"
                f" {most} bytes, being larger than output.max_frame"
            )
        part: list[Kept] = []
        size = count = 0
        group: Group | None = None

        def body() -> Body:
            whole = bracketed(content.entries.data, found, part)
            return Body(tuple(whole.pieces), count + whole.added, shortened=True)

        for entry, entries in kept:
            wanted = group_at(found, entry[0])
            brackets = wanted.brackets if wanted else 0
            more = len(entry[2]) + (0 if wanted is group else brackets)
            if part and size + more > room:
                yield body()
                part, size, count = [], 0, 0
                more = len(entry[2]) + brackets
            _append(part, entry, content.entries.data)
            size += more
            count += entries
            group = wanted
            if count % BATCH == 0:
                yield None
        if part:
            yield body()

    def _room(self, chunk: Chunk, most: int) -> int:
        """Bytes of entries that a frame of ``most`` bytes has room for, beside the chunk's tag and options."""
        return most - (chunk.size - (chunk.body_stop - chunk.body)) - len(self.tag_prefix.encode()) - SPARE

    def _derived(self, chunk: Chunk, what: str) -> str | None:
        if not self.require_ack:
            return None
        chunk_id = usable_id(chunk)
        return new_chunk_id(self.random_bytes) if chunk_id is None else derived_id(chunk_id, what)

    def _frame(self, chunk: Chunk, body: Body | None, *, tag: str | None = None, chunk_id: str | None = None) -> Frame:
        frame = outgoing(
            chunk, require_ack=self.require_ack, random_bytes=self.random_bytes, body=body, tag=tag, chunk_id=chunk_id
        )
        return with_event_time(frame) if chunk.data[chunk.carrier] in FLOATS else frame


def _append(part: list[Kept], entry: Kept, data: bytes | bytearray) -> None:
    """Add ``entry``, as a run with the one before where both lie in ``data``: a piece takes more than a small entry."""
    if part and part[-1][1] == entry[0] and _lies_in(data, part[-1]) and _lies_in(data, entry):
        start, stop = part[-1][0], entry[1]
        part[-1] = (start, stop, memoryview(data)[start:stop])
    else:
        part.append(entry)


def _lies_in(data: bytes | bytearray, kept: Kept) -> bool:
    return isinstance(kept[2], memoryview) and kept[2].obj is data


def _compressed_again(content: Content, body: Body, size: int) -> Body:
    """A new body as the chunk's own was compressed, where every peer reads that."""
    if content.algorithm is None or not content.is_named or not travels(content.algorithm, size, 1):
        return body
    return replace(body, pieces=(deflate(content.algorithm, body.pieces),), compressed=True)


def _spliced(entries: Entries, edits: Sequence[Edit]) -> tuple[Buffer, ...]:
    """The entries' bytes with each edit in place: views of what stays, and what is new between them."""
    view = memoryview(entries.data)
    pieces: list[Buffer] = []
    behind = entries.start
    for edit in edits:
        pieces += (view[behind : edit.start], edit.entry)
        behind = edit.stop
    pieces.append(view[behind : entries.stop])
    return tuple(piece for piece in pieces if len(piece))


def _kept(entries: Entries, edits: Sequence[Edit]) -> Iterator[tuple[Kept, int]]:
    """Each entry with its edit in place, and that it is one; those that are taken out are left out."""
    view = memoryview(entries.data)
    edited = {edit.start: edit.entry for edit in edits}
    for start, stop in entries.every():
        content: Buffer = edited.get(start, view[start:stop])
        if len(content):
            yield (start, stop, content), 1
