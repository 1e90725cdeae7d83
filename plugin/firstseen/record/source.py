"""A raw CloudTrail record as Elastic's pipeline reads it: with everything empty removed.

Removed are null, ``""``, ``"-"``, ``"none"``, ``{}`` and ``[]``, inner ones first, so that what becomes empty goes
too: an ``errorCode`` of ``""`` is no failure, a policy of ``""`` is no parameter. (The two words since the 8.x
releases of the ``aws`` package.) None stands for "nothing left" all through the CloudTrail modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar, cast

from firstseen.model import Scalar
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.tree import MAX_ENTERED_DEPTH, find, is_array, members, scalar_of, scalars

EMPTY_TEXTS: Final = frozenset({"", "-", "none"})
"""Texts that stand for nothing."""

Made = TypeVar("Made")


def kept_scalar(value: object) -> Scalar | None:
    """``value`` if it is a scalar that is not empty."""
    scalar = value if isinstance(value, str) else scalar_of(value)
    return None if isinstance(scalar, str) and scalar in EMPTY_TEXTS else scalar


def pruned(value: object, depth: int = 1) -> object:
    """A copy of ``value``, which lies in ``depth`` containers, without what is empty; None where nothing is left."""
    scalar = kept_scalar(value)
    if scalar is not None or depth > MAX_ENTERED_DEPTH:
        return scalar
    if isinstance(value, dict):
        kept = {name: child for name, raw in members(value) if (child := pruned(raw, depth + 1)) is not None}
        return kept or None
    if is_array(value):
        return [child for raw in value if (child := pruned(raw, depth + 1)) is not None] or None
    return None


LONGEST_ID: Final = 512
"""Characters of an event's id up to which it is known by the id itself, as many as Elasticsearch takes for one."""

_INGESTED_KEYS: Final = frozenset(("event", "event.ingested", b"event", b"event.ingested"))
"""Of a record that has ``event.ingested``, one is at its top."""


def reached(record: object, path: Iterable[str]) -> object:
    """What the path of keys leads to in ``record``; None where that is nothing."""
    for key in path:
        if not isinstance(record, dict):
            return None
        found = record.get(key)
        record = record.get(key.encode()) if found is None and key not in record else found
    return record


class Source:
    """One CloudTrail record, read at the places that are asked for, and what databases may know of it.

    Only what lies at such a place is pruned: what is kept there is kept whatever is beside it. ``around`` are the
    records that it came in, the nearest first: what a shipper adds, it adds to the outermost.
    """

    __slots__ = ("_around", "_made", "enrichment", "record")

    def __init__(
        self,
        record: Mapping[object, object],
        enrichment: Enrichment = UNENRICHED,
        around: Sequence[Mapping[object, object]] = (),
    ) -> None:
        self.record = record
        self._around = around
        self._made: dict[object, object] = {}
        self.enrichment = enrichment

    def once(self, make: Callable[[Source], Made]) -> Made:
        """What ``make`` makes of this record, for several fields that share it: made when first asked for, and kept."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast(Made, self._made[make])

    def raw(self, *path: str) -> object:
        """What the path of keys leads to, as it came; None where that is nothing. Arrays are not entered."""
        return reached(self.record, path)

    def at(self, *path: str) -> object:
        """The same after pruning."""
        value = reached(self.record, path)
        if type(value) is str:
            return None if value in EMPTY_TEXTS else value
        return None if value is None else pruned(value, len(path))  # mostly it is

    def text(self, *path: str) -> str | None:
        """The same where it is a text."""
        value = self.at(*path)
        return value if isinstance(value, str) else None

    def maps(self, *path: str) -> Iterator[dict[str, object]]:
        """The maps among the elements of the array the path leads to."""
        value = self.at(*path)
        if isinstance(value, list):
            yield from (element for element in value if isinstance(element, dict))

    def lacks(self, *keys: str) -> bool:
        """Whether there is nothing under any of the keys, whatever is empty apart."""
        record = self.record
        return all(key not in record and key.encode() not in record for key in keys)

    @property
    def ingested(self) -> list[Scalar]:
        """What lies under ``event.ingested``, nested or dotted, where a shipper added it."""
        for record in (self.record, *self._around):
            if not _INGESTED_KEYS.isdisjoint(record):  # mostly they are: CloudTrail has no such key
                found = [value for node in find(record, "event.ingested") for value in scalars(node)]
                if found:
                    return found
        return []
