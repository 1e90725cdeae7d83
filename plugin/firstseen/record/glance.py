"""A CloudTrail record at a glance: the few texts by which some rules go, read without decoding the rest.

Two records that are the same at the places where a field's value comes from (``mapping.Field.reads``) have the same
value there, so that what was found out of the one holds for the other. What is odd in any way, a number where a text
should be, is no `Glance`: it has to be looked at as a whole.
"""

# ruff: noqa: N815  # names are those of the record

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence, Set
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec.structs import fields

from firstseen.packing import Buffer
from firstseen.record.instant import parse_ms
from firstseen.record.source import EMPTY_TEXTS, LONGEST_ID

Path: TypeAlias = tuple[str, ...]
"""Keys that lead to a value of a record."""

Unset: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=0)] | msgspec.UnsetType
"""What must not be there: no value is right."""


class _Part(msgspec.Struct, frozen=True, gc=False):
    """A map of which some members are read; as a whole it is one value to compare."""


class _OnBehalfOf(_Part, frozen=True, gc=False):
    userId: str | None = None
    identityStoreArn: str | None = None


class _Issuer(_Part, frozen=True, gc=False):
    type: str | None = None
    principalId: str | None = None
    arn: str | None = None
    accountId: str | None = None
    userName: str | None = None


class _Session(_Part, frozen=True, gc=False):
    sessionIssuer: _Issuer = _Issuer()


class _Identity(_Part, frozen=True, gc=False):
    type: str | None = None
    principalId: str | None = None
    arn: str | None = None
    accountId: str | None = None
    accessKeyId: str | None = None
    userName: str | None = None
    invokedBy: str | None = None
    onBehalfOf: _OnBehalfOf = _OnBehalfOf()
    sessionContext: _Session = _Session()


class _Answer(_Part, frozen=True, gc=False):
    ConsoleLogin: str | None = None


class _Additional(_Part, frozen=True, gc=False):
    UserName: str | None = None


class _Tls(_Part, frozen=True, gc=False):
    tlsVersion: str | None = None
    clientProvidedHostHeader: str | None = None


class _Resource(_Part, frozen=True, gc=False, forbid_unknown_fields=True):
    """Of a resource all members count, whatever they are called."""

    ARN: str | None = None
    accountId: str | None = None
    type: str | None = None


class Glance(_Part, frozen=True, gc=False):
    """What is read of every event, under the names that the record has for it."""

    eventName: str
    eventSource: str
    eventID: str
    eventTime: str | None = None
    Records: Unset = msgspec.UNSET
    detail: Unset = msgspec.UNSET
    event: Unset = msgspec.UNSET
    ingested: Unset = msgspec.field(name="event.ingested", default=msgspec.UNSET)

    @property
    def is_named(self) -> bool:
        """Whether the event is known by its ``eventID`` as it stands."""
        return self.eventID not in EMPTY_TEXTS and len(self.eventID) <= LONGEST_ID

    @property
    def time_ms(self) -> int | None:
        """When the event happened, in milliseconds since 1970, where it says so."""
        text = self.eventTime
        if text is None:
            return None
        return _parsed(text) if len(text) <= _USUAL_TIME else parse_ms(text)


class _Whole(Glance, frozen=True, gc=False):
    """With everything that can be read."""

    awsRegion: str | None = None
    sourceIPAddress: str | None = None
    userAgent: str | None = None
    errorCode: str | None = None
    errorMessage: str | None = None
    eventType: str | None = None
    recipientAccountId: str | None = None
    awsAccountId: str | None = None
    userIdentity: _Identity = _Identity()
    responseElements: _Answer | None = None
    additionalEventData: _Additional | None = None
    tlsDetails: _Tls | None = None
    resources: tuple[_Resource, ...] | None = None


_USUAL_TIME: Final = 64
_parsed = lru_cache(maxsize=1024)(parse_ms)
_MEMBERS: Final = {"responseElements": _Answer, "additionalEventData": _Additional, "tlsDetails": _Tls}
"""Parts that may be null: what is read of them is compared as a whole."""
_ENTIRE: Final = "resources"
"""The part of which all is read."""

LARGEST: Final = 1 << 16
"""Bytes of a record up to which it is worth a glance."""


class Glances:
    """Glances at what lies at ``places`` of records: the dotted names of what a glance can show."""

    __slots__ = ("_narrowed", "_of_entries", "_of_json", "_of_msgpack", "key")

    def __init__(self, places: Set[str]) -> None:
        self._narrowed = _narrowed(_Whole, Glance, places)
        self._of_json = msgspec.json.Decoder(self._narrowed).decode
        self._of_msgpack = msgspec.msgpack.Decoder(self._narrowed).decode
        self._of_entries: Callable[[Buffer], Sequence[tuple[object, Glance]]] | None = None
        self.key: Callable[[Glance], Hashable] = attrgetter(*sorted(places)) if places else lambda _: ()
        """What tells records apart that differ at one of the places, also where more of them was seen."""

    def at(self, record: Buffer, *, json: bool = False) -> Glance | None:
        """A CloudTrail event that is nothing else: a map in msgpack, or an object in JSON. None for anything else."""
        if len(record) > LARGEST:
            return None
        try:
            seen = self._of_json(record) if json else self._of_msgpack(record)
        except (ValueError, RecursionError):
            return None
        return seen if seen.is_named else None

    def at_entries(self, entries: Buffer, count: int) -> Sequence[tuple[object, Glance]] | None:
        """The same of ``count`` entries of a chunk that lie one behind the other, each beside its time.

        None where one of them is anything else, but for those that are not `Glance.is_named`: they are to be looked
        for. All in one go they take a good half of the time.
        """
        if self._of_entries is None:
            row = tuple[msgspec.Raw, self._narrowed]  # type: ignore[name-defined]  # a type that is made here
            self._of_entries = msgspec.msgpack.Decoder(list[row]).decode
        try:
            return self._of_entries(b"".join((_ARRAY.pack(0xDD, count), entries)))
        except (ValueError, RecursionError):
            return None


_ARRAY = struct.Struct(">BI")
"""The header of an array of many elements."""


def glances_at(paths: Iterable[Path]) -> Glances | None:
    """How to glance at what lies at these places of records; None where a glance does not show one."""
    places = {_place(path) for path in paths}
    shown = frozenset(place for place in places if place is not None)
    return _glances(shown) if len(shown) == len(places) else None


def _place(path: Path) -> str | None:
    """Where a glance shows what lies at this path of a record, if it does."""
    first, *rest = path
    if first == _ENTIRE:
        return first
    members = _MEMBERS.get(first)
    if members is not None:
        return first if len(rest) == 1 and rest[0] in members.__struct_fields__ else None
    name = ".".join(path)
    return name if name in _PLACES else None


_glances = lru_cache(maxsize=1024)(Glances)


def _narrowed(part: type[_Part], base: type[_Part], places: Set[str], start: str = "") -> type[Any]:
    """``base`` with those members of ``part`` that are among the ``places``."""
    members: list[tuple[str, Any, Any]] = []
    kept = {field.name for field in fields(base)}
    for field in fields(part):
        name = start + field.name
        if isinstance(field.default, _Part):
            if any(place.startswith(f"{name}.") for place in places):
                inner = _narrowed(type(field.default), _Part, places, f"{name}.")
                members.append((field.name, inner, inner()))
        elif name in places and field.name not in kept:
            members.append((field.name, field.type, field.default))
    return msgspec.defstruct(part.__name__, members, bases=(base,), frozen=True, gc=False)


def _names(part: type[_Part], start: str = "") -> Iterator[str]:
    """What can be read of a part, under its dotted names."""
    for field in fields(part):
        if isinstance(field.default, _Part):
            yield from _names(type(field.default), f"{start}{field.name}.")
        else:
            yield start + field.name


_PLACES: Final = frozenset(_names(_Whole)) - {"eventID", "eventTime"}
"""Not those that are another for each event: no two would be alike."""
