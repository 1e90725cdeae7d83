"""The receiving end of a Forward connection without its socket: bytes in, chunks out, acks out.

`Receiver` owns the memory that a connection's bytes are read into. It never raises into the I/O loop: what a peer broke
is in `error`, the chunks before it are still returned, and every byte after it is ignored.
"""

from __future__ import annotations

from msgspec import Struct

from firstseen.errors import ProtocolError
from firstseen.forward.buffers import SMALLEST, Pool, Slab
from firstseen.forward.frames import FrameReader
from firstseen.forward.messages import Chunk
from firstseen.packing import NIL

MOST_FOUND = 256
"""Chunks that are found at a time: a frame may have four bytes, and nobody else is served meanwhile."""

OPTION_ROOM = 1 << 12
"""Bytes behind a blob of entries for which there is room at once; an option takes some dozen."""


def ack(chunk_id: bytes) -> bytes:
    """The reply to a chunk whose id is the msgpack object ``chunk_id``: ``{"ack": <the same bytes>}``."""
    return b"\x81\xa3ack" + chunk_id


class Received(Struct, frozen=True):
    """A chunk and the memory it lies in: call ``slab.release`` once the bytes are not needed any more."""

    chunk: Chunk
    slab: Slab


class Receiver:
    """Turns what a peer sends into chunks, whatever the splitting.

    Read into `buffer`, then tell `received` how many bytes came.
    """

    __slots__ = ("_end", "_expect", "_frames", "_full", "_last", "_limit", "_pool", "_slab", "_start", "error")

    def __init__(self, pool: Pool, max_frame: int) -> None:
        self._pool = pool
        self._limit = max_frame
        self._frames = FrameReader(max_frame)
        self._slab: Slab | None = None
        self._last: Slab | None = None
        self._start = 0
        self._end = 0
        self._expect = SMALLEST
        self._full = False
        self.error: ProtocolError | None = None

    @property
    def inside_frame(self) -> bool:
        """Whether a frame has begun and not ended: at the end of the stream it is lost, and the sender knows."""
        return self._end > self._start

    @property
    def tag(self) -> str | None:
        """The tag of the frame that has begun, where it is known already."""
        return None if self._slab is None else self._frames.tag_in(self._slab.data, self._start)

    @property
    def needs(self) -> int:
        """Bytes of memory that `buffer` would have to take before more can be read; 0 while there is room."""
        slab = self._slab
        if slab is None or self._end < len(slab.data) or self.error is not None:
            return 0
        return self._larger

    @property
    def _larger(self) -> int:
        """Bytes of the slab that the unread bytes move to: twice as many, or all that the frame says it has.

        What a frame says is no reason to take more for it, only to take less.
        """
        unread = self._end - self._start
        announced = self._frames.announced + OPTION_ROOM
        return max(self._expect, min(2 * unread, announced) if announced > unread else 2 * unread)

    @property
    def has_more(self) -> bool:
        """Whether there may be more chunks in what was read: `received` with no new bytes goes on with them."""
        return self._full and self.error is None

    def buffer(self) -> memoryview:
        """Where the next bytes go; never empty."""
        slab = self._slab
        if slab is None:
            slab = self._slab = self._begin()
        elif self._end == len(slab.data):
            slab = self._grow(slab)
        return slab.view[self._end :]

    def _begin(self) -> Slab:
        """A slab for the next frame: the last one while chunks hold it anyway, so that small ones share memory."""
        last = self._last
        if last is not None and last.lent and len(last.data) - self._end >= self._expect:
            self._start = self._end
            return last.lease()
        self._start = self._end = 0
        # What the last frame took is a guess that saves moving this one; where memory is short, it has to begin small.
        return self._pool.take(self._expect if self._pool.has_room(self._expect) else SMALLEST)

    def _grow(self, slab: Slab) -> Slab:
        """Move the unread bytes to the front of another slab, a larger one if they fill this one."""
        unread = self._end - self._start
        larger = self._pool.take(self._larger)
        larger.view[:unread] = slab.view[self._start : self._end]
        slab.release()
        self._slab, self._start, self._end = larger, 0, unread
        return larger

    def received(self, size: int) -> list[Received]:
        """``size`` bytes were read into `buffer`: the chunks that are now complete, each with a lease on its memory.

        At most `MOST_FOUND` of them: ask `has_more`.
        """
        slab = self._slab
        if slab is None or self.error is not None:
            return []
        self._end += size
        found: list[Received] = []
        try:
            self._find(slab, found)
        except ProtocolError as error:
            self.error = error
        if self.error is not None or self._start == self._end:
            # Nothing unread: idle connections hold no memory.
            self._slab, self._last = None, slab
            slab.release()
        return found

    def _find(self, slab: Slab, found: list[Received]) -> None:
        data, end = slab.data, self._end
        self._full = False
        while self._start < end:
            if len(found) == MOST_FOUND:
                self._full = True
                return
            # A nil between frames is a heartbeat that the specification allows; it means nothing.
            if data[self._start] == NIL:
                self._start += 1
                continue
            chunk = self._frames.next_frame(data, self._start, end)
            if chunk is None:
                return
            self._start = chunk.stop
            self._expect = chunk.size + 1
            found.append(Received(chunk, slab.lease()))

    def close(self) -> None:
        """The connection is gone: give the memory back."""
        if self._slab is not None:
            self._slab.release()
        self._slab = self._last = None
        self._start = self._end = 0
