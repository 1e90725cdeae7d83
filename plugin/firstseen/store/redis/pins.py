"""What an agent knows of shared terms at the moment: those that are reserved, and the last ones it met."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import NamedTuple

from firstseen.detect.threshold import Bucket
from firstseen.store.base import Memory

MOST_CACHED = 16_384
"""Terms remembered here beyond those on their way. A known term that is not costs one more round trip."""

MOST_MARKS = 16
"""A memory of more events than that is not kept: thousands of them could take hundreds of megabytes."""


class Met(NamedTuple):
    """What was remembered when it was read, and the token of its writing where that is known."""

    memory: Memory | None
    token: bytes | None = None


NOTHING = Met(None)


class Cache:
    """The terms met last, and what was remembered of them: that may be more by now, or forgotten, but not less."""

    def __init__(self, most: int = MOST_CACHED) -> None:
        self._most = most
        self._met: OrderedDict[bytes, Met] = OrderedDict()

    def __len__(self) -> int:
        return len(self._met)

    def get(self, key: bytes) -> Met:
        """What was remembered under ``key``; nothing where that is not known here."""
        met = self._met.get(key)
        if met is None:
            return NOTHING
        self._met.move_to_end(key)
        return met

    def put(self, key: bytes, met: Met) -> None:
        """This is what is remembered now."""
        if isinstance(met.memory, Bucket) and len(met.memory.marks) > MOST_MARKS:
            self.drop(key)
            return
        self._met[key] = met
        self._met.move_to_end(key)
        if len(self._met) > self._most:
            self._met.popitem(last=False)

    def drop(self, key: bytes) -> None:
        """Whatever is remembered of it is not known here any more."""
        self._met.pop(key, None)


class Pins:
    """What reservations rely on: it stays until the last of them has ended. Some rely on a lease as well."""

    def __init__(self) -> None:
        self._met: dict[bytes, Met] = {}
        self._counts: Counter[bytes] = Counter()
        self._leases: Counter[bytes] = Counter()

    def __contains__(self, key: bytes) -> bool:
        return key in self._counts

    def __getitem__(self, key: bytes) -> Met:
        return self._met[key]

    def pin(self, key: bytes, met: Met, *, lease: bool) -> None:
        """One more reservation relies on this, which is what is remembered now, and on the lease or not."""
        self._met[key] = met
        self._counts[key] += 1
        self._leases[key] += lease

    def update(self, key: bytes, met: Met) -> None:
        """This is what is remembered now, if any reservation relies on it."""
        if key in self._counts:
            self._met[key] = met

    def unpin(self, key: bytes, *, lease: bool) -> None:
        """One reservation less that relied on it so."""
        self._counts[key] -= 1
        self._leases[key] -= lease
        if not self._counts[key]:
            del self._counts[key], self._leases[key], self._met[key]

    def needs_lease(self, key: bytes) -> bool:
        """Whether any reservation relies on the lease on it."""
        return self._leases[key] > 0
