"""What a query asks in vain, and what it is answered only roughly: for whoever loads it to tell.

A fault is a comparison that Elasticsearch would reject, and the query with it: here it never matches, and all else in
the query goes on. A limit is a comparison whose answer may differ from Elasticsearch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from firstseen.kql.addresses import range_of
from firstseen.kql.ast import (
    Addresses,
    And,
    Boolean,
    FreeText,
    Glob,
    Is,
    Literal,
    Members,
    Nested,
    Node,
    Not,
    Null,
    Or,
    Pattern,
    Range,
    RangeOperator,
    Span,
    Value,
)
from firstseen.kql.kinds import Kind, kind_of
from firstseen.kql.scalars import text_of
from firstseen.kql.scope import Scope
from firstseen.kql.wildcards import LONE_STAR, parted


class Remark(NamedTuple):
    """What is to be said, and of which part of the query."""

    span: Span
    what: str


def faults_of(node: Node, field_type: Callable[[str], str]) -> list[Remark]:
    """The comparisons of ``node`` that never match because Elasticsearch would reject them, in order."""
    return [
        Remark(leaf.span, what) for leaf, scope in _leaves(node, Scope(field_type)) for what in _faults(leaf, scope)
    ]


def limits_of(node: Node, field_type: Callable[[str], str]) -> list[Remark]:
    """The comparisons of ``node`` that are answered only roughly, in order; each limit once."""
    found: dict[str, Remark] = {}
    for leaf, scope in _leaves(node, Scope(field_type)):
        what = _limit(leaf, scope)
        if what:
            found.setdefault(what, Remark(leaf.span, what))
    return list(found.values())


_Leaf = Is | Range | FreeText | Nested


def _leaves(node: Node, scope: Scope) -> Iterator[tuple[_Leaf, Scope]]:
    ahead: list[tuple[Node, Scope]] = [(node, scope)]
    while ahead:
        here, around = ahead.pop()
        match here:
            case Is() | Range() | FreeText():
                yield here, around
            case And(children) | Or(children):
                ahead += [(child, around) for child in reversed(children)]
            case Not(child):
                ahead.append((child, around))
            case Nested(path, child):
                yield here, around
                if isinstance(path, str):
                    ahead.append((child, around.inside(path)))


def _limit(leaf: _Leaf, scope: Scope) -> str:
    match leaf:
        case FreeText():
            return "a value without a field is looked for in every field that a record has"
        case Is(Pattern()) | Range(Pattern()):
            return "a wildcard in the name of a field stands for the fields that a record has"
        case Is(str(name)) | Range(str(name)) if scope.type_of(name) in ("text", "match_only_text"):
            return f"{scope.whole(name)} is compared by its words, which are found approximately"
        case _:
            return ""


def _faults(leaf: _Leaf, scope: Scope) -> Iterator[str]:
    match leaf:
        case Nested(str(path)):
            if not scope.takes_block(path):
                yield f"{scope.whole(path)} has no nested objects: it is of type {scope.type_of(path)}"
        case Is(str(name), value):
            yield from _faults_of_value(name, value, scope)
        case Range(str(name), op, value):
            yield from _faults_of_bound(name, op, value, scope)
        case Is(_, Null()) | Range(_, _, Null()) | FreeText(Null()):
            yield "null is no value to compare with"
        case _:
            return


def _faults_of_value(name: str, value: Value, scope: Scope) -> Iterator[str]:
    kind, es_type = kind_of(scope.type_of(name)), scope.type_of(name)
    yield from _hidden(name, scope)
    match value:
        case Literal() | Boolean() | Members() if kind.exact:
            return  # every text is one to compare with
        case Literal() | Boolean():
            yield from _unlike(_text(value), kind, es_type, name)
        case Members(_, texts):
            for text in sorted(texts):
                yield from _unlike(text, kind, es_type, name)
        case Pattern(pieces):
            words = parted(pieces) if kind.splits else [pieces]
            for word in words:
                if len(word) == 1:
                    yield from _unlike(word[0], kind, es_type, name)
                elif word != LONE_STAR and kind.fits(word) is None:
                    yield f"{name} is of type {es_type}, which takes no wildcard"
        case Glob():
            if kind.globbed(value) is None:
                yield f"{name} is of type {es_type}, which takes no wildcard"
        case Addresses(list_name, ranges):
            for text in ranges:
                if range_of(text) is None:
                    yield f"{text!r} in the list {list_name} is no address, network or range"
        case Null():
            yield "null is no value to compare with"


def _faults_of_bound(name: str, op: RangeOperator, value: Value, scope: Scope) -> Iterator[str]:
    kind, es_type = kind_of(scope.type_of(name)), scope.type_of(name)
    yield from _hidden(name, scope)
    match value:
        case Literal() | Boolean() | Pattern():
            bound = "*".join(value.pieces) if isinstance(value, Pattern) else _text(value)
            if kind.bounded(op, bound) is None:
                yield _unlike_what(bound, kind, es_type, name)
        case _:
            yield "null is no value to compare with"


def _hidden(name: str, scope: Scope) -> Iterator[str]:
    path = scope.needs_block(name)
    if path is not None:
        rest = name[len(path) + 1 :] or "..."
        yield f"{path} has nested objects: write {path}:{{ {rest}: ... }}"


def _unlike(text: str, kind: Kind, es_type: str, name: str) -> Iterator[str]:
    if kind.equal(Literal(text, quoted=True)) is None:
        yield _unlike_what(text, kind, es_type, name)


def _unlike_what(text: str, kind: Kind, es_type: str, name: str) -> str:
    if not kind.expects:
        return f"{name} is of type {es_type}, which cannot be compared"
    return f'"{text}" is not {kind.expects}, which {name}, of type {es_type}, takes'


def _text(value: Literal | Boolean) -> str:
    return value.text if isinstance(value, Literal) else text_of(value.value)
