"""A record that has ECS names already, nested, dotted or mixed, as shippers and agents write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from firstseen.model import Fields, Scalar
from firstseen.record.element import elements
from firstseen.record.fields import has_indexed, indexed_values
from firstseen.record.instant import parse_ms
from firstseen.record.tree import Node, find, names_of, nested

_MOST_BITS: Final = 64
"""Of an integer that is somebody's name for something: Python writes no number of any length as a text."""


class EcsView:
    """A record as it stands. Every field is read when first asked for, and once."""

    __slots__ = ("_exists", "_names", "_record", "_values")

    kind: Final[Literal["cloudtrail", "ecs"]] = "ecs"

    def __init__(self, record: Mapping[object, object]) -> None:
        self._record = record
        self._values: dict[str, tuple[Scalar, ...]] = {}
        self._exists: dict[str, bool] = {}
        self._names: list[str] | None = None

    def values(self, field: str) -> Sequence[Scalar]:
        """The searchable values of ``field``, in record order."""
        if field not in self._values:
            self._values[field] = indexed_values(field, self._nodes)
        return self._values[field]

    def exists(self, field: str) -> bool:
        """Whether ``field`` or a field below it has a searchable value."""
        if field not in self._exists:
            self._exists[field] = has_indexed(field, self._nodes)
        return self._exists[field]

    def nested(self, path: str) -> Sequence[Fields]:
        """The objects at ``path``, in record order."""
        return elements(path, self._nodes(path, beyond=True))

    def names(self) -> Iterable[str]:
        """The names of the leaves of the record."""
        if self._names is None:
            self._names = names_of("", Node(self._record, 0))
        return self._names

    @property
    def record(self) -> Mapping[object, object]:
        """What is read."""
        return self._record

    @property
    def event_id(self) -> str | None:
        """``event.id``, where it is a text, or an integer, which is the text that JSON has for it."""
        return next((text for value in self.values("event.id") if (text := _name(value))), None)

    @property
    def timestamp_ms(self) -> int | None:
        """``@timestamp`` in milliseconds since 1970."""
        return first_instant(self.values("@timestamp"))

    @property
    def ingested_ms(self) -> int | None:
        """``event.ingested`` in milliseconds since 1970."""
        return first_instant(self.values("event.ingested"))

    def document(self) -> dict[str, object]:
        """The whole record in the nested spelling; nothing is left out for its length."""
        return nested(self._record)

    def _nodes(self, name: str, *, beyond: bool) -> Iterable[Node]:
        return find(self._record, name, beyond=beyond)


def _name(value: Scalar) -> str | None:
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _MOST_BITS
    return str(value) if is_number else None


def first_instant(values: Iterable[Scalar]) -> int | None:
    """The first of ``values`` that is a point in time, in milliseconds since 1970."""
    return next((ms for value in values if (ms := parse_ms(value)) is not None), None)
