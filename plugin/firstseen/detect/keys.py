"""Canonical names for terms, rules and alerts: no two different things can be made to share one.

Every value is written as a type tag, its length and its bytes, so the end of one value never depends on what the next
one holds, and ``["a", "b"]``, ``["ab"]`` and ``["a,b"]`` stay apart. What is hashed starts with a domain that names its
purpose and the version of this encoding: a digest made for one purpose can never pass for another. Changing anything
here orphans every stored history and changes every alert id, so it takes a new version, and a migration.

Values are typed: ``True``, ``1``, ``1.0`` and ``"1"`` are four different terms. Two floats are the same term where they
are equal; all NaN are one term.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256

from firstseen.model import TermValue

RULE_KEY_SIZE = 8
"""Bytes of a `rule_state`: it leads every key of the rule's history."""
TERMS_DIGEST_SIZE = 16
"""Bytes of a `terms_digest`: 2^64 terms of one rule before two are likely to collide."""

_TERMS = b"firstseen/1/terms\0"
_RULE = b"firstseen/1/rule\0"
_ALERT = b"firstseen/1/alert\0"

_STR, _INT, _FLOAT, _BOOL, _BYTES, _LIST, _NONE = b"s", b"i", b"f", b"b", b"y", b"l", b"n"
_NAN = b"\x7f\xf8" + bytes(6)


def encode_terms(terms: Iterable[TermValue]) -> bytes:
    """``terms`` in a form that only equal terms share: same number, types, values and order."""
    return b"".join(map(_scalar, terms))


def terms_digest(terms: Iterable[TermValue]) -> bytes:
    """16 bytes that stand for ``terms`` in keys."""
    return sha256(_TERMS + encode_terms(terms)).digest()[:TERMS_DIGEST_SIZE]


def rule_state(
    rule_id: str, query: str, fields: Sequence[str], exceptions: Iterable[str] = (), law: Sequence[str] = ()
) -> bytes:
    """8 bytes that change with whatever decides the meaning of a rule's history, so that a changed rule starts anew.

    The order of ``fields`` is the order of the terms and counts. ``exceptions`` (in any canonical text) are a set: an
    event is excluded if any of them matches. ``law`` says which law what is remembered belongs to, and what that law
    keeps of an event; it is empty for the law of first sightings.
    """
    excluded = sorted(set(map(_text, exceptions)))
    meaning = _text(rule_id) + _text(query) + _sequence(map(_text, fields)) + _sequence(excluded)
    if law:
        meaning += _sequence(map(_text, law))
    return sha256(_RULE + meaning).digest()[:RULE_KEY_SIZE]


def state_key(rule_key: bytes, terms: Iterable[TermValue]) -> bytes:
    """The 24 bytes under which the history of ``terms`` is kept; ``rule_key`` comes from `rule_state`."""
    return rule_key + terms_digest(terms)


def alert_id(rule_id: str, terms: Iterable[TermValue], event_identity: str | bytes) -> str:
    """The id of the alert on ``terms`` by this event: 32 hex digits, the same however often the event comes."""
    identity = _framed(_BYTES, event_identity) if isinstance(event_identity, bytes) else _text(event_identity)
    return sha256(_ALERT + _text(rule_id) + _sequence(map(_scalar, terms)) + identity).hexdigest()[:32]


def digest_of(raw: bytes | memoryview) -> str:
    """What stands for the identity of an event that has none of its own: ``raw`` are all bytes of its entry or text."""
    return "sha256:" + sha256(raw).hexdigest()


def _framed(tag: bytes, raw: bytes) -> bytes:
    return tag + len(raw).to_bytes(4, "big") + raw


def _text(text: str) -> bytes:
    # surrogatepass, because surrogateescape is neither total nor one-to-one: JSON can say "\ud800", which it refuses,
    # and "\udcc3\udca9", which it would turn into the bytes of "é".
    return _framed(_STR, text.encode("utf-8", "surrogatepass"))


def _sequence(encoded: Iterable[bytes]) -> bytes:
    items = list(encoded)
    return _LIST + len(items).to_bytes(4, "big") + b"".join(items)


def _scalar(value: TermValue) -> bytes:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):  # before int: bool is one in Python, not in a record
        return _framed(_BOOL, b"\1" if value else b"\0")
    if isinstance(value, int):
        # One bit more than the magnitude for the sign; JSON integers may be of any size.
        return _framed(_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if value is None:
        return _framed(_NONE, b"")
    return _framed(_FLOAT, _float(value))


def _float(value: float) -> bytes:
    if value != value:
        return _NAN
    return struct.pack(">d", value + 0.0)  # -0.0 + 0.0 is 0.0
