"""A raw CloudTrail record under the names that Elastic's ``aws.cloudtrail`` ingest pipeline gives its parts.

The table of ``mapping`` says where each field comes from. Management, data, digest and insight records are read alike:
what a kind of record does not have is simply absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal

from firstseen.model import Fields, Scalar
from firstseen.record import digest, useragent
from firstseen.record.ecs import first_instant
from firstseen.record.element import elements
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.fields import base_of, has_indexed, indexed_values
from firstseen.record.glance import Path
from firstseen.record.mapping import FIELDS, Field, Need
from firstseen.record.source import EMPTY_TEXTS, Source, reached
from firstseen.record.tree import Node, find, merge, names_of

_BY_NAME: Final = {field.name: field for field in FIELDS}
_KEYS: Final = {field.name: field.keys for field in FIELDS if field.keys}


_SHORT = 500
"""Characters that no ``ignore_above`` leaves out, whatever they take in UTF-16."""


class CloudTrailView:
    """A CloudTrail record read through ECS names. Every field is worked out when first asked for, and once.

    ``around`` are the records that it came in, the nearest first.
    """

    __slots__ = ("_exists", "_names", "_read", "_source", "_values")

    kind: Final[Literal["cloudtrail", "ecs"]] = "cloudtrail"

    def __init__(
        self,
        record: Mapping[object, object],
        enrichment: Enrichment = UNENRICHED,
        around: Sequence[Mapping[object, object]] = (),
    ) -> None:
        self._source = Source(record, enrichment, around)
        self._read: dict[str, object] = {}
        self._values: dict[str, tuple[Scalar, ...]] = {}
        self._exists: dict[str, bool] = {}
        self._names: list[str] | None = None

    def values(self, field: str) -> Sequence[Scalar]:
        """The searchable values of ``field``; none for a field that is not in the table."""
        values = self._values.get(field)
        if values is not None:
            return values
        value: object = None
        keys = _KEYS.get(field)
        if keys is not None:  # the short way: a text of the record, or nothing at all
            value = reached(self._source.record, keys)
            if value is None or (type(value) is str and len(value) <= _SHORT):
                values = () if value is None or value in EMPTY_TEXTS else (value,)
                self._values[field] = values
                return values
        values = self._values[field] = self._indexed(field)
        return values

    def _indexed(self, field: str) -> tuple[Scalar, ...]:
        row = _BY_NAME.get(field)
        if row is not None:
            value = self._value(row)
            if value is None:
                return ()
            if type(value) is str and len(value) <= _SHORT:
                return (value,)  # nearly always one of these; the rest goes the long way
        return indexed_values(field, self._nodes)

    def exists(self, field: str) -> bool:
        """Whether ``field`` or a field below it has a searchable value."""
        found = self._exists.get(field)
        if found is None:
            found = self._exists[field] = bool(self.values(field)) or has_indexed(field, self._nodes)
        return found

    def nested(self, path: str) -> Sequence[Fields]:
        """The objects at ``path``, in record order."""
        return elements(path, self._nodes(path, beyond=True))

    def names(self) -> Iterable[str]:
        """The names of the leaves of every field of the table that has a value."""
        if self._names is None:
            found = [(field.name, self._value(field)) for field in FIELDS]
            self._names = [name for row, value in found if value is not None for name in names_of(row, Node(value, 0))]
        return self._names

    @property
    def record(self) -> Mapping[object, object]:
        """What is read."""
        return self._source.record

    @property
    def event_id(self) -> str | None:
        """``eventID``."""
        value = self._source.record.get("eventID")
        if type(value) is str and value not in EMPTY_TEXTS:
            return value  # nearly always
        return self._source.text("eventID")

    @property
    def timestamp_ms(self) -> int | None:
        """``eventTime``, or a digest's end, in milliseconds since 1970."""
        return digest.timestamp_ms(self._source)

    @property
    def ingested_ms(self) -> int | None:
        """``event.ingested``, where a shipper added it, in milliseconds since 1970."""
        ingested = self._source.ingested
        return first_instant(ingested) if ingested else None  # nearly always

    def document(self) -> dict[str, object]:
        """The ECS document: every field of the table that has a value; nothing is left out for its length."""
        document: dict[str, object] = {}
        for field in FIELDS:
            value = self._value(field)
            if value is not None:
                merge(document, field.name, value)
        return document

    def _value(self, field: Field) -> object:
        name = field.name
        if name in self._read:
            return self._read[name]
        value = self._read[name] = field.read(self._source)
        return value

    def _nodes(self, name: str, *, beyond: bool) -> Iterable[Node]:
        field, rest = _owner(name)
        if field is None:
            return [Node({below: self._value(_BY_NAME[f"{name}.{below}"]) for below in _names_below(name)}, 0)]
        value = self._value(field)
        return [Node(value, 0)] if rest is None else find(value, rest, beyond=beyond)


def is_verbatim(name: str) -> bool:
    """Whether the texts under ``name`` in a `CloudTrailView`, if any, are texts of the record or pieces of them."""
    field, _ = _owner(name)
    return field is None or field.verbatim


def reads_of(name: str) -> Sequence[Path] | None:
    """The places of a record that the field ``name`` hangs on; None where that is not known."""
    row, _ = _owner(name)
    if row is not None:
        return row.reads
    return None if _names_below(name) else ()


def key_before(name: str) -> str | None:
    """The key behind which the value of the field ``name`` stands in the record; None where it may come from others."""
    row = _BY_NAME.get(name)
    return row.keys[-1] if row is not None and row.keys else None


@lru_cache(maxsize=4096)
def _owner(name: str) -> tuple[Field | None, str | None]:
    """The row of the table that ``name`` belongs to, and the rest of the name where it goes on below the row."""
    owner = name
    while owner and owner not in _BY_NAME:
        owner = owner.rpartition(".")[0]
    return _BY_NAME.get(owner), None if owner == name else name[len(owner) + 1 :]


@lru_cache(maxsize=4096)
def _names_below(name: str) -> tuple[str, ...]:
    return tuple(field.name[len(name) + 1 :] for field in FIELDS if field.name.startswith(f"{name}."))


_NEEDED: Final[Mapping[Need, str]] = {
    "city": "a database of places (geoip.city)",
    "asn": "a database of networks (geoip.asn)",
    "user_agent": "the package ua-parser (pip install 'firstseen[user-agent]')",
}


def unavailable(name: str, enrichment: Enrichment) -> str | None:
    """Why ``name``, a field or a pattern with ``*``, has no value in any `CloudTrailView`; None where it may have one.

    A field that only needs something that is not there could have one: what it needs is said then.
    """
    rows = _rows_of(name)
    if not rows:
        return f"{name} is not a field of CloudTrail"
    needs = {row.needs for row in rows}
    if any(need is None or _has(need, enrichment) for need in needs):
        return None
    return f"{name} needs {' or '.join(sorted(_NEEDED[need] for need in needs if need))}"


def is_field(name: str) -> bool:
    """Whether ``name``, a field or a pattern, may have a value in some `CloudTrailView` that has all it needs."""
    return bool(_rows_of(name))


def _has(need: Need, enrichment: Enrichment) -> bool:
    return useragent.is_available() if need == "user_agent" else enrichment.has(need)


@lru_cache(maxsize=4096)
def _rows_of(name: str) -> Sequence[Field]:
    """The rows that ``name`` may get a value from: its own, those below it, and an open one it lies below."""
    name = base_of(name)
    start, pattern, _ = name.partition("*")
    wanted = re.compile(".*".join(map(re.escape, name.split("*"))) + r"(\..*)?", re.DOTALL)

    def may_lie_below(row: Field) -> bool:
        below = f"{row.name}."
        return row.open and (start.startswith(below) or bool(pattern and below.startswith(start)))

    return [row for row in FIELDS if wanted.fullmatch(row.name) or may_lie_below(row)]
