"""How sightings and rules lie on disk: msgpack arrays and maps, as small as they can be without being a puzzle.

A sighting is ``[first seen, milliseconds from there to last seen, count, event, last event or nil, term, ...]``: nil
where the last event is the one that alerted. An event id in the form of a UUID lies as its 16 bytes. For an ARN and two
UUIDs that is some 110 bytes. Whatever a record can hold can be written: lone surrogates, integers of any size.

Reading raises `ValueError` for anything that was not written here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgpack

from firstseen.detect.new_terms import Sighting
from firstseen.model import Scalar

_BIG_INT = 1
"""The msgpack ext type of an integer beyond 64 bits: its bytes in two's complement, most significant first."""

_TERMS_AT = 5
_SCALARS = frozenset((str, int, float, bool))
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def pack_sighting(sighting: Sighting, terms: Sequence[Scalar]) -> bytes:
    """What lies under the key of ``terms``."""
    last_event = None if sighting.last_event == sighting.event else _pack_event(sighting.last_event)
    times = (sighting.first_seen, sighting.last_seen - sighting.first_seen)
    return _pack(
        [*map(_pack_scalar, times), sighting.count, _pack_event(sighting.event), last_event, *map(_pack_scalar, terms)]
    )


def unpack_sighting(raw: bytes) -> tuple[Sighting, tuple[Scalar, ...]]:
    """The sighting and its terms."""
    # Plain checks of types: this runs once per claim, and patterns of classes take ten times as long.
    values = _unpack(raw)
    if type(values) is not list or len(values) <= _TERMS_AT:
        raise ValueError("it is no sighting")
    first, lasting, count, alerted, last = values[:_TERMS_AT]
    terms = tuple(values[_TERMS_AT:])
    if type(first) is not int or type(lasting) is not int or type(count) is not int:
        raise ValueError("its numbers are no numbers")
    if not _SCALARS.issuperset(map(type, terms)):
        raise ValueError("its terms are no terms")
    event = _unpack_event(alerted)
    return Sighting(first, first + lasting, count, event, event if last is None else _unpack_event(last)), terms


def pack_rule(rule_id: str, name: str, created_ms: int) -> bytes:
    """What lies under the key of a rule's history."""
    return _pack({"id": rule_id, "name": name, "created_ms": _pack_scalar(created_ms)})


def unpack_rule(raw: bytes) -> tuple[str, str, int]:
    """The rule's id, its name, and when its history began."""
    match _unpack(raw):
        case {"id": str(rule_id), "name": str(name), "created_ms": int(created_ms)}:
            return rule_id, name, created_ms
        case _:
            raise ValueError("it is no rule")


def _pack(value: object) -> bytes:
    # surrogatepass: any text that Python can hold is written and comes back as it was.
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed


def _unpack(raw: bytes) -> Any:
    try:
        return msgpack.unpackb(raw, unicode_errors="surrogatepass", ext_hook=_unpack_big_int)
    except (ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"it is no msgpack ({error!r})") from error


def _pack_scalar(value: Scalar) -> Scalar | msgpack.ExtType:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return msgpack.ExtType(_BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    return value


def _unpack_big_int(code: int, data: bytes) -> int:
    if code != _BIG_INT:
        raise ValueError(f"ext type {code} is unknown")
    return int.from_bytes(data, "big", signed=True)


def _pack_event(event: str) -> str | bytes:
    return bytes.fromhex(event.replace("-", "")) if _UUID.fullmatch(event) else event


def _unpack_event(packed: object) -> str:
    if isinstance(packed, str):
        return packed
    if not isinstance(packed, bytes) or len(packed) != 16:
        raise ValueError("its event is no event")
    digits = packed.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
