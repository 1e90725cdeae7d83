"""From the tree of a query to a predicate: closures over ``model.Fields``, one per node.

What a node means is said in ``naive``; the closures here only get there faster, and a property test holds the two
against each other. Values are compared on keyword fields alone. Everything this version cannot decide exactly is
refused when the query is compiled, never answered with a guess.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import assert_never

from firstseen.errors import KqlError
from firstseen.kql.addresses import in_ranges
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
from firstseen.kql.globs import glob_expression
from firstseen.kql.scalars import may_be_in_scalar, text_of
from firstseen.model import Fields, Scalar

Predicate = Callable[[Fields], bool]
"""Whether the record behind the fields matches."""

_TextTest = Callable[[str], bool]

_COMPARABLE = frozenset({"keyword", "constant_keyword", "unknown"})

# Code points sort as their UTF-8 bytes do, so that texts can be compared as they are.
_COMPARE: dict[RangeOperator, Callable[[str, str], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compile_query(node: Node, query: str, field_type: Callable[[str], str]) -> Predicate:
    """Return the test whether a record matches ``node``, the tree of ``query``.

    ``field_type`` gives the Elasticsearch type of a field, "keyword" for one it does not know. Raises ``KqlError``,
    at the place of the fault, for a comparison with a field of another type than keyword and constant_keyword, for
    free text, wildcards in field names or in ranges, and ``null``.
    """
    return _Compiler(query, field_type).compile(node)


@dataclass(frozen=True, slots=True)
class _Compiler:
    query: str
    field_type: Callable[[str], str]

    def compile(self, node: Node) -> Predicate:
        match node:
            case MatchAll():
                return lambda fields: True
            case And(children):
                return _all_of([self.compile(child) for child in children])
            case Or(children):
                return self.disjunction(children)
            case Not(child):
                return _negated(self.compile(child))
            case Is():
                return self.equality(node)
            case Exists():
                name = self.name(node.field, node)
                return lambda fields: fields.exists(name)
            case Range():
                return self.range(node)
            case Nested():
                return self.nested(node)
            case FreeText():
                raise self.refusal("a value without a field", node)
            case _:
                assert_never(node)

    def disjunction(self, children: Sequence[Node]) -> Predicate:
        """Any of ``children``, with all plain values of one field taken together as one look-up."""
        texts: dict[str, set[str]] = {}
        others: list[Predicate] = []
        for child in children:
            if isinstance(child, Is) and isinstance(child.value, Literal | Boolean):
                texts.setdefault(self.keyword(child), set()).add(_text(child.value))
            else:
                others.append(self.compile(child))
        return _any_of([_one_of(name, each) for name, each in texts.items()] + others)

    def equality(self, node: Is) -> Predicate:
        name = self.keyword(node)
        match node.value:
            case Literal() | Boolean() as value:
                return _one_of(name, {_text(value)})
            case Pattern(pieces):
                return _some_text(name, _wildcard(pieces))
            case Glob(text, caseless):
                expression = glob_expression(text, caseless)
                return _some_text(name, lambda value: expression.fullmatch(value) is not None)
            case Members(_, texts):
                return _one_of(name, texts)
            case Addresses(_, ranges):
                return _some_text(name, lambda value: in_ranges(value, ranges))
            case Null():
                raise self.refusal("null as a value", node.value)
            case _:
                assert_never(node.value)

    def range(self, node: Range) -> Predicate:
        name = self.keyword(node)
        match node.value:
            case Literal() | Boolean() as value:
                return _some_text(name, _bounded(node.op, _text(value)))
            case Pattern() | Glob():
                raise self.refusal("a wildcard in a range", node.value)
            case Members() | Addresses():
                raise self.refusal("a list in a range", node.value)
            case Null():
                raise self.refusal("null as a value", node.value)
            case _:
                assert_never(node.value)

    def nested(self, node: Nested) -> Predicate:
        if isinstance(node.path, Pattern):
            raise self.refusal("a wildcard in the path of a nested block", node)
        path = node.path
        test = _Compiler(self.query, lambda name: self.field_type(f"{path}.{name}")).compile(node.child)
        return lambda fields: any(map(test, fields.nested(path)))

    def keyword(self, node: Is | Range) -> str:
        """Return the name of the field of ``node``, which must be one whose values can be compared."""
        name = self.name(node.field, node)
        type_ = self.field_type(name)
        if type_ not in _COMPARABLE:
            raise self.refusal(f"comparing {name}, which is of the type {type_},", node)
        return name

    def name(self, name: FieldName, node: Is | Exists | Range) -> str:
        if isinstance(name, Pattern):
            raise self.refusal("a wildcard in the name of a field", node)
        return name

    def refusal(self, what: str, node: Node | Value) -> KqlError:
        return KqlError(f"{what} is not supported by this version", self.query, node.span[0])


def _text(value: Literal | Boolean) -> str:
    return value.text if isinstance(value, Literal) else text_of(value.value)


def _all_of(tests: Sequence[Predicate]) -> Predicate:
    def every(fields: Fields) -> bool:
        for test in tests:  # noqa: SIM110 - a generator for each record costs more than the tests
            if not test(fields):
                return False
        return True

    return every


def _any_of(tests: Sequence[Predicate]) -> Predicate:
    if len(tests) == 1:
        return tests[0]

    def some(fields: Fields) -> bool:
        for test in tests:  # noqa: SIM110 - as above
            if test(fields):
                return True
        return False

    return some


def _negated(test: Predicate) -> Predicate:
    return lambda fields: not test(fields)


def _one_of(name: str, texts: Set[str]) -> Predicate:
    wanted: frozenset[Scalar] = frozenset(texts)
    if any(map(may_be_in_scalar, texts)):
        return lambda fields: not wanted.isdisjoint(map(text_of, fields.values(name)))
    return lambda fields: not wanted.isdisjoint(fields.values(name))


def _some_text(name: str, test: _TextTest) -> Predicate:
    return lambda fields: any(map(test, map(text_of, fields.values(name))))


def _wildcard(pieces: tuple[str, ...]) -> _TextTest:
    """Test for the pieces in order, the first and the last at the ends: linear where a regex could backtrack."""
    first, *between, last = pieces
    middle = [piece for piece in between if piece]

    def fits(text: str) -> bool:
        at, end = len(first), len(text) - len(last)
        if at > end or not (text.startswith(first) and text.endswith(last)):
            return False
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return fits


def _bounded(op: RangeOperator, bound: str) -> _TextTest:
    compare = _COMPARE[op]
    return lambda text: compare(text, bound)
