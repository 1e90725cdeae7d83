"""Finding where each frame on a connection ends, and what it is, while its bytes arrive.

There is no length prefix and no delimiter: a frame ends where its msgpack object ends. `FrameReader` looks at each byte
once, decodes nothing and allocates nothing that a peer declares: sizes and counts are compared with the frame limit
as soon as their header is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from firstseen.errors import ProtocolError
from firstseen.forward.entries import MAX_ENTRIES, SLICE, SMALLEST_ENTRY, Walk
from firstseen.forward.messages import (
    IS_TLS,
    MODES,
    NO_OPTIONS,
    TLS_RECORD,
    Chunk,
    Mode,
    Options,
    decoded,
    read_options,
    read_tag,
    usual_options,
)
from firstseen.packing import Head, Kind, read_head

MAX_ELEMENTS = 16
"""Elements that a frame may have: four mean something, the others are passed on."""

MAX_NAME = 1 << 16
"""Bytes that a tag may have, or a chunk id: they are kept beside the frame, and Fluent Bit keeps no longer tags."""

FIRST_SLICE = 1 << 12
"""Bytes walked first, or somewhat more than the frame before had: little of what follows it is charged to a frame."""


class _Opening(Struct, frozen=True):
    """What the start of a frame says; offsets count from its first byte, and the ``tag`` ends at the ``carrier``."""

    elements: int
    tag: int
    carrier: int
    head: Head
    mode: Mode

    @property
    def has_options_only(self) -> bool:
        """Whether there is one element behind the entries."""
        return self.elements == 3 and self.mode is not Mode.MESSAGE


class FrameReader:
    """Finds frames in a growing buffer, for one connection.

    Call `next_frame` with the buffer and the part of it that holds unread bytes: it returns the `Chunk` of the frame
    that begins there, or None when it needs more bytes. Between calls the unread bytes may move to another buffer.
    A frame has at most ``limit`` bytes, its tag and its chunk id at most ``longest_name`` each. Raises `ProtocolError`;
    the connection cannot be read any further then.
    """

    __slots__ = ("_entries", "_fed", "_limit", "_longest_name", "_opening", "_options", "_rest", "_slice")

    def __init__(self, limit: int, longest_name: int = MAX_NAME) -> None:
        self._limit = limit
        self._longest_name = longest_name
        self._reset(FIRST_SLICE)

    def _reset(self, first_slice: int) -> None:
        self._opening: _Opening | None = None
        self._entries: Walk | None = None
        self._rest: Walk | None = None
        self._options: Options | None = None
        self._fed = 0
        self._slice = first_slice

    def tag_in(self, data: bytearray, start: int) -> str | None:
        """The tag of the frame that is being read and begins at ``start``, where it is known already.

        It is not kept before the frame is whole: as text it may take four times its bytes, on each connection.
        """
        opening = self._opening
        return None if opening is None else decoded(data[start + opening.tag : start + opening.carrier])

    @property
    def announced(self) -> int:
        """Bytes that the frame that is being read has at least, as far as that is known; 0 where it is not."""
        opening = self._opening
        return opening.head.payload + opening.head.size if opening and opening.mode is Mode.PACKED else 0

    def next_frame(self, data: bytearray, start: int, stop: int) -> Chunk | None:
        """The frame that begins at ``start``, if all of it lies before ``stop``."""
        within = min(stop, start + self._limit)  # what lies beyond must not decide what is wrong with the frame
        try:
            chunk = self._read(data, start, within)
        except ProtocolError as error:
            if error.tag is None:
                error.tag = self.tag_in(data, start)
            raise
        if chunk is not None:
            self._reset(min(max(chunk.size + chunk.size // 4, FIRST_SLICE), SLICE))  # the next one is mostly like it
        elif within < stop:
            reason = f"a frame of more than {self._limit} bytes (input.max_frame)"
            raise ProtocolError(reason, tag=self.tag_in(data, start))
        return chunk

    def _read(self, data: bytearray, start: int, stop: int) -> Chunk | None:
        if self._opening is None:
            self._open(data, start, stop)
        opening = self._opening
        if opening is None:
            return None
        end = self._find_end(opening, data, start, stop)
        return None if end is None else self._chunk(opening, data, start, end)

    def _open(self, data: bytearray, start: int, stop: int) -> None:
        outer = read_head(data, start, stop)
        if outer is None:
            return
        if outer.kind is not Kind.ARRAY:
            hint = IS_TLS if data[start : start + 1] == TLS_RECORD else ""
            raise ProtocolError(f"a frame is an array, not {outer.kind.words}{hint}")
        if outer.size < 2:
            raise ProtocolError(f"a frame has two elements or more, not {outer.size}")
        if outer.size > MAX_ELEMENTS:
            raise ProtocolError(f"a frame has at most {MAX_ELEMENTS} elements, not {outer.size}")
        tag = read_tag(data, outer.payload, stop)
        if tag is None:
            return
        self._check_declared(tag.size, 1, "bytes of tag")
        self._check_name(tag.size, "tag")
        carrier = tag.payload + tag.size
        head = read_head(data, carrier, stop)
        if head is None:
            return
        mode = MODES.get(head.kind)
        if mode is None:
            name = decoded(data[tag.payload : carrier])
            raise ProtocolError(f"the second element is {head.kind.words}", tag=name)
        head = head._replace(payload=head.payload - start)
        self._opening = _Opening(outer.size, tag.payload - start, carrier - start, head, mode)
        self._begin(self._opening)

    def _check_declared(self, count: int, each: int, what: str) -> None:
        if count * each > self._limit:
            raise ProtocolError(f"{count} {what} announced, in a frame of at most {self._limit} bytes")

    def _check_name(self, size: int, what: str) -> None:
        if size > self._longest_name:
            raise ProtocolError(f"a {what} has at most {self._longest_name} bytes, not {size}")

    def _begin(self, opening: _Opening) -> None:
        """Set up what has to be walked: the entries of a Forward frame first, then the elements behind."""
        head = opening.head
        if opening.mode is Mode.FORWARD:
            self._check_declared(head.size, SMALLEST_ENTRY, "entries")
            if head.size > MAX_ENTRIES:
                raise ProtocolError(f"{head.size} entries announced, of which at most {MAX_ENTRIES} are read")
            self._entries = Walk(head.size, self._limit)
            self._fed = head.payload
        elif opening.mode is Mode.PACKED:
            self._check_declared(head.size, 1, "bytes of entries")
        elif opening.elements < 3:
            raise ProtocolError("a Message frame without a record")

    def _find_end(self, opening: _Opening, data: bytearray, start: int, stop: int) -> int | None:
        """The offset behind the frame, None while it is not all there."""
        if self._rest is None:
            if self._entries is not None and not self._walk(self._entries, data, start, stop):
                return None
            self._fed = self._rest_start(opening)
            at = start + self._fed
            if at > stop:
                return None
            usual = usual_options(data, at, stop) if at < stop and opening.has_options_only else None
            if usual is not None:
                self._options, end = usual
                return end
            self._rest = Walk(opening.elements - (1 if opening.mode is Mode.MESSAGE else 2), self._limit)
        if not self._walk(self._rest, data, start, stop):
            return None
        end = start + self._rest_start(opening) + self._rest.position
        return end if end <= stop else None  # a blob is stepped over before it is here

    def _walk(self, walk: Walk, data: bytearray, start: int, stop: int) -> bool:
        while not walk.advance():
            at = start + self._fed
            upto = min(at + self._slice, stop)
            if upto <= at:
                return False
            walk.feed(data, at, upto)
            self._fed = upto - start
            self._slice = min(2 * self._slice, SLICE)
        return True

    def _rest_start(self, opening: _Opening) -> int:
        """Where the elements begin that the rest walk steps over."""
        if opening.mode is Mode.MESSAGE:
            return opening.carrier
        if self._entries is not None:
            return opening.head.payload + self._entries.position
        return opening.head.payload + opening.head.size

    def _chunk(self, opening: _Opening, data: bytearray, start: int, end: int) -> Chunk:
        rest_start = start + self._rest_start(opening)
        behind = [rest_start + offset for offset in self._rest.offsets[:-1]] if self._rest else [rest_start]
        offsets = _NOT_WALKED
        body, body_stop = start + opening.head.payload, rest_start
        if opening.mode is Mode.MESSAGE:
            body = rest_start
            _, _, *behind = behind
            body_stop = behind[0] if behind else end
        elif self._entries is not None:
            offsets = self._entries.offsets
        option_stop = behind[1] if len(behind) > 1 else end
        options = self._options
        if options is None:
            options = read_options(data, behind[0], option_stop) if behind else NO_OPTIONS
        self._check_name(len(options.chunk or b""), "chunk id")
        if opening.mode is not Mode.PACKED and (options.compressed is not None or options.compression_in_doubt):
            # Entries that are no blob are what they are.
            options = replace(options, compressed=None, compression_in_doubt=False)
        return Chunk(
            data=data,
            start=start,
            stop=end,
            mode=opening.mode,
            tag=decoded(data[start + opening.tag : start + opening.carrier]),
            elements=opening.elements,
            carrier=start + opening.carrier,
            body=body,
            body_stop=body_stop,
            option=behind[0] if behind else None,
            option_stop=option_stop,
            options=options,
            offsets=offsets,
        )


_NOT_WALKED: Sequence[int] = ()
