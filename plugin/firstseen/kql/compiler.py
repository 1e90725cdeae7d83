"""From the tree of a query to a predicate: closures over ``model.Fields``, one per node.

What a node means is said in ``naive``; the closures here only get there faster, and a property test holds the two
against each other. How values compare, by the type of their field, is in ``kinds``. An operand that Elasticsearch
would reject never matches; ``remarks`` tells of those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import assert_never
from weakref import WeakKeyDictionary

from msgspec import Struct

from firstseen.errors import KqlError
from firstseen.kql.addresses import Networks, address_of, range_of
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
from firstseen.kql.kinds import Kind, ValueTest, kind_of
from firstseen.kql.moments import indexed_moment
from firstseen.kql.scalars import may_be_in_scalar, text_of
from firstseen.kql.scope import Scope
from firstseen.kql.wildcards import LONE_STAR, Pieces, parted, wildcard
from firstseen.model import Fields, Scalar

Predicate = Callable[[Fields], bool]
"""Whether the record behind the fields matches."""

ANY_NAME = Pattern(LONE_STAR)

_NAMES_KEPT = 512

_LISTED: WeakKeyDictionary[Members | Addresses, dict[tuple[str, str, bool], Predicate]] = WeakKeyDictionary()
"""The tests for lists, as long as some rule has the list: by field, its type, and whether it is in a nested block."""


def compile_query(node: Node, query: str, field_type: Callable[[str], str]) -> Predicate:
    """Return the test whether a record matches ``node``, the tree of ``query``.

    ``field_type`` gives the Elasticsearch type of a field, "unknown" for one it does not know. In dates, ``now`` is the
    event's own ``@timestamp``. Raises ``KqlError``, at the place of the fault, for a wildcard in the path of a nested
    block and for ``now`` inside one.
    """
    return compile_within(Scope(field_type), node, query)


def compile_within(scope: Scope, node: Node, query: str) -> Predicate:
    """The same for a part of a query, where names are those of ``scope``."""
    return _Compiler(query, scope).compile(node)


class _Compiler(Struct, frozen=True):
    query: str
    scope: Scope

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
            case Is(name, value):
                return self.named(name, value, lambda each: self.equality(each, value))
            case Exists(name):
                return self.existing(name)
            case Range(name, op, value):
                return self.named(name, value, lambda each: self.range(each, op, value))
            case Nested():
                return self.nested(node)
            case FreeText(value):
                return self.compile(Is(ANY_NAME, value))
            case _:
                assert_never(node)

    def disjunction(self, children: Sequence[Node]) -> Predicate:
        """Any of ``children``, with all plain values of one field taken together as one look-up."""
        values: dict[str, list[Literal]] = {}
        others: list[Predicate] = []
        for child in children:
            match child:
                case Is(str(name), Literal() | Boolean() as value) if not self.is_out_of_reach(name, value):
                    values.setdefault(name, []).append(literal_of(value))
                case _:
                    others.append(self.compile(child))
        return _any_of([self.literals(name, each) for name, each in values.items()] + others)

    def named(self, name: FieldName, value: Value, make: Callable[[str], Predicate]) -> Predicate:
        """Make the test for ``name``, or for every field of a record whose name fits it."""
        if isinstance(name, str):
            return _never if self.is_out_of_reach(name, value) else make(name)
        fits = wildcard(name.pieces)
        test_of = lru_cache(maxsize=_NAMES_KEPT)(make)
        return lambda fields: any(fits(each) and test_of(each)(fields) for each in fields.names())

    def is_out_of_reach(self, name: str, value: Value) -> bool:
        """Whether the field is one of nested objects and asked for outside of a block of theirs."""
        if self.scope.path and isinstance(value, Literal) and self.kind(name).is_relative(value.text):
            raise KqlError("now in a nested block is not supported", self.query, value.span[0])
        return self.scope.needs_block(name) is not None

    def kind(self, name: str) -> Kind:
        return kind_of(self.scope.type_of(name))

    def existing(self, name: FieldName) -> Predicate:
        if isinstance(name, str):
            return _held(name, self.kind(name))
        fits = wildcard(name.pieces)
        test_of = lru_cache(maxsize=_NAMES_KEPT)(lambda each: _held(each, self.kind(each)))
        return lambda fields: any(fits(each) and test_of(each)(fields) for each in fields.names())

    def equality(self, name: str, value: Value) -> Predicate:
        kind = self.kind(name)
        match value:
            case Literal() | Boolean():
                return self.literals(name, [literal_of(value)])
            case Pattern(pieces):
                return _pattern(name, kind, pieces)
            case Glob():
                return _some(name, kind.globbed(value))
            case Members() | Addresses():
                return self.listed(name, value)
            case Null():
                return _never
            case _:
                assert_never(value)

    def listed(self, name: str, value: Members | Addresses) -> Predicate:
        """Any of a list, which may be long, and is compiled once for all rules that have it for this field."""
        known = _LISTED.setdefault(value, {})
        place = (name, self.scope.type_of(name), bool(self.scope.path))
        if place not in known:
            match value:
                case Members(_, texts):
                    known[place] = self.literals(name, [Literal(text, quoted=True) for text in sorted(texts)])
                case Addresses(_, ranges):
                    wanted = Networks(map(range_of, ranges))
                    known[place] = _some(name, lambda each: isinstance(each, str) and address_of(each) in wanted)
        return known[place]

    def literals(self, name: str, values: Sequence[Literal]) -> Predicate:
        """Any of ``values``."""
        kind = self.kind(name)
        texts: frozenset[Scalar] = frozenset(value.text for value in values)
        if kind.exact and not any(may_be_in_scalar(value.text) for value in values):
            return lambda fields: not texts.isdisjoint(fields.values(name))
        if kind.exact == "as text":
            return lambda fields: not texts.isdisjoint(map(text_of, fields.values(name)))
        moving = [value for value in values if kind.is_relative(value.text)]
        tests = [self.moving(name, partial(kind.equal, value)) for value in moving]
        fixed = [value for value in values if value not in moving]
        if fixed:
            tests.append(_some(name, kind.equal(fixed[0]) if len(fixed) == 1 else kind.among(fixed)))
        return _any_of(tests)

    def range(self, name: str, op: RangeOperator, value: Value) -> Predicate:
        kind, bound = self.kind(name), bound_of(value)
        if bound is None:
            return _never
        if kind.is_relative(bound):
            return self.moving(name, partial(kind.bounded, op, bound))
        return _some(name, kind.bounded(op, bound))

    def moving(self, name: str, test_at: Callable[[int], ValueTest | None]) -> Predicate:
        """Make the test that depends on what now is."""
        if self.scope.path:
            return _never

        def test(fields: Fields) -> bool:
            now = now_of(fields)
            at_now = None if now is None else test_at(now)
            return at_now is not None and any(map(at_now, fields.values(name)))

        return test

    def nested(self, node: Nested) -> Predicate:
        if isinstance(node.path, Pattern):
            raise KqlError("a wildcard in the path of a nested block is not supported", self.query, node.span[0])
        path = node.path
        test = _Compiler(self.query, self.scope.inside(path)).compile(node.child)
        if not self.scope.takes_block(path):
            return _never
        return lambda fields: any(map(test, fields.nested(path)))


def literal_of(value: Literal | Boolean) -> Literal:
    """``value`` as a text; true and false are their names."""
    return value if isinstance(value, Literal) else Literal(text_of(value.value), quoted=False, span=value.span)


def bound_of(value: Value) -> str | None:
    """What a range goes by: a star in it is a character; None for what is no bound at all."""
    match value:
        case Literal() | Boolean():
            return literal_of(value).text
        case Pattern(pieces):
            return "*".join(pieces)
        case _:
            return None


def now_of(fields: Fields) -> int | None:
    """When the event happened, in milliseconds since 1970; None where it does not say."""
    return next((at for value in fields.values("@timestamp") if (at := indexed_moment(value)) is not None), None)


def _held(name: str, kind: Kind) -> Predicate:
    """The field has a value: one that its type can hold, if that is not any."""
    if not kind.expects:
        return lambda fields: fields.exists(name)
    return _some(name, lambda value: kind.indexed(value) is not None)


def _pattern(name: str, kind: Kind, pieces: Pieces) -> Predicate:
    words = parted(pieces) if kind.splits else [pieces]
    tests: list[ValueTest] = []
    exists = False
    for word in words:
        if kind.splits and word == LONE_STAR:
            exists = True
            continue
        test = kind.equal(Literal(word[0], quoted=False)) if len(word) == 1 else kind.fits(word)
        if test is None:
            return _never
        tests.append(test)
    found = _any_of([_some(name, test) for test in tests])
    return _any_of([_held(name, kind), found]) if exists else found


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


def _never(fields: Fields) -> bool:
    return False


def _some(name: str, test: ValueTest | None) -> Predicate:
    if test is None:
        return _never

    def some(fields: Fields) -> bool:
        for value in fields.values(name):  # noqa: SIM110 - as above
            if test(value):
                return True
        return False

    return some
