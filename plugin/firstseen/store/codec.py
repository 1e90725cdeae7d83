"""How memories and rules lie on disk, as small as they can be without being a puzzle.

What is remembered of nearly every term is a sighting whose events have UUIDs. It lies in *short*: a byte of flags,
first seen in 5 bytes and the event in 16, and of what follows only what the flags name: lasting and count in 5 and 3
bytes (else it was seen once), and the last event in 16 (else it is the one that alerted). First seen is milliseconds
since 2013, lasting those from there to last seen. Then comes the term. One that is a text lies as
`firstseen.store.texts` has it, up to the end; others, and more than one, are an array of msgpack in which those bytes
stand for texts. The ARN of a user who was seen once is some 45 bytes.

What finds no place in that is *plain*, an array of msgpack: ``[first seen, lasting, count, event, last event or nil,
term, ...]``, nil where the last event is the one that alerted, an event id in the form of a UUID as its 16 bytes. Up to
the second version of the schema all sightings were. What other laws remember begins with their name, ``["threshold",
[...], term, ...]`` and ``["suppression", [...], term, ...]``, and a term of theirs may be nil: a group is also made by
what an event lacks. No array begins with a byte of flags.

Whatever a record can hold can be written: lone surrogates, integers of any size.

Reading raises `ValueError` for anything that was not written here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, assert_never

import msgpack
from msgspec.structs import astuple

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import DIGEST_SIZE, Bucket, Mark
from firstseen.model import TermValue
from firstseen.store.base import History, Memory, RuleState
from firstseen.store.texts import pack_text, unpack_text

_BIG_INT = 1
"""The msgpack ext type of an integer beyond 64 bits: its bytes in two's complement, most significant first."""

_LASTED, _ENDED_ELSE, _LISTED = 1, 2, 4
"""The flags of a short sighting: it was seen again, by another event, and its terms are an array."""
_FLAGS = 8
"""What begins with less than this is short."""
_YEAR_2013_MS = 1_356_998_400_000
"""Before it there was no CloudTrail; five bytes reach from it to 2047."""
_TIME_SIZE, _COUNT_SIZE, _UUID_SIZE = 5, 3, 16
_MOST_MS, _MOST_COUNT = 1 << 8 * _TIME_SIZE, 1 << 8 * _COUNT_SIZE
_EVENT_AT = 1 + _TIME_SIZE
_HEAD_SIZE = _EVENT_AT + _UUID_SIZE
_HEAD_SIZES = [
    _HEAD_SIZE + (_TIME_SIZE + _COUNT_SIZE) * bool(flags & _LASTED) + _UUID_SIZE * bool(flags & _ENDED_ELSE)
    for flags in range(_FLAGS)
]
"""By the flags: where the terms begin."""

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
            return _pack_short(memory, terms) or _pack_plain(memory, terms)
        case Bucket():
            return _pack([_THRESHOLD, _bucket_parts(memory), *map(_pack_scalar, terms)])
        case Window(first, last, event, suppressed):
            parts = [*map(_pack_scalar, (first, last)), _pack_event(event), suppressed]
            return _pack([_SUPPRESSION, parts, *map(_pack_scalar, terms)])
        case _:
            assert_never(memory)


def unpack_memory(raw: bytes) -> tuple[Memory, tuple[TermValue, ...]]:
    """What is remembered, and its terms."""
    if raw and raw[0] < _FLAGS:
        return _unpack_short(raw)
    # Plain checks of types: this runs once per claim, and patterns of classes take ten times as long.
    values = _unpack(raw)
    if type(values) is not list or len(values) < 2:
        raise ValueError("it is no memory")
    if type(values[0]) is not str:
        return _unpacked_plain(values)
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
    if raw and raw[0] < _FLAGS:
        return _times_in(raw)[1]
    values = _unpack(raw)  # and plain checks, as above
    if type(values) is list and len(values) > 1:
        first, then = values[:2]
        if type(first) is int and type(then) is int:
            return first + then
        if type(first) is str and type(then) is list and len(then) > 1 and type(then[1]) is int:
            last: int = then[1]
            return last
    raise ValueError("it is no memory")


def repacked(raw: bytes) -> bytes:
    """A memory in the form in which it is written today; as it is where nobody can read it."""
    if raw and raw[0] < _FLAGS:
        return raw
    try:
        return pack_memory(*unpack_memory(raw))
    except ValueError:
        return raw


def _pack_short(sighting: Sighting, terms: Sequence[TermValue]) -> bytes | None:
    """The sighting in short; None where something of it finds no place there."""
    first_seen, last_seen, count, event, last_event = sighting
    since, lasting = first_seen - _YEAR_2013_MS, last_seen - first_seen
    if not (0 <= since < _MOST_MS and 0 <= lasting < _MOST_MS and 0 <= count < _MOST_COUNT and terms):
        return None
    alerted, last = _pack_event(event), _pack_event(last_event)
    if isinstance(alerted, str) or isinstance(last, str):
        return None
    flags, parts = 0, [since.to_bytes(_TIME_SIZE, "big"), alerted]
    if lasting or count != 1:
        flags |= _LASTED
        parts += [lasting.to_bytes(_TIME_SIZE, "big"), count.to_bytes(_COUNT_SIZE, "big")]
    if last_event != event:
        flags |= _ENDED_ELSE
        parts.append(last)
    if len(terms) == 1 and isinstance(terms[0], str):
        parts.append(pack_text(terms[0]))
    else:
        flags |= _LISTED
        parts.append(_pack([pack_text(term) if isinstance(term, str) else _pack_scalar(term) for term in terms]))
    return bytes([flags]) + b"".join(parts)


def _unpack_short(raw: bytes) -> tuple[Sighting, tuple[TermValue, ...]]:
    first_seen, last_seen = _times_in(raw)
    flags, terms_at = raw[0], _HEAD_SIZES[raw[0]]
    event = last_event = _unpack_event(raw[_EVENT_AT:_HEAD_SIZE])
    count = 1
    if flags & _LASTED:
        count = int.from_bytes(raw[_HEAD_SIZE + _TIME_SIZE : _HEAD_SIZE + _TIME_SIZE + _COUNT_SIZE], "big")
    if flags & _ENDED_ELSE:
        last_event = _unpack_event(raw[terms_at - _UUID_SIZE : terms_at])
    sighting = Sighting(first_seen, last_seen, count, event, last_event)
    if not flags & _LISTED:
        return sighting, (unpack_text(raw[terms_at:]),)
    values = _unpack(raw[terms_at:])
    if type(values) is not list or not values:
        raise ValueError("its terms are no terms")
    return sighting, tuple(map(_unpacked_listed, values))


def _times_in(raw: bytes) -> tuple[int, int]:
    """First and last seen of a short sighting."""
    flags = raw[0]
    if len(raw) < _HEAD_SIZES[flags]:
        raise ValueError("it is no sighting")
    first_seen = _YEAR_2013_MS + int.from_bytes(raw[1:_EVENT_AT], "big")
    if not flags & _LASTED:
        return first_seen, first_seen
    return first_seen, first_seen + int.from_bytes(raw[_HEAD_SIZE : _HEAD_SIZE + _TIME_SIZE], "big")


def _unpacked_listed(value: Any) -> TermValue:
    if type(value) is bytes:
        return unpack_text(value)
    if type(value) is str or type(value) not in _SCALARS:
        raise ValueError("its terms are no terms")
    term: TermValue = value
    return term


def _pack_plain(sighting: Sighting, terms: Sequence[TermValue]) -> bytes:
    last_event = None if sighting.last_event == sighting.event else _pack_event(sighting.last_event)
    times = (sighting.first_seen, sighting.last_seen - sighting.first_seen)
    return _pack(
        [*map(_pack_scalar, times), sighting.count, _pack_event(sighting.event), last_event, *map(_pack_scalar, terms)]
    )


def _unpacked_plain(values: list[Any]) -> tuple[Sighting, tuple[TermValue, ...]]:
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


def pack_terms(terms: Sequence[TermValue]) -> bytes:
    """Terms without what is remembered of them."""
    return _pack([*map(_pack_scalar, terms)])


def unpack_terms(raw: bytes) -> tuple[TermValue, ...]:
    """The terms of `pack_terms`."""
    terms = _unpack(raw)
    if type(terms) is not list or not _SCALARS_AND_NONE.issuperset(map(type, terms)):
        raise ValueError("they are no terms")
    return tuple(terms)


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
    if not isinstance(packed, bytes) or len(packed) != _UUID_SIZE:
        raise ValueError("its event is no event")
    digits = packed.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
