"""What a chunk holds: its entries, inflated where they are compressed, walked, and checked one by one.

A chunk may go on compressed only where every peer is sure to read it so: one member or frame that is not too large, in
a frame of exactly three elements (Fluent Bit inflates no others) whose option names in so many words what it is. What
is lost downstream would be acked there all the same.
"""

from __future__ import annotations

from msgspec import Struct

from firstseen.errors import ProtocolError
from firstseen.forward.compression import Algorithm, algorithm, inflating, travels
from firstseen.forward.entries import Entries, behind, checking, record_fault, time_fault, walking
from firstseen.forward.groups import Group, count_markers, groups
from firstseen.forward.messages import Chunk, Mode
from firstseen.steps import Steps, finished


class Content(Struct, frozen=True):
    """The ``entries`` of ``chunk``; ``algorithm`` compressed them, in ``members`` pieces (0 where nothing did).

    In Message mode the one entry is a time and a record without an array around them. ``found`` are the log groups;
    ``markers`` of the entries say where one begins or ends.
    """

    chunk: Chunk
    entries: Entries
    algorithm: Algorithm | None
    members: int
    found: tuple[Group, ...]
    markers: int

    @property
    def records(self) -> int:
        """How many of the entries are records."""
        return self.entries.count - self.markers

    @property
    def held(self) -> int:
        """Bytes that this takes beside the chunk's own."""
        return 0 if self.algorithm is None else len(self.entries.data)

    @property
    def travels(self) -> bool:
        """Whether every peer reads the entries whole as they came."""
        if self.algorithm is None:
            return not self.chunk.options.compression_in_doubt
        return self.is_named and travels(self.algorithm, len(self.entries.data), self.members)

    @property
    def is_named(self) -> bool:
        """Whether everybody who reads the frame takes its blob for what it is."""
        options = self.chunk.options
        named = self.algorithm is not None and options.compressed == self.algorithm.value
        return named and not options.compression_in_doubt and self.chunk.elements == 3


def inflates(chunk: Chunk) -> bool:
    """Whether `reading` takes memory beside the chunk's own, as far as its first bytes and its options tell."""
    if chunk.mode is not Mode.PACKED:
        return False
    blob = memoryview(chunk.data)[chunk.body : chunk.body_stop]
    return chunk.options.compressed is not None or algorithm(None, blob) is not None


def content_of(chunk: Chunk, max_decompressed: int) -> Content:
    """What ``chunk``, which holds logs, holds.

    Raises `ProtocolError` where it cannot be read: broken compression, more than ``max_decompressed`` bytes of entries,
    or something among them that is none.
    """
    return finished(reading(chunk, max_decompressed))


def reading(chunk: Chunk, max_decompressed: int) -> Steps[Content]:
    """The same in steps."""
    data = chunk.data
    if chunk.mode is Mode.MESSAGE:
        record = behind(data, chunk.body, chunk.body_stop)
        fault = time_fault(data, chunk.body, chunk.body_stop) or record_fault(data, record, chunk.body_stop)
        if fault:
            raise ProtocolError(f"a Message frame without a time and a record: {fault}")
        size = chunk.body_stop - chunk.body
        return Content(chunk, Entries(data, chunk.body, chunk.body_stop, (0, size)), None, 0, (), 0)
    compressed, members = None, 0
    if chunk.mode is Mode.FORWARD:
        entries = Entries(data, chunk.body, chunk.body_stop, chunk.offsets)
    else:
        blob = memoryview(data)[chunk.body : chunk.body_stop]
        compressed = algorithm(chunk.options.compressed, blob)
        if compressed is None:
            entries = yield from walking(data, chunk.body, chunk.body_stop)
        else:
            plain = yield from inflating(compressed, blob, max_decompressed)
            members = plain.members
            entries = yield from walking(plain.data, 0, len(plain.data))
    if (yield from checking(entries)):
        return Content(chunk, entries, compressed, members, (), 0)
    return Content(chunk, entries, compressed, members, tuple(groups(entries)), count_markers(entries))
