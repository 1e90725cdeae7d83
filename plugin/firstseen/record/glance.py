"""A CloudTrail record at a glance: the few texts by which most rules go, read without decoding the rest.

Two records that are the same at the places where a field's value comes from (``mapping.Field.reads``) have the same
value there, so that what was found out of the one holds for the other. What is odd in any way, a number where a text
should be, is no `Glance`: it has to be looked at as a whole.
"""

# ruff: noqa: N815  # names are those of the record

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Final, TypeAlias

import msgspec

from firstseen.packing import Buffer
from firstseen.record.instant import parse_ms
from firstseen.record.source import EMPTY_TEXTS

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
    """What most rules go by, under the names that the record has for it."""

    eventName: str
    eventSource: str
    eventID: str
    eventTime: str | None = None
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
    Records: Unset = msgspec.UNSET
    detail: Unset = msgspec.UNSET
    event: Unset = msgspec.UNSET
    ingested: Unset = msgspec.field(name="event.ingested", default=msgspec.UNSET)

    @property
    def time_ms(self) -> int | None:
        """When the event happened, in milliseconds since 1970, where it says so."""
        return None if self.eventTime is None else _parsed(self.eventTime)


_parsed = lru_cache(maxsize=1024)(parse_ms)
_of_msgpack = msgspec.msgpack.Decoder(Glance).decode
_of_json = msgspec.json.Decoder(Glance).decode

_WHOLE: Final = frozenset({"responseElements", "additionalEventData", "tlsDetails", "resources"})
"""Parts that may be null: they are compared as a whole."""

LARGEST: Final = 1 << 16
"""Bytes of a record up to which it is worth a glance."""


def glance_at(record: Buffer, *, json: bool = False) -> Glance | None:
    """A CloudTrail event that is nothing else: a map in msgpack, or an object in JSON. None for anything else."""
    if len(record) > LARGEST:
        return None
    try:
        seen = _of_json(record) if json else _of_msgpack(record)
    except (ValueError, RecursionError):
        return None
    return None if seen.eventID in EMPTY_TEXTS else seen


def key_of(paths: Iterable[Path]) -> Callable[[Glance], Hashable] | None:
    """What tells glances apart that differ at these places of their records; None where a glance does not show one."""
    names = sorted({path[0] if path[0] in _WHOLE else ".".join(path) for path in paths})
    if not _NAMES.issuperset(names):
        return None
    return attrgetter(*names) if names else lambda _: ()


def _names(part: type[_Part], start: str = "") -> Iterator[str]:
    """What can be read of a part, under its dotted names."""
    defaults = dict(zip(reversed(part.__struct_fields__), reversed(part.__struct_defaults__), strict=False))
    for name in part.__struct_fields__:
        inner = defaults.get(name)
        if isinstance(inner, _Part):
            yield from _names(type(inner), f"{start}{name}.")
        else:
            yield start + name


_NAMES: Final = frozenset(_names(Glance))
