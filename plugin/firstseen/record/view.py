"""Which events a record holds, and through which view each is read.

A record is one event, or carries some:

* a CloudTrail log file's envelope, ``{"Records": [...]}``: each map in it is a CloudTrail record;
* an EventBridge event whose ``detail`` is a CloudTrail record;
* a line of text that a collector put in ``log`` or ``message``, where that is the JSON of an object or of an array
  of objects: each is looked at like a record, except that text within text is left alone.

Text gives way to the record around it where that is an ECS document, one that has ``@timestamp`` or a field below
``event``: its ``message`` is a message, even if somebody logs JSON. Only a CloudTrail event in the text is read all
the same, since that is how agents ship raw logs, unless the document is mapped already, which ``event.action`` tells.

What a shipper adds, ``event.ingested``, it adds to the record around.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from firstseen.errors import RecordError
from firstseen.model import Fields
from firstseen.record import cloudtrail
from firstseen.record.cloudtrail import CloudTrailView
from firstseen.record.ecs import EcsView
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.fields import field_type
from firstseen.record.glance import Path
from firstseen.record.tree import is_array, text_of

Mode = Literal["auto", "cloudtrail", "ecs"]
"""``cloudtrail`` and ``ecs`` say what every event is; ``auto`` looks at each."""

Kind = Literal["cloudtrail", "ecs"]
Record = Mapping[object, object]

_TEXT_KEYS: Final = ("log", "message")
_COMPARED_AS_TEXT: Final = frozenset(
    {"keyword", "constant_keyword", "wildcard", "flattened", "flattened_key", "unknown"}
)
_LONGEST_INT: Final = 400
"""Digits beyond the range of a double, and short of where Python refuses to read an int."""


MAX_EVENTS = 5_000
"""Events in one record up to which they are looked at: twice what fits into the largest record at CloudTrail's size."""

MAX_TEXT_CONTAINERS = 100_000
"""Objects and arrays that JSON text may seem to hold, by its brackets: ``{},`` has 3 bytes and takes 72 as a value."""


class View(Fields, Protocol):
    """One event, read through ECS names. A view is a snapshot: the record must not change under it."""

    @property
    def kind(self) -> Kind:
        """How the record is read."""

    @property
    def record(self) -> Record:
        """What is read: the record, a map in it, or one in what its text says."""

    @property
    def event_id(self) -> str | None:
        """What identifies the event: CloudTrail's ``eventID``, or ``event.id``."""

    @property
    def timestamp_ms(self) -> int | None:
        """``@timestamp``, when the event happened, in milliseconds since 1970."""

    @property
    def ingested_ms(self) -> int | None:
        """``event.ingested`` in milliseconds since 1970."""

    def document(self) -> dict[str, object]:
        """The event as a nested ECS document."""


class Contents(NamedTuple):
    """The events of a record. Where a text holds them, it lies under ``key``, and ``said`` is what it says, decoded."""

    views: Sequence[View]
    key: str | None = None
    said: object = None


def views(
    record: object, mode: Mode = "auto", enrichment: Enrichment = UNENRICHED, *, bounded: bool = False
) -> Sequence[View]:
    """The events that ``record``, a decoded record, holds: mostly one, none in an empty envelope.

    ``enrichment`` tells of CloudTrail's addresses; who made an ECS document has asked already, or did not want to.
    Anything is taken; what is no map holds no event. Nothing is raised unless ``bounded``: then `RecordError` is for a
    record of more than `MAX_EVENTS` events, or with JSON text of more than `MAX_TEXT_CONTAINERS` brackets.
    """
    if not isinstance(record, dict):
        return ()
    if mode != "ecs" and _is_bare(record):
        return (CloudTrailView(record, enrichment),)
    return contents(record, mode, enrichment, bounded=bounded).views


def contents(
    record: Mapping[Any, Any], mode: Mode = "auto", enrichment: Enrichment = UNENRICHED, *, bounded: bool = False
) -> Contents:
    """The same as `views`, and where they lie, for whoever changes them there. Raises `RecordError` as it does."""
    if bounded:
        _check_bounds(record, mode)
    own = _own_views(record, mode, enrichment)
    if own is not None:
        return Contents(own)
    return next(_in_text(record, mode, enrichment, bounded=bounded), Contents([_other(record, mode, enrichment)]))


_ENVELOPING: Final = frozenset(("Records", b"Records", "detail", b"detail"))


def _is_bare(record: Record) -> bool:
    """Whether ``record`` is a CloudTrail event with nothing around it: nearly always; the rest goes the long way."""
    if type(record.get("eventSource")) is not str or type(record.get("eventName")) is not str:
        return False
    return _ENVELOPING.isdisjoint(record)


def _check_bounds(record: Record, mode: Mode) -> None:
    """Raises `RecordError` where looking for the events of ``record`` would take too much."""
    if mode != "ecs" and _most_events(record) > MAX_EVENTS:
        raise _too_many_events()
    for key in _TEXT_KEYS:
        value = _get(record, key)
        if isinstance(value, str):
            brackets = value.count("{") + value.count("[")
        else:
            brackets = value.count(b"{") + value.count(b"[") if isinstance(value, bytes) else 0
        if brackets > MAX_TEXT_CONTAINERS:
            raise RecordError(f"text of more than {MAX_TEXT_CONTAINERS} objects and arrays under {key!r} is not read")


def _most_events(record: Record) -> int:
    listed = _get(record, "Records")
    return max(len(listed), 1) if is_array(listed) else 1


def _too_many_events() -> RecordError:
    return RecordError(f"a record of more than {MAX_EVENTS} events is not looked at")


def unavailable(field: str, enrichment: Enrichment) -> str | None:
    """Why no CloudTrail record has a value under ``field`` here, as "... needs ..." or "... is not a field of ...".

    None where one may have: a field of the view, one below or above it, or a pattern with ``*`` that fits some.
    """
    return cloudtrail.unavailable(field, enrichment)


def is_verbatim(field: str) -> bool:
    """Whether every text under ``field``, in every view, is a text of the record or a contiguous piece of one.

    False also where a query compares other than byte by byte (``ip``, dates, numbers, analysed text). A value that
    is a number or a boolean in the record is none of its texts: ``4625`` and ``true`` may match and not be there.
    """
    return field_type(field) in _COMPARED_AS_TEXT and cloudtrail.is_verbatim(field)


def reads_of(field: str) -> Sequence[Path] | None:
    """The places of a CloudTrail record that a query for ``field`` hangs on; None where that is not known."""
    # What is compared with now hangs on when the event happened as well.
    return None if field_type(field) == "date" or "*" in field else cloudtrail.reads_of(field)


def keys_before(field: str) -> Sequence[bytes]:
    """Ends of keys: in every view, each value of ``field`` stands right behind a key that ends with one of them.

    Raises `ValueError` for a field whose values some view takes from elsewhere.
    """
    key = cloudtrail.key_before(field)
    if key is None:
        raise ValueError(f"{field} is made of several values of a record, or of a part of one")
    return [each.encode() for each in (key, field.rpartition(".")[2])]


def _other(record: Record, mode: Mode, enrichment: Enrichment, around: Sequence[Record] = ()) -> View:
    """The view of a record that is no CloudTrail event by its looks."""
    return CloudTrailView(record, enrichment, around) if mode == "cloudtrail" else EcsView(record)


def _own_views(
    record: Record, mode: Mode, enrichment: Enrichment, around: Sequence[Record] = ()
) -> Sequence[View] | None:
    """The events of ``record`` where its keys alone tell what it is; None where its text may hold the event.

    ``around`` are the records whose text it is.
    """
    if mode == "ecs":
        return None
    listed = _get(record, "Records")
    if is_array(listed) and (not listed or any(isinstance(element, dict) for element in listed)):
        around = (record, *around)
        return [CloudTrailView(element, enrichment, around) for element in listed if isinstance(element, dict)]
    detail = _get(record, "detail")
    if isinstance(detail, dict) and _has_text(record, "source", "detail-type") and _is_cloudtrail(detail):
        return [CloudTrailView(detail, enrichment, (record, *around))]
    return [CloudTrailView(record, enrichment, around)] if _is_cloudtrail(record) else None


def _in_text(record: Record, mode: Mode, enrichment: Enrichment, *, bounded: bool) -> Iterator[Contents]:
    """The events of each text of ``record`` that holds some and may stand for the record."""
    for key in _TEXT_KEYS:
        inner: list[View] = []
        said = _parsed(_get(record, key))
        objects = _objects(said)
        if bounded and sum(map(_most_events, objects)) > MAX_EVENTS:
            raise _too_many_events()
        for parsed in objects:
            own = _own_views(parsed, mode, enrichment, (record,))
            inner.extend([_other(parsed, mode, enrichment, (record,))] if own is None else own)
        if inner and _may_replace(record, inner, mode):
            yield Contents(inner, key, said)


def _may_replace(record: Record, inner: Sequence[View], mode: Mode) -> bool:
    if mode == "cloudtrail":
        return True
    outer = EcsView(record)
    if outer.exists("event.action"):
        return False
    if all(view.kind == "cloudtrail" for view in inner):
        return True
    is_document = outer.exists("@timestamp") or (outer.exists("event") and not outer.values("event"))
    return not is_document


def _is_cloudtrail(record: Record) -> bool:
    """Whether ``record`` is an event, an insight or a digest of CloudTrail's, by keys that only these have together."""
    if _has_text(record, "eventSource") and (_has_text(record, "eventName") or _has_text(record, "eventVersion")):
        return True
    if isinstance(_get(record, "insightDetails"), dict):
        return _has_text(record, "eventVersion")
    return _has_text(record, "awsAccountId", "digestEndTime", "digestS3Object")


def _has_text(record: Record, *keys: str) -> bool:
    return all(isinstance(_get(record, key), (str, bytes)) for key in keys)


def _get(record: Record, key: str) -> object:
    return record[key] if key in record else record.get(key.encode())


def _parsed(value: object) -> object:
    """The object or the array whose JSON ``value`` is; None where it is something else."""
    text = text_of(value)
    text = "" if text is None else text.lstrip("\ufeff \t\r\n")
    return _decoded(text) if text.startswith(("{", "[")) else None


def _objects(said: object) -> list[Record]:
    """``said`` where it is an object, the objects in it where it is an array."""
    if isinstance(said, dict):
        return [said]
    return [element for element in said if isinstance(element, dict)] if isinstance(said, list) else []


def _decoded(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):  # not JSON, or JSON with NaN, half a surrogate pair, a number beyond a double
        return _decoded_leniently(text)


def _decoded_leniently(text: str) -> object:
    try:
        return json.loads(text, parse_int=parse_int)
    except (ValueError, RecursionError):
        return None


def parse_int(digits: str) -> int | float:
    """The number that ``digits`` write in JSON: one that is too long for Python to read is beyond a double as well."""
    return int(digits) if len(digits) <= _LONGEST_INT else float(digits)
