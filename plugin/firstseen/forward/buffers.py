"""Memory that frames are read into, used again and again: a fresh 2 MB buffer costs more in page faults than its frame.

A `Slab` is lent: whoever reads from it holds one lease, and the last to let go gives its memory back to the `Pool`. No
two owners write to one slab: the receiver fills it front to back, everyone else only reads what is already there.
"""

from __future__ import annotations

import sys

SMALLEST = 1 << 16
"""Bytes in the smallest slab; of larger ones there are four sizes up to each power of two."""


class Slab:
    """``data`` is the memory, ``view`` the same for slicing without a copy; both are empty once it is given back."""

    __slots__ = ("_leases", "_pool", "data", "view")

    def __init__(self, pool: Pool, memory: bytearray) -> None:
        self._pool = pool
        self._leases = 0
        self.data = memory
        self.view = memoryview(memory)

    @property
    def lent(self) -> bool:
        """Whether somebody holds a lease: the memory is still this slab's."""
        return self._leases > 0

    def lease(self) -> Slab:
        """One more owner."""
        self._leases += 1
        return self

    def release(self) -> None:
        """One owner fewer; the last one must not touch the memory again."""
        self._leases -= 1
        if self._leases == 0:
            memory, self.data, self.view = self.data, bytearray(), memoryview(b"")
            self._pool.give_back(memory)
        elif self._leases < 0:
            raise AssertionError("a slab was released more often than it was leased")


class Pool:
    """Slabs of few sizes; keeps at most ``spare_bytes`` of unused memory. ``lent`` is how many bytes are in use.

    With what is spare they are never more bytes than were in use at one time.

    A slab is resident in full, however little of it is used. What is kept is of the sizes that were asked for last:
    else what one large frame outgrew would be kept for ever, and the slabs of all later ones would not.

    ``limit`` is how many bytes should be in use: `has_room` tells, and whoever can wait does.
    """

    __slots__ = ("_free", "_most", "_spare", "lent", "limit", "spare_bytes")

    def __init__(self, spare_bytes: int = 1 << 23, limit: int = sys.maxsize) -> None:
        self._free: dict[int, list[bytearray]] = {}  # the size that was asked for last is the last one
        self._spare = 0
        self._most = 0
        self.lent = 0
        self.limit = limit
        self.spare_bytes = spare_bytes

    def has_room(self, size: int) -> bool:
        """Whether a slab of ``size`` bytes may be taken within the limit."""
        return self.lent + _rounded(size) <= self.limit

    def take(self, size: int) -> Slab:
        """A slab of at least ``size`` bytes with one lease on it, its content arbitrary."""
        rounded = _rounded(size)
        self.lent += rounded
        self._most = max(self._most, self.lent)
        free = self._free.pop(rounded, [])
        self._free[rounded] = free
        if free:
            self._spare -= rounded
            return Slab(self, free.pop()).lease()
        self._drop(rounded, min(self.limit, self._most) - self.lent)  # what nobody uses does not stay beside it
        return Slab(self, bytearray(rounded)).lease()

    def give_back(self, memory: bytearray) -> None:
        """Called by the slab itself when nobody uses it any more."""
        size = len(memory)
        self.lent -= size
        most = min(self.spare_bytes, self._most - self.lent, self.limit - self.lent)
        if size <= most:
            self._drop(size, most - size)
        if self._spare + size <= most:
            self._spare += size
            self._free.setdefault(size, []).append(memory)

    def _drop(self, size: int, room: int) -> None:
        """Keep no more than ``room`` bytes, as far as giving up what was asked for before that size helps."""
        for older in list(self._free):
            if older == size or self._spare <= room:
                return
            self._spare -= older * len(self._free.pop(older))


def _rounded(size: int) -> int:
    if size <= SMALLEST:
        return SMALLEST
    step = 1 << (size - 1).bit_length() - 3
    return -(-size // step) * step
