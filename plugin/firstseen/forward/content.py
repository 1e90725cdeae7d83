"""What a chunk holds: its entries, inflated where they are compressed, walked, and checked one by one.

A chunk may go on compressed only where every peer is sure to read it so: one member or frame that is not too large, in
a frame of exactly three elements (Fluent Bit inflates no others) whose option names in so many words what it is. What
is lost downstream would be acked there all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from firstseen.errors import ProtocolError
from firstseen.forward.compression import Algorithm, algorithm, inflate, travels
from firstseen.forward.entries import Entries, behind, check, record_fault, time_fault, walk
from firstseen.forward.groups import Group, groups
from firstseen.forward.messages import Chunk, Mode


@dataclass(frozen=True, slots=True)
class Content:
    """The ``entries`` of ``chunk``; ``algorithm`` compressed them, in ``members`` pieces (0 where nothing did).

    In Message mode the one entry is a time and a record without an array around them. ``found`` are the log groups.
    """

    chunk: Chunk
    entries: Entries
    algorithm: Algorithm | None
    members: int
    found: tuple[Group, ...]

    @property
    def records(self) -> int:
        """How many of the entries are records; the others mark where a log group begins or ends."""
        return self.entries.count - sum(1 + (group.closing is not None) for group in self.found)

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


def content_of(chunk: Chunk, max_decompressed: int) -> Content:
    """What ``chunk``, which holds logs, holds.

    Raises `ProtocolError` where it cannot be read: broken compression, more than ``max_decompressed`` bytes of entries,
    or something among them that is none.
    """
    data = chunk.data
    if chunk.mode is Mode.MESSAGE:
        record = behind(data, chunk.body, chunk.body_stop)
        fault = time_fault(data, chunk.body, chunk.body_stop) or record_fault(data, record, chunk.body_stop)
        if fault:
            raise ProtocolError(f"a Message frame without a time and a record: {fault}")
        size = chunk.body_stop - chunk.body
        return Content(chunk, Entries(data, chunk.body, chunk.body_stop, (0, size)), None, 0, ())
    compressed, members = None, 0
    if chunk.mode is Mode.FORWARD:
        entries = Entries(data, chunk.body, chunk.body_stop, chunk.offsets)
    else:
        blob = memoryview(data)[chunk.body : chunk.body_stop]
        compressed = algorithm(chunk.options.compressed, blob)
        if compressed is None:
            entries = walk(data, chunk.body, chunk.body_stop)
        else:
            plain = inflate(compressed, blob, max_decompressed)
            members = plain.members
            entries = walk(plain.data, 0, len(plain.data))
    all_usual = check(entries)
    return Content(chunk, entries, compressed, members, () if all_usual else tuple(groups(entries)))
