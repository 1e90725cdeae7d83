"""How memories and rules lie on disk: msgpack arrays and maps, as small as they can be without being a puzzle.

A sighting is ``[first seen, milliseconds from there to last seen, count, event, last event or nil, term, ...]``: nil
where the last event is the one that alerted. An event id in the form of a UUID lies as its 16 bytes. For an ARN and two
UUIDs that is some 110 bytes. What other laws remember begins with their name, ``["threshold", [...], term, ...]`` and
``["suppression", [...], term, ...]``, and a term of theirs may be nil: a group is also made by what an event lacks.

Whatever a record can hold can be written: lone surrogates, integers of any size.

Reading raises `ValueError` for anything that was not written here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, assert_never

import msgpack

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import DIGEST_SIZE, Bucket, Mark
from firstseen.model import TermValue
from firstseen.store.base import History, Memory, RuleState

_BIG_INT = 1
"""The msgpack ext type of an integer beyond 64 bits: its bytes in two's complement, most significant first."""

_TERMS_AT = 5
_SCALARS = frozenset((str, int, float, bool))
_SCALARS_AND_NONE = _SCALARS | {type(None)}
_TIMES = frozenset((int, type(None)))

_THRESHOLD, _SUPPRESSION = "threshold", "suppression"
_BUCKET_PARTS = len(Bucket._fields)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def pack_memory(memory: Memory, terms: Sequence[TermValue]) -> bytes:
    """What lies under the key of ``terms``."""
    match memory:
        case Sighting():
            return _pack_sighting(memory, terms)
        case Bucket():
            return _pack([_THRESHOLD, _bucket_parts(memory), *map(_pack_scalar, terms)])
        case Window(first, last, event, suppressed):
            parts = [*map(_pack_scalar, (first, last)), _pack_event(event), suppressed]
            return _pack([_SUPPRESSION, parts, *map(_pack_scalar, terms)])
        case _:
            assert_never(memory)


def unpack_memory(raw: bytes) -> tuple[Memory, tuple[TermValue, ...]]:
    """What is remembered, and its terms."""
    # Plain checks of types: this runs once per claim, and patterns of classes take ten times as long.
    values = _unpack(raw)
    if type(values) is not list or len(values) < 2:
        raise ValueError("it is no memory")
    if type(values[0]) is not str:
        return _unpacked_sighting(values)
    law, parts, *terms = values
    if not _SCALARS_AND_NONE.issuperset(map(type, terms)):
        raise ValueError("its terms are no terms")
    match law, parts:
        case "threshold", [int(), int(), int(), _, int(), *_] if len(parts) == _BUCKET_PARTS:
            return _bucket(parts), tuple(terms)
        case "suppression", [int(first), int(last), event, int(suppressed)]:
            return Window(first, last, _unpack_event(event), suppressed), tuple(terms)
        case _:
            raise ValueError(f"it is no memory of a law of {law!r}")


def last_seen_in(raw: bytes) -> int:
    """The ``last_seen`` of a memory, in a part of the time that it takes to make all of it."""
    values = _unpack(raw)  # and plain checks, as above
    if type(values) is list and len(values) > 1:
        first, then = values[:2]
        if type(first) is int and type(then) is int:
            return first + then
        if type(first) is str and type(then) is list and len(then) > 1 and type(then[1]) is int:
            last: int = then[1]
            return last
    raise ValueError("it is no memory")


def _pack_sighting(sighting: Sighting, terms: Sequence[TermValue]) -> bytes:
    last_event = None if sighting.last_event == sighting.event else _pack_event(sighting.last_event)
    times = (sighting.first_seen, sighting.last_seen - sighting.first_seen)
    return _pack(
        [*map(_pack_scalar, times), sighting.count, _pack_event(sighting.event), last_event, *map(_pack_scalar, terms)]
    )


def _unpacked_sighting(values: list[Any]) -> tuple[Sighting, tuple[TermValue, ...]]:
    if len(values) <= _TERMS_AT:
        raise ValueError("it is no sighting")
    first, lasting, count, alerted, last = values[:_TERMS_AT]
    terms = tuple(values[_TERMS_AT:])
    if type(first) is not int or type(lasting) is not int or type(count) is not int:
        raise ValueError("its numbers are no numbers")
    if not _SCALARS.issuperset(map(type, terms)):
        raise ValueError("its terms are no terms")
    event = _unpack_event(alerted)
    return Sighting(first, first + lasting, count, event, event if last is None else _unpack_event(last)), terms


def _bucket_parts(bucket: Bucket) -> list[Any]:
    """The fields in their order, and behind them each mark as its time before the run and its digests, event first."""
    numbers: Sequence[Any] = bucket[:-1]
    marks = [(bucket.run_ms - mark.time_ms, b"".join((mark.event, *sorted(mark.values)))) for mark in bucket.marks]
    return [*(_pack_event(part) if isinstance(part, str) else _pack_scalar(part) for part in numbers), marks]


def _bucket(parts: list[Any]) -> Bucket:
    first, last, events, event, run_ms, spent_ms, alerted_ms, alert_run_ms, marks = parts
    if not _TIMES.issuperset(map(type, (spent_ms, alerted_ms, alert_run_ms))) or type(marks) is not list:
        raise ValueError("its times are no times")
    unpacked = tuple(_mark(run_ms, mark) for mark in marks)
    return Bucket(first, last, events, _unpack_event(event), run_ms, spent_ms, alerted_ms, alert_run_ms, unpacked)


def _mark(run_ms: int, packed: object) -> Mark:
    match packed:
        case [int(before), bytes(digests)] if digests and len(digests) % DIGEST_SIZE == 0:
            event, *values = (digests[at : at + DIGEST_SIZE] for at in range(0, len(digests), DIGEST_SIZE))
            return Mark(run_ms - before, event, frozenset(values))
        case _:
            raise ValueError("its marks are no marks")


def pack_term(term: TermValue) -> bytes:
    """One term by itself."""
    return _pack(_pack_scalar(term))


def unpack_term(raw: bytes) -> TermValue:
    """The term of `pack_term`."""
    term: TermValue = _unpack(raw)
    if type(term) not in _SCALARS_AND_NONE:
        raise ValueError("it is no term")
    return term


def pack_history(history: History) -> bytes:
    """What lies under the key of a rule's history."""
    (_, rule_id, name, reach_ms), since_ms = astuple(history.rule), history.since_ms
    reach = None if reach_ms is None else _pack_scalar(reach_ms)
    return _pack({"id": rule_id, "name": name, "created_ms": _pack_scalar(since_ms), "reach_ms": reach})


def unpack_history(key: bytes, raw: bytes) -> History:
    """The history that lies under ``key``; in the first version of the schema its reach was not known."""
    match _unpack(raw):
        case {"id": str(rule_id), "name": str(name), "created_ms": int(since_ms), **more}:
            reach_ms = more.get("reach_ms")
            if reach_ms is None or type(reach_ms) is int:
                return History(RuleState(key, rule_id, name, reach_ms), since_ms)
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


def _pack_scalar(value: TermValue) -> TermValue | msgpack.ExtType:
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
