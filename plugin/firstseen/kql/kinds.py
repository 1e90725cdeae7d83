"""How the values of a field compare, by its Elasticsearch type.

A comparison is a test of one value of the field; a record matches where some value passes. None in its stead says that
Elasticsearch would reject the operand, as it rejects ``x`` for an address: such a comparison never matches.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any
from typing import Literal as OneOf

from firstseen.kql.addresses import Networks, address_of, operand_of, spelt
from firstseen.kql.analysis import holds_phrase, words_of
from firstseen.kql.ast import Glob, Literal, RangeOperator
from firstseen.kql.globs import glob_expression
from firstseen.kql.moments import indexed_moment, is_relative, moment_of
from firstseen.kql.numbers import double_of, indexed_double, indexed_whole, number_of, whole_around
from firstseen.kql.scalars import text_of
from firstseen.kql.wildcards import wildcard
from firstseen.model import Scalar

ValueTest = Callable[[Scalar], bool]
TextTest = Callable[[str], bool]

# Code points sort as their UTF-8 bytes do, so that texts can be compared as they are.
_COMPARE: dict[RangeOperator, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Kind:
    """Values of one type. This one is the base, and takes nothing.

    ``expects`` says what an operand has to be. ``splits`` tells that blanks in a wildcard part it into alternatives.
    ``exact`` says that what is equal to an operand is a text that is the same, and, for "as text", or a number or
    boolean whose text is the same. ``now`` is in milliseconds since 1970.
    """

    expects: str = ""
    splits: bool = True
    exact: OneOf["", "texts", "as text"] = ""

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        """Test for the value that ``operand`` spells."""
        return None

    def among(self, operands: Sequence[Literal]) -> ValueTest:
        """Test for any of ``operands``; those that are rejected are left out."""
        tests = [test for test in map(self.equal, operands) if test is not None]
        return lambda value: any(test(value) for test in tests)

    def fits(self, pieces: tuple[str, ...]) -> ValueTest | None:
        """Test for a wildcard's pieces."""
        return None

    def globbed(self, glob: Glob) -> ValueTest | None:
        """Test for a glob."""
        return None

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        """Test for a value on one side of ``bound``."""
        return None

    def is_relative(self, text: str) -> bool:
        """Whether what ``text`` means depends on ``now``."""
        return False

    def indexed(self, value: Scalar) -> Scalar | None:
        """What a field of this type holds for ``value``: the same for all that are one value to it. None: nothing."""
        return value


class _Objects(Kind):
    """What has fields below it, and no values: nothing is rejected, and nothing equal."""

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        return _never

    def fits(self, pieces: tuple[str, ...]) -> ValueTest | None:
        return _never

    def globbed(self, glob: Glob) -> ValueTest | None:
        return _never

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        return _never


class _Texts(Kind):
    """Texts compared as a whole; numbers and booleans are the text that JSON has for them."""

    exact: OneOf["", "texts", "as text"] = "as text"

    def __init__(self, *, splits: bool, globs: bool = True) -> None:
        self.splits = splits
        self.globs = globs

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        wanted = operand.text
        return lambda value: text_of(value) == wanted

    def among(self, operands: Sequence[Literal]) -> ValueTest:
        wanted = frozenset(operand.text for operand in operands)
        return lambda value: text_of(value) in wanted

    def fits(self, pieces: tuple[str, ...]) -> ValueTest | None:
        test = wildcard(pieces)
        return lambda value: test(value if type(value) is str else text_of(value))

    def globbed(self, glob: Glob) -> ValueTest | None:
        matches = glob_expression(glob.text, glob.caseless).fullmatch
        return (lambda value: matches(text_of(value)) is not None) if self.globs else None

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        compare = _COMPARE[op]
        return lambda value: compare(text_of(value), bound)

    def indexed(self, value: Scalar) -> Scalar | None:
        return text_of(value)


class _Caseless(_Texts):
    """Texts compared as a whole, all in lower case."""

    exact = ""

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        return _lowered(super().equal(Literal(operand.text.lower(), quoted=True)))

    def among(self, operands: Sequence[Literal]) -> ValueTest:
        wanted = frozenset(operand.text.lower() for operand in operands)
        return lambda value: text_of(value).lower() in wanted

    def fits(self, pieces: tuple[str, ...]) -> ValueTest | None:
        return _lowered(super().fits(tuple(piece.lower() for piece in pieces)))

    def globbed(self, glob: Glob) -> ValueTest | None:
        return _lowered(super().globbed(Glob(glob.text.lower(), caseless=False)))

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        return _lowered(super().bounded(op, bound.lower()))

    def indexed(self, value: Scalar) -> Scalar | None:
        return text_of(value).lower()


class _Unknown(_Texts):
    """Values of a field whose type is not known: each is compared as what it is in JSON."""

    exact = "texts"

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        return self.among([operand])

    def among(self, operands: Sequence[Literal]) -> ValueTest:
        wanted = frozenset(operand.text for operand in operands)
        numbers = frozenset(number for text in wanted if (number := number_of(text)) is not None)

        def test(value: Scalar) -> bool:
            if isinstance(value, str):
                return value in wanted
            if isinstance(value, bool):
                return text_of(value) in wanted
            return value in numbers or text_of(value) in wanted

        return test

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        compare = _COMPARE[op]
        number = number_of(bound)

        def test(value: Scalar) -> bool:
            if number is None or isinstance(value, (str, bool)):
                return compare(text_of(value), bound)
            return compare(value, number)

        return test

    def indexed(self, value: Scalar) -> Scalar | None:
        return value


class _Words(Kind):
    """Texts compared by their words."""

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        wanted = words_of(operand.text)
        if operand.quoted:
            return lambda value: holds_phrase(words_of(text_of(value)), wanted)
        return lambda value: not set(wanted).isdisjoint(words_of(text_of(value)))

    def fits(self, pieces: tuple[str, ...]) -> ValueTest | None:
        return _some_word(wildcard(tuple(piece.lower() for piece in pieces)))

    def globbed(self, glob: Glob) -> ValueTest | None:
        matches = glob_expression(glob.text.lower(), False).fullmatch
        return _some_word(lambda word: matches(word) is not None)

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        compare, lowered = _COMPARE[op], bound.lower()
        return _some_word(lambda word: compare(word, lowered))

    def indexed(self, value: Scalar) -> Scalar | None:
        return text_of(value)


class _Internet(Kind):
    """Addresses. An operand may be a network, and then means the addresses in it."""

    expects = "an address or a network"

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        wanted = operand_of(operand.text)
        if wanted is None:
            return None
        first, last = wanted
        return lambda value: (at := _indexed_address(value)) is not None and first <= at <= last

    def among(self, operands: Sequence[Literal]) -> ValueTest:
        wanted = Networks(operand_of(operand.text) for operand in operands)
        return lambda value: _indexed_address(value) in wanted

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        return _converted(_indexed_address, op, address_of(bound))

    def indexed(self, value: Scalar) -> Scalar | None:
        address = _indexed_address(value)
        return None if address is None else spelt(address)


class _Whole(Kind):
    """Whole numbers."""

    expects = "a number"

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        around = whole_around(operand.text)
        if around is None:
            return None
        down, up = around
        return (lambda value: indexed_whole(value) == down) if down == up else _never

    def among(self, operands: Sequence[Literal]) -> ValueTest:
        arounds = [around for operand in operands if (around := whole_around(operand.text)) is not None]
        wanted = frozenset(down for down, up in arounds if down == up)
        return lambda value: indexed_whole(value) in wanted

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        around = whole_around(bound)
        if around is None:
            return None
        down, up = around  # x > 1.5 is x > 1, and x >= 1.5 is x >= 2
        return _converted(indexed_whole, op, down if op in (">", "<=") else up)

    def indexed(self, value: Scalar) -> Scalar | None:
        return indexed_whole(value)


class _Fractional(Kind):
    """Floating-point numbers."""

    expects = "a number"

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        wanted = double_of(operand.text)
        return None if wanted is None else lambda value: indexed_double(value) == wanted

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        return _converted(indexed_double, op, double_of(bound))

    def indexed(self, value: Scalar) -> Scalar | None:
        return indexed_double(value)


class _Booleans(Kind):
    """True and false."""

    expects = "true or false"

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        wanted = _boolean(operand.text)
        return None if wanted is None else lambda value: _boolean(value) is wanted

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        return _converted(_boolean, op, _boolean(bound))

    def indexed(self, value: Scalar) -> Scalar | None:
        return _boolean(value)


class _Dates(Kind):
    """Points in time. An operand may leave its end out, and then means all of the time it names."""

    expects = "a date"

    def equal(self, operand: Literal, now: int = 0) -> ValueTest | None:
        moment = moment_of(operand.text, now)
        if moment is None:
            return None
        first, last = moment
        return lambda value: (at := indexed_moment(value)) is not None and first <= at <= last

    def bounded(self, op: RangeOperator, bound: str, now: int = 0) -> ValueTest | None:
        moment = moment_of(bound, now)
        if moment is None:
            return None
        return _converted(indexed_moment, op, moment.last if op in (">", "<=") else moment.first)

    def is_relative(self, text: str) -> bool:
        return is_relative(text)

    def indexed(self, value: Scalar) -> Scalar | None:
        return indexed_moment(value)


def _never(value: Scalar) -> bool:
    return False


def _lowered(test: ValueTest | None) -> ValueTest | None:
    return None if test is None else lambda value: test(text_of(value).lower())


def _some_word(test: TextTest) -> ValueTest:
    return lambda value: any(map(test, words_of(text_of(value))))


def _converted(indexed: Callable[[Scalar], Any], op: RangeOperator, bound: Any) -> ValueTest | None:
    """Compare what ``indexed`` makes of a value; None where there is no bound."""
    compare = _COMPARE[op]
    if bound is None:
        return None
    return lambda value: (have := indexed(value)) is not None and compare(have, bound)


def _indexed_address(value: Scalar) -> int | None:
    return address_of(value) if isinstance(value, str) else None


def _boolean(value: Scalar) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


_WHOLE, _FRACTIONAL, _WORDS, _DATES = _Whole(), _Fractional(), _Words(), _Dates()
_UNKNOWN = _Unknown(splits=False)
_KINDS: dict[str, Kind] = {
    "keyword": _Texts(splits=False),
    "constant_keyword": _Texts(splits=False),
    "wildcard": _Texts(splits=True),
    "flattened": _Texts(splits=True),
    "flattened_key": _Texts(splits=True, globs=False),
    "caseless": _Caseless(splits=False),
    "text": _WORDS,
    "match_only_text": _WORDS,
    "ip": _Internet(),
    **dict.fromkeys(("long", "integer", "short", "byte", "unsigned_long"), _WHOLE),
    **dict.fromkeys(("double", "float", "half_float", "scaled_float"), _FRACTIONAL),
    "boolean": _Booleans(),
    "date": _DATES,
    "date_nanos": _DATES,
    "object": _Objects(),
    "geo_point": Kind(),
    "unknown": _UNKNOWN,
}


def kind_of(es_type: str) -> Kind:
    """The kind of the values of a field of this type; of a type that is not known here, as if it were not known."""
    return _KINDS.get(es_type, _UNKNOWN)
