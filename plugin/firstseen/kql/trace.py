"""A query on one record, part by part: what each says of it, and which values it had before it.

The verdict of a comparison is the compiler's, that of all else is put together from its parts, all of which are looked
at. A property test holds both against `firstseen.kql.naive`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, assert_never

from msgspec import Struct

from firstseen.kql.ast import (
    And,
    Exists,
    FieldName,
    FreeText,
    Is,
    MatchAll,
    Nested,
    Node,
    Not,
    Or,
    Pattern,
    Range,
    render,
)
from firstseen.kql.compiler import Predicate, compile_within
from firstseen.kql.remarks import faults_of, limits_of
from firstseen.kql.scope import Scope
from firstseen.kql.wildcards import wildcard
from firstseen.model import Fields, Scalar

Tracer = Callable[[Fields], "Trace"]
"""What the parts of a query say of the record behind the fields."""

_NAMES_KEPT = 512
_NOT_HELD = "what a field of its type cannot hold is no value"


class Found(Struct, frozen=True):
    """A field that was looked at, by its full name: whether it is there, and the values it has."""

    field: str
    exists: bool
    values: tuple[Scalar, ...]


class Trace(Struct, frozen=True):
    """What one part of a query says of a record.

    ``children`` are those of ``node``, in order; where that is a block of nested objects, they are what is inside, once
    for each object. ``found`` are the fields that a comparison looked at; of a value without a field, those that have
    it. ``remarks`` tell why a comparison never matches, or is answered only roughly.
    """

    node: Node
    verdict: bool
    children: tuple[Trace, ...] = ()
    found: tuple[Found, ...] = ()
    remarks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same as plain values, in the shape that ``docs/commands.md`` tells of."""
        told: dict[str, Any] = {"node": _KINDS[type(self.node)], "verdict": self.verdict}
        match self.node:
            case And() | Or() | Not():
                pass
            case Nested(path):
                told["path"] = path
            case leaf:
                told["query"] = render(leaf)
        if self.found:
            told["fields"] = [
                {"field": each.field, "exists": each.exists, "values": list(each.values)} for each in self.found
            ]
        if self.remarks:
            told["remarks"] = list(self.remarks)
        if self.children:
            told["children"] = [child.as_json() for child in self.children]
        return told


_KINDS: dict[type[Node], str] = {
    MatchAll: "all",
    And: "and",
    Or: "or",
    Not: "not",
    Is: "is",
    Exists: "exists",
    Range: "range",
    Nested: "nested",
    FreeText: "free_text",
}


def compile_trace(node: Node, query: str, field_type: Callable[[str], str]) -> Tracer:
    """Return what traces ``node``, the tree of ``query``; see `firstseen.kql.compile_query`."""
    return _Tracing(query, Scope(field_type)).of(node)


class _Tracing(Struct, frozen=True):
    query: str
    scope: Scope

    def of(self, node: Node) -> Tracer:
        match node:
            case MatchAll():
                return lambda fields: Trace(node, True)
            case And(children):
                return self.joined(node, children, all)
            case Or(children):
                return self.joined(node, children, any)
            case Not(child):
                return self.joined(node, (child,), lambda verdicts: not any(verdicts))
            case Is(name) | Range(name) | Exists(name):
                return self.comparison(node, lambda fields: self.named(name, fields))
            case FreeText(value):
                holds = lru_cache(maxsize=_NAMES_KEPT)(lambda name: self.compiled(Is(name, value)))
                return self.comparison(node, lambda fields: (each for each in fields.names() if holds(each)(fields)))
            case Nested():
                return self.block(node)
            case _:
                assert_never(node)

    def joined(self, node: Node, parts: Sequence[Node], verdict: Callable[[Iterator[bool]], bool]) -> Tracer:
        tracers = [self.of(part) for part in parts]

        def trace(fields: Fields) -> Trace:
            children = tuple(tracer(fields) for tracer in tracers)
            return Trace(node, verdict(child.verdict for child in children), children)

        return trace

    def comparison(self, node: Node, names: Callable[[Fields], Iterator[str]]) -> Tracer:
        holds, remarks = self.compiled(node), self.remarks(node)

        def trace(fields: Fields) -> Trace:
            found = tuple(
                Found(self.scope.whole(name), fields.exists(name), tuple(fields.values(name))) for name in names(fields)
            )
            verdict = holds(fields)
            is_held_back = isinstance(node, Exists) and not verdict and any(each.values for each in found)
            return Trace(node, verdict, (), found, (*remarks, _NOT_HELD) if is_held_back else remarks)

        return trace

    def named(self, name: FieldName, fields: Fields) -> Iterator[str]:
        if isinstance(name, Pattern):
            return filter(wildcard(name.pieces), fields.names())
        return iter((name,))

    def block(self, node: Nested) -> Tracer:
        path = node.path
        if not isinstance(path, str) or not self.scope.takes_block(path):
            holds, remarks = self.compiled(node), self.remarks(Nested(path, MatchAll()))
            return lambda fields: Trace(node, holds(fields), remarks=remarks)
        inside = _Tracing(self.query, self.scope.inside(path)).of(node.child)

        def trace(fields: Fields) -> Trace:
            children = tuple(inside(each) for each in fields.nested(path))
            return Trace(node, any(child.verdict for child in children), children)

        return trace

    def compiled(self, node: Node) -> Predicate:
        return compile_within(self.scope, node, self.query)

    def remarks(self, node: Node) -> tuple[str, ...]:
        faults = [f"never matches: {fault.what}" for fault in faults_of(node, self.scope.type_of)]
        return (*faults, *(limit.what for limit in limits_of(node, self.scope.type_of)))
