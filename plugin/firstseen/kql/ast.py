"""The tree a query is parsed into, and back from the tree to text.

Nodes are frozen and compare by what they mean: two queries that differ in blanks, in redundant parentheses or in
``f:(a or b)`` for ``f:a or f:b`` give equal trees. ``span`` is where a node stands in the query, as ``(start, end)`` in
characters, and takes no part in comparison. The span of a comparison reaches from its field to its value, so that for a
value inside a list it takes in the values before it.

A chain of ``and`` or of ``or`` is one node with all its children, two or more; parentheses keep a chain inside a chain
apart. The trees meant here are those the parser builds: an unquoted text has no blanks at its ends and is none of
``true``, ``false`` and ``null``, a lone star is ``Exists`` and not a ``Pattern``, and ``*:*`` is ``MatchAll``.

Three kinds of values no query can spell: ``Glob``, ``Members`` and ``Addresses`` are how the filters and exceptions of
a rule say what they ask, so that a rule is one tree. They are printed for people, and do not parse.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal as OneOf
from typing import assert_never

from msgspec import Struct
from msgspec.structs import astuple

Span = tuple[int, int]
RangeOperator = OneOf["<", "<=", ">", ">="]


class _Spanned(Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    span: Span = (0, 0)

    def _meaning(self) -> tuple[object, ...]:
        return astuple(self)[:-1]  # fields that are given by name only come last

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._meaning() == other._meaning()

    def __hash__(self) -> int:
        return hash((type(self), self._meaning()))

    def __repr__(self) -> str:
        parts = (f"{name}={value!r}" for name, value in zip(self.__struct_fields__, self._meaning(), strict=False))
        return f"{type(self).__name__}({', '.join(parts)})"


class Literal(_Spanned, frozen=True):
    """A text to compare with. Numbers are texts too: the type of the field decides what they mean."""

    text: str
    quoted: bool


class Pattern(_Spanned, frozen=True):
    """A text with wildcards: ``pieces`` are what stands between the stars, so ``a*b`` is ``("a", "b")``."""

    pieces: tuple[str, ...]


class Boolean(_Spanned, frozen=True):
    """An unquoted, lower-case ``true`` or ``false``."""

    value: bool


class Null(_Spanned, frozen=True):
    """An unquoted, lower-case ``null``."""


class Glob(_Spanned, frozen=True):
    """A text as Elasticsearch's ``wildcard`` query takes it: the whole value has to fit.

    ``*`` is any run of characters, ``?`` is one, and a backslash takes the next character as it is; one at the end is
    itself. ``caseless`` makes upper and lower case the same.
    """

    text: str
    caseless: bool


class Members(_Spanned, frozen=True, weakref=True):
    """A list called ``name``: a value is in it that equals one of ``texts``, each taken as a quoted literal is."""

    name: str
    texts: frozenset[str]


class Addresses(_Spanned, frozen=True, weakref=True):
    """A list called ``name``, of addresses: a value is in it that is an address inside one of ``ranges``.

    A range is spelt as an address, as a network (``192.0.2.0/24``) or from its first to its last address
    (``192.0.2.1-192.0.2.9``).
    """

    name: str
    ranges: tuple[str, ...]


Value = Literal | Pattern | Boolean | Null | Glob | Members | Addresses

FieldName = str | Pattern
"""A field as the query names it: a name, or a pattern over names. A star in a quoted name is part of the name."""


class MatchAll(_Spanned, frozen=True):
    """Every record: the empty query, ``*`` or ``*:*``."""


class And(_Spanned, frozen=True):
    """All of ``children``."""

    children: tuple[Node, ...]


class Or(_Spanned, frozen=True):
    """At least one of ``children``."""

    children: tuple[Node, ...]


class Not(_Spanned, frozen=True):
    """Whatever ``child`` does not match; a missing field is no match, so its negation is one."""

    child: Node


class Is(_Spanned, frozen=True):
    """``field: value``: some value of the field equals ``value`` or fits it."""

    field: FieldName
    value: Value


class Exists(_Spanned, frozen=True):
    """``field: *``: the field has a value."""

    field: FieldName


class Range(_Spanned, frozen=True):
    """``field < value`` and its like: some value of the field lies on that side of ``value``."""

    field: FieldName
    op: RangeOperator
    value: Value


class Nested(_Spanned, frozen=True):
    """``path: { child }``: one object under ``path`` fulfils ``child``, whose fields are relative to ``path``."""

    path: FieldName
    child: Node


class FreeText(_Spanned, frozen=True):
    """A value without a field."""

    value: Value


Node = MatchAll | And | Or | Not | Is | Exists | Range | Nested | FreeText


def together(nodes: Sequence[Node]) -> Node:
    """All of ``nodes``, of which there is at least one."""
    return nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def either(nodes: Sequence[Node]) -> Node:
    """One of ``nodes``, of which there is at least one."""
    return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.@-]+")
_KEYWORD = r"not(?= |\Z)|(?<= )(?:or|and)(?= |\Z)"  # at the end too, because a blank may follow the word
_SPECIAL = r"""[\\():<>"*{}\t\r\n\u00a0]"""
_ENDS_A_WORD = re.compile(f"{_KEYWORD}|{_SPECIAL}", re.IGNORECASE)
_ESCAPES = {"\t": r"\t", "\r": r"\r", "\n": r"\n", "\u00a0": r"\u00a0"}


def render(node: Node) -> str:
    """Print ``node`` as a query; parsing that gives a tree equal to ``node``, if a query can spell it."""
    match node:
        case MatchAll():
            return "*:*"
        case And(children):
            return " and ".join(_operand(child, And, Or) for child in children)
        case Or(children):
            return " or ".join(_operand(child, Or) for child in children)
        case Not(child):
            return f"not {_operand(child, And, Or, Not)}"
        case Is(name, value):
            return f"{_name(name)}: {_value(value)}"
        case Exists(name):
            return f"{_name(name)}: *"
        case Range(name, op, value):
            return f"{_name(name)} {op} {_value(value)}"
        case Nested(path, child):
            return f"{_name(path)}: {{ {render(child)} }}"
        case FreeText(value):
            return _value(value)
        case _:
            assert_never(node)


def _operand(node: Node, *weaker: type[Node]) -> str:
    return f"({render(node)})" if isinstance(node, weaker) else render(node)


def _name(name: FieldName) -> str:
    if isinstance(name, Pattern):
        return _value(name)
    plain = _PLAIN_NAME.fullmatch(name) and not _ENDS_A_WORD.search(name)
    return name if plain else _quoted(name)


def _value(value: Value) -> str:
    match value:
        case Literal(text, quoted):
            return _quoted(text) if quoted else _unquoted(text)
        case Pattern(pieces):
            return "*".join(map(_escaped, pieces))
        case Boolean(flag):
            return "true" if flag else "false"
        case Null():
            return "null"
        case Glob(text, caseless):
            return f"{'glob in any case' if caseless else 'glob'} {_quoted(text)}"
        case Members(name) | Addresses(name):
            return f"one of the list {_quoted(name)}"
        case _:
            assert_never(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(text: str) -> str:
    # Only blanks that were escaped, and then trimmed away, make an unquoted text that is empty.
    return _escaped(text) or "\\t"


def _escaped(text: str) -> str:
    """``text`` as part of an unquoted word: nothing in it ends the word, starts a keyword or is a wildcard."""
    return _ENDS_A_WORD.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    text = found[0]
    if text.isalpha():
        # The language has an escape for keywords, but in lower case it fails: \not is a newline and "ot".
        return f"\\u{ord(text[0]):04x}{text[1:]}"
    return _ESCAPES.get(text, f"\\{text}")
