"""What a query means, said as plainly as possible; the compiler must agree with it on every tree and every record.

Any value of a field counts, and a negation is true where the field is missing. How a value compares goes by the type
of its field. An operand that Elasticsearch would reject matches nothing, and a value that it would is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from firstseen.kql.addresses import address_of, operand_of, range_of
from firstseen.kql.analysis import words_of
from firstseen.kql.ast import (
    Addresses,
    And,
    Boolean,
    Exists,
    FieldName,
    FreeText,
    Glob,
    Is,
    Literal,
    MatchAll,
    Members,
    Nested,
    Node,
    Not,
    Null,
    Or,
    Pattern,
    Range,
    RangeOperator,
    Value,
)
from firstseen.kql.globs import parts_of
from firstseen.kql.moments import indexed_moment, is_relative, moment_of
from firstseen.kql.numbers import decimal_of, double_of, indexed_double, indexed_whole, number_of
from firstseen.kql.scalars import text_of
from firstseen.kql.scope import Scope
from firstseen.kql.wildcards import LONE_STAR, Pieces, parted
from firstseen.model import Fields, Scalar

_WHOLE = ("long", "integer", "short", "byte", "unsigned_long")
_FRACTIONAL = ("double", "float", "half_float", "scaled_float")
_DATES = ("date", "date_nanos")
_ANALYSED = ("text", "match_only_text")
_NOT_PARTED = ("keyword", "constant_keyword", "caseless", "unknown")
_TEXTS = ("wildcard", "flattened", "flattened_key", *_NOT_PARTED)


def evaluate(node: Node, fields: Fields, field_type: Callable[[str], str]) -> bool:
    """Whether the record behind ``fields`` matches."""
    return _Evaluator(Scope(field_type), fields).holds(node)


class _Evaluator:
    def __init__(self, scope: Scope, fields: Fields) -> None:
        self.scope = scope
        self.fields = fields

    def holds(self, node: Node) -> bool:
        match node:
            case MatchAll():
                return True
            case And(children):
                return all(self.holds(child) for child in children)
            case Or(children):
                return any(self.holds(child) for child in children)
            case Not(child):
                return not self.holds(child)
            case Exists(name):
                return any(self.exists(each) for each in ([name] if isinstance(name, str) else self.names(name)))
            case Is(name, value):
                return any(self.equals(each, value) for each in self.names(name))
            case FreeText(value):
                return any(self.equals(each, value) for each in self.fields.names())
            case Range(name, op, value):
                return any(self.lies(each, op, value) for each in self.names(name))
            case Nested(path, child):
                return isinstance(path, str) and self.scope.takes_block(path) and self.holds_below(path, child)
            case _:
                assert_never(node)

    def holds_below(self, path: str, child: Node) -> bool:
        return any(_Evaluator(self.scope.inside(path), each).holds(child) for each in self.fields.nested(path))

    def names(self, name: FieldName) -> list[str]:
        """The fields meant: those that fit a pattern, or the one, unless it can only be asked for in a block."""
        if isinstance(name, Pattern):
            return [each for each in self.fields.names() if _fits(each, name.pieces)]
        return [] if self.scope.needs_block(name) else [name]

    def exists(self, name: str) -> bool:
        es_type = self.scope.type_of(name)
        if _takes_any(es_type):
            return self.fields.exists(name)
        return any(_is_held(value, es_type) for value in self.fields.values(name))

    def equals(self, name: str, value: Value) -> bool:
        es_type = self.scope.type_of(name)
        match value:
            case Literal() | Boolean():
                return self.equals_text(name, _literal(value))
            case Pattern(pieces) if es_type in _NOT_PARTED:
                return any(_fits_typed(each, es_type, pieces) for each in self.fields.values(name))
            case Pattern(pieces):
                verdicts = [self.fits(name, es_type, word) for word in parted(pieces)]
                return None not in verdicts and any(verdicts)
            case Glob():
                return any(_globbed(each, es_type, value) for each in self.fields.values(name))
            case Members(_, texts):
                return any(self.equals_text(name, Literal(text, quoted=True)) for text in texts)
            case Addresses(_, ranges):
                return any(_inside(each, range_of(text)) for each in self.fields.values(name) for text in ranges)
            case Null():
                return False
            case _:
                assert_never(value)

    def fits(self, name: str, es_type: str, word: Pieces) -> bool | None:
        """Whether a value fits one word of a wildcard; None where the word is rejected."""
        if word == LONE_STAR:
            return self.exists(name)
        if len(word) == 1:
            operand = Literal(word[0], quoted=False)
            return self.equals_text(name, operand) if _takes(es_type, operand.text) else None
        if es_type not in (*_TEXTS, *_ANALYSED, "object"):
            return None
        return any(_fits_typed(each, es_type, word) for each in self.fields.values(name))

    def equals_text(self, name: str, operand: Literal) -> bool:
        es_type = self.scope.type_of(name)
        if es_type in _DATES:
            moment = self.moment(operand.text)
            moments = [indexed_moment(value) for value in self.fields.values(name)]
            return moment is not None and any(each is not None and moment[0] <= each <= moment[1] for each in moments)
        return any(_equal(each, es_type, operand) for each in self.fields.values(name))

    def lies(self, name: str, op: RangeOperator, value: Value) -> bool:
        es_type = self.scope.type_of(name)
        match value:
            case Literal() | Boolean():
                bound = _literal(value).text
            case Pattern(pieces):
                bound = "*".join(pieces)
            case _:
                return False
        if es_type in _DATES:
            moment = self.moment(bound)
            moments = [indexed_moment(each) for each in self.fields.values(name)]
            return any(_ordered(each, op, moment and moment[op in (">", "<=")]) for each in moments)
        return any(_lies(each, es_type, op, bound) for each in self.fields.values(name))

    def moment(self, text: str) -> tuple[int, int] | None:
        """What a date in the query means. Now is when the event happened; only the event itself knows that."""
        if not is_relative(text):
            return moment_of(text, now=0)
        moments = [] if self.scope.path else [indexed_moment(value) for value in self.fields.values("@timestamp")]
        now = next((moment for moment in moments if moment is not None), None)
        return None if now is None else moment_of(text, now)


def _literal(value: Literal | Boolean) -> Literal:
    return value if isinstance(value, Literal) else Literal(text_of(value.value), quoted=False)


def _takes(es_type: str, text: str) -> bool:
    """Whether Elasticsearch takes ``text`` as the operand of a field of this type."""
    if es_type == "ip":
        return operand_of(text) is not None
    if es_type in _WHOLE:
        return decimal_of(text) is not None
    if es_type in _FRACTIONAL:
        return double_of(text) is not None
    if es_type in _DATES:
        return moment_of(text, now=0) is not None
    return text in ("true", "false") if es_type == "boolean" else es_type != "geo_point"


def _takes_any(es_type: str) -> bool:
    """Whether a field of this type takes every value, or has none of its own."""
    return es_type not in ("ip", "boolean", *_WHOLE, *_FRACTIONAL, *_DATES)


def _is_held(value: Scalar, es_type: str) -> bool:
    """Whether a field of this type, which does not take every value, takes this one."""
    if es_type == "ip":
        return isinstance(value, str) and address_of(value) is not None
    if es_type in _WHOLE:
        return indexed_whole(value) is not None
    if es_type in _FRACTIONAL:
        return indexed_double(value) is not None
    return text_of(value) in ("true", "false") if es_type == "boolean" else indexed_moment(value) is not None


def _equal(value: Scalar, es_type: str, operand: Literal) -> bool:
    text, wanted = text_of(value), operand.text
    if es_type == "ip":
        return _inside(value, operand_of(wanted))
    if es_type in _WHOLE:
        return indexed_whole(value) is not None and indexed_whole(value) == decimal_of(wanted)
    if es_type in _FRACTIONAL:
        return indexed_double(value) is not None and indexed_double(value) == double_of(wanted)
    if es_type == "boolean":
        return wanted in ("true", "false") and text == wanted
    if es_type in _ANALYSED:
        return _holds(words_of(text), words_of(wanted), in_a_row=operand.quoted)
    if es_type == "caseless":
        return text.lower() == wanted.lower()
    if es_type in ("object", "geo_point"):
        return False
    if es_type == "unknown" and _is_number(value):
        return text == wanted or value == number_of(wanted)
    return text == wanted


def _lies(value: Scalar, es_type: str, op: RangeOperator, bound: str) -> bool:
    text = text_of(value)
    if es_type == "ip":
        return _ordered(address_of(value) if isinstance(value, str) else None, op, address_of(bound))
    if es_type in _WHOLE:
        return _ordered(indexed_whole(value), op, decimal_of(bound))
    if es_type in _FRACTIONAL:
        return _ordered(indexed_double(value), op, double_of(bound))
    if es_type == "boolean":
        known = {"false": 0, "true": 1}
        return _ordered(known.get(text), op, known.get(bound))
    if es_type in _ANALYSED:
        return any(_ordered(_bytes(word), op, _bytes(bound.lower())) for word in words_of(text))
    if es_type == "caseless":
        return _ordered(_bytes(text.lower()), op, _bytes(bound.lower()))
    if es_type in ("object", "geo_point"):
        return False
    if es_type == "unknown" and _is_number(value) and number_of(bound) is not None:
        return _ordered(value, op, number_of(bound))
    return _ordered(_bytes(text), op, _bytes(bound))


def _ordered(have: Any, op: RangeOperator, bound: Any) -> bool:
    if have is None or bound is None:
        return False
    match op:
        case "<":
            return bool(have < bound)
        case "<=":
            return bool(have <= bound)
        case ">":
            return bool(have > bound)
        case ">=":
            return bool(have >= bound)
        case _:
            assert_never(op)


def _fits_typed(value: Scalar, es_type: str, pieces: Pieces) -> bool:
    text = text_of(value)
    if es_type in _ANALYSED:
        return any(_fits(word, [piece.lower() for piece in pieces]) for word in words_of(text))
    if es_type == "caseless":
        return _fits(text.lower(), [piece.lower() for piece in pieces])
    return es_type != "object" and _fits(text, pieces)


def _fits(text: str, pieces: Sequence[str]) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pieces)), text, re.DOTALL) is not None


def _globbed(value: Scalar, es_type: str, glob: Glob) -> bool:
    lowers = es_type in (*_ANALYSED, "caseless")
    wild = {"*": ".*", "?": "."}
    parts = parts_of(glob.text.lower() if lowers else glob.text)
    expression = "".join(wild.get(sign) or re.escape(plain) for sign, plain in parts)
    flags = re.DOTALL | (re.IGNORECASE if glob.caseless else 0)
    if es_type in _ANALYSED:
        return any(re.fullmatch(expression, word, flags) for word in words_of(text_of(value)))
    text = text_of(value).lower() if lowers else text_of(value)
    return es_type in _TEXTS and es_type != "flattened_key" and re.fullmatch(expression, text, flags) is not None


def _holds(words: Sequence[str], wanted: Sequence[str], *, in_a_row: bool) -> bool:
    if in_a_row:
        rows = [words[at : at + len(wanted)] for at in range(len(words))]
        return len(wanted) > 0 and wanted in rows
    return any(word in words for word in wanted)


def _inside(value: Scalar, wanted: tuple[int, int] | None) -> bool:
    address = address_of(value) if isinstance(value, str) else None
    return address is not None and wanted is not None and wanted[0] <= address <= wanted[1]


def _is_number(value: Scalar) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
