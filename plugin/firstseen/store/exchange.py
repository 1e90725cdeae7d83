"""A state as lines of JSON: ``firstseen state export`` writes them, ``import`` reads them; see ``docs/state.md``.

The first line names the form and its version; each line after it is a history of a rule or what is remembered of terms,
and a history comes before its terms. Times are milliseconds since the epoch, digests hexadecimal. Whatever a record can
hold comes back as it was: what JSON has no word for (a lone surrogate, a number that is none or beyond 64 bits) is
written as ``{"msgpack": "<base64>"}``.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, assert_never

from firstseen.detect.keys import RULE_KEY_SIZE
from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import DIGEST_SIZE, Bucket, Mark
from firstseen.errors import InputError
from firstseen.model import TermValue
from firstseen.store.base import Entry, History, Memory, RuleState
from firstseen.store.codec import pack_term, unpack_term

FORM, VERSION = "firstseen-state", 1

_SAFE = 1 << 63
_Json = Mapping[str, Any]


def write_lines(histories: Iterable[History], entries: Iterable[Entry]) -> Iterator[str]:
    """The lines, without their ends."""
    yield _line({"form": FORM, "version": VERSION})
    for history in histories:
        yield _line(history_json(history))
    for entry in entries:
        yield _line(entry_json(entry))


def read_lines(lines: Iterable[bytes], name: str) -> Iterator[History | Entry]:
    """What `write_lines` wrote; empty lines are passed over. Raises `InputError` with ``name`` and the line."""
    headed = False
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            value = json.loads(line)
            if not headed:
                _check_header(value)
                headed = True
                continue
            yield _read(value)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{name}:{number}: no line of an exported state: {what}") from error
    if not headed:
        raise InputError(f"{name}: is empty: an exported state has at least its first line")


def history_json(history: History) -> _Json:
    """A history of a rule."""
    rule = history.rule
    named = {"rule": rule.key.hex(), "id": _json(rule.rule_id), "name": _json(rule.name)}
    return {**named, "since": history.since_ms, "reach": rule.reach_ms}


def entry_json(entry: Entry) -> _Json:
    """What is remembered of terms."""
    head = {"rule": entry.rule_key.hex(), "terms": [_json(term) for term in entry.terms]}
    return {**head, **_memory_json(entry.memory)}


def _memory_json(memory: Memory) -> _Json:
    span = {"first_seen": memory.first_seen, "last_seen": memory.last_seen}
    match memory:
        case Sighting(count=count, event=event, last_event=last_event):
            events = {"event": _json(event), "last_event": _json(last_event)}
            return {"law": "new_terms", **span, "count": count, **events}
        case Bucket(events=events, event=event, marks=marks):
            return {
                "law": "threshold",
                **span,
                "count": events,
                "event": _json(event),
                "run": memory.run_ms,
                "spent": memory.spent_ms,
                "alerted": memory.alerted_ms,
                "alert_run": memory.alert_run_ms,
                "marks": [
                    [mark.time_ms, mark.event.hex(), sorted(value.hex() for value in mark.values)] for mark in marks
                ],
            }
        case Window(event=event, suppressed=suppressed):
            return {"law": "suppression", **span, "event": _json(event), "suppressed": suppressed}
        case _ as unreachable:
            assert_never(unreachable)


def _line(value: _Json) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _json(value: TermValue) -> object:
    if isinstance(value, str) and _is_plain(value):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if value is None or isinstance(value, bool) or (isinstance(value, int) and -_SAFE <= value < _SAFE):
        return value
    return {"msgpack": base64.b64encode(pack_term(value)).decode("ascii")}


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_header(value: object) -> None:
    if not isinstance(value, dict) or value.get("form") != FORM:
        raise ValueError(f'it has to begin with {{"form": "{FORM}", ...}}')
    if value.get("version") != VERSION:
        raise ValueError(f"it is of version {value.get('version')}, this version of firstseen reads {VERSION}")


def _read(value: _Json) -> History | Entry:
    key = bytes.fromhex(value["rule"])
    if len(key) != RULE_KEY_SIZE:
        raise ValueError(f"a rule is named by {2 * RULE_KEY_SIZE} hexadecimal digits")
    if "terms" not in value:
        return _read_history(key, value)
    memory = _read_memory(value)
    terms = tuple(_term(term) for term in value["terms"])
    if isinstance(memory, Sighting) and (not terms or None in terms):
        raise ValueError("a sighting has terms, and each has a value")
    return Entry(key, terms, memory)


def _read_history(key: bytes, value: _Json) -> History:
    rule = RuleState(key, _text(value["id"]), _text(value["name"]), _number_or_none(value["reach"]))
    return History(rule, _number(value["since"]))


def _read_memory(value: _Json) -> Memory:
    first, last, event = _number(value["first_seen"]), _number(value["last_seen"]), _text(value["event"])
    match value["law"]:
        case "new_terms":
            return Sighting(first, last, _count(value["count"]), event, _text(value["last_event"]))
        case "suppression":
            return Window(first, last, event, _count(value["suppressed"]))
        case "threshold":
            return Bucket(
                first,
                last,
                _count(value["count"]),
                event,
                _number(value["run"]),
                _number_or_none(value["spent"]),
                _number_or_none(value["alerted"]),
                _number_or_none(value["alert_run"]),
                tuple(_mark(*mark) for mark in value["marks"]),
            )
        case law:
            raise ValueError(f"the law {law!r} is unknown")


def _mark(time_ms: object, event: str, values: list[str]) -> Mark:
    return Mark(_number(time_ms), _digest(event), frozenset(map(_digest, values)))


def _digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != DIGEST_SIZE:
        raise ValueError(f"a digest has {2 * DIGEST_SIZE} hexadecimal digits")
    return digest


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _number_or_none(value: object) -> int | None:
    return None if value is None else _number(value)


def _count(value: object) -> int:
    if not 0 <= _number(value) < 1 << 64:
        raise ValueError(f"{value!r} is no count")
    return _number(value)


def _text(value: object) -> str:
    term = _term(value)
    if isinstance(term, str):
        return term
    raise ValueError(f"{value!r} is no text")


def _term(value: object) -> TermValue:
    match value:
        case {"msgpack": str(packed)}:
            try:
                return unpack_term(base64.b64decode(packed, validate=True))
            except binascii.Error as error:
                raise ValueError(f"{packed!r} is no base64") from error
        case str() | int() | float() | None:
            return value
        case _:
            raise ValueError(f"{value!r} is no term")
