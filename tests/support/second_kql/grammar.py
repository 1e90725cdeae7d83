"""The grammar as a table, and the parsing expressions it is written in.

A parser is a function of the text and a place; it gives what it read and the place behind it, or None. A choice takes
the first alternative that reads something, and never takes that back.

Trees are tuples: ``("all",)``, ``("and", [...])``, ``("or", [...])``, ``("not", tree)``, ``("is", field, value)``,
``("exists", field)``, ``("range", field, sign, value)``, ``("block", field, tree)`` and ``("free", value)``. A field or
value is ``("text", text, quoted)``, ``("wild", [texts between stars])`` or ``("constant", True | False | None)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Parser = Callable[[str, int], "tuple[Any, int] | None"]
Tree = tuple[Any, ...]

WHITE = " \t\r\n\u00a0"
SPECIAL = '\\():<>"*{}'
TRIMMED = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))

_STAR = object()


def parse(text: str) -> Tree | None:
    """The tree of ``text``, or None where it is no query."""
    read = _query(text, 0)
    return None if read is None else read[0]


def has_nameless_block(tree: Tree) -> bool:
    """Whether the path of a block is a wildcard."""
    if tree[0] == "block":
        return bool(tree[1][0] == "wild") or has_nameless_block(tree[2])
    below = tree[1] if tree[0] in ("and", "or") else [tree[1]] if tree[0] == "not" else []
    return any(map(has_nameless_block, below))


def expression(pattern: str) -> Parser:
    compiled = re.compile(pattern, re.IGNORECASE)

    def run(text: str, at: int) -> tuple[Any, int] | None:
        found = compiled.match(text, at)
        return None if found is None else (found[0], found.end())

    return run


def sequence(*parsers: Parser) -> Parser:
    def run(text: str, at: int) -> tuple[Any, int] | None:
        values = []
        for parser in parsers:
            read = parser(text, at)
            if read is None:
                return None
            value, at = read
            values.append(value)
        return values, at

    return run


def choice(*parsers: Parser) -> Parser:
    def run(text: str, at: int) -> tuple[Any, int] | None:
        return next((read for parser in parsers if (read := parser(text, at)) is not None), None)

    return run


def many(parser: Parser, least: int = 0) -> Parser:
    def run(text: str, at: int) -> tuple[Any, int] | None:
        values = []
        while (read := parser(text, at)) is not None:
            value, at = read
            values.append(value)
        return (values, at) if len(values) >= least else None

    return run


def unless(forbidden: Parser, parser: Parser) -> Parser:
    return lambda text, at: None if forbidden(text, at) is not None else parser(text, at)


def made(parser: Parser, make: Callable[[Any], Any]) -> Parser:
    def run(text: str, at: int) -> tuple[Any, int] | None:
        read = parser(text, at)
        return None if read is None else (make(read[0]), read[1])

    return run


def later(name: str) -> Parser:
    def run(text: str, at: int) -> tuple[Any, int] | None:
        parser: Parser = globals()[name]
        return parser(text, at)

    return run


def _chain(kind: str, word: str, operand: Parser) -> Parser:
    more = many(made(sequence(WS1, expression(word), WS1, operand), lambda read: read[3]))
    return made(sequence(operand, more), lambda read: (kind, [read[0], *read[1]]) if read[1] else read[0])


def _negation(operand: Parser) -> Parser:
    return choice(made(sequence(expression("not"), WS1, operand), lambda read: ("not", read[2])), operand)


def _value(parts: list[Any], *, quoted: bool) -> tuple[Any, ...]:
    chunks = [""]
    for part in parts:
        if part is _STAR:
            chunks.append("")
        else:
            chunks[-1] += part
    if quoted:
        return ("text", chunks[0], True)
    chunks[0] = chunks[0].lstrip(TRIMMED)
    chunks[-1] = chunks[-1].rstrip(TRIMMED)
    if len(chunks) > 1:
        return ("wild", chunks)
    constants: dict[str, bool | None] = {"true": True, "false": False, "null": None}
    return ("constant", constants[chunks[0]]) if chunks[0] in constants else ("text", chunks[0], False)


def _name(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """A field is a text, also where it is spelt like a constant."""
    return ("text", {True: "true", False: "false", None: "null"}[value[1]], False) if value[0] == "constant" else value


def _compare(field: Any, value: Any) -> Tree:
    if value == ("wild", ["", ""]):
        return ("all",) if field == value else ("exists", _name(field))
    return ("is", _name(field), value)


def _applied(tree: Any, field: Any) -> Tree:
    """Give every value in a tree of values its field."""
    if tree[0] in ("and", "or"):
        return (tree[0], [_applied(each, field) for each in tree[1]])
    return ("not", _applied(tree[1], field)) if tree[0] == "not" else _compare(field, tree[1])


def _escaped(read: str) -> str:
    control = {"\\t": "\t", "\\r": "\r", "\\n": "\n"}
    if read in control:
        return control[read]
    return chr(int(read[2:], 16)) if re.fullmatch(r"\\u[0-9a-fA-F]{4}", read) else read[1:]


def _exactly(pattern: str) -> Parser:
    """Like an expression, with upper and lower case told apart."""
    compiled = re.compile(pattern, re.DOTALL)

    def run(text: str, at: int) -> tuple[Any, int] | None:
        found = compiled.match(text, at)
        return None if found is None else (found[0], found.end())

    return run


WS = expression(f"[{WHITE}]*")
WS1 = expression(f"[{WHITE}]+")
_end = expression(r"\Z")

_keyword = expression(f"[{WHITE}]+(or|and)[{WHITE}]+|not[{WHITE}]+")
_escape = made(
    choice(
        _exactly(r"\\[trn]"),
        _exactly(r"\\[" + re.escape(SPECIAL) + "]"),
        _exactly(r"\\u[0-9a-fA-F]{4}"),
        expression(r"\\(or|and|not)"),
    ),
    _escaped,
)
_star = made(_exactly(r"\*"), lambda read: _STAR)
_character = unless(_keyword, _exactly("[^" + re.escape(SPECIAL) + "]"))
_unquoted = made(many(choice(_escape, _star, _character), 1), lambda parts: _value(parts, quoted=False))

_quoted_escape = made(choice(_exactly(r'\\[trn\\"]'), _exactly(r"\\u[0-9a-fA-F]{4}")), _escaped)
_inside_quotes = many(choice(_quoted_escape, _exactly(r'[^"]')))
_quoted = made(sequence(_exactly('"'), _inside_quotes, _exactly('"')), lambda read: _value(read[1], quoted=True))

_literal = lru_cache(maxsize=256)(choice(_quoted, _unquoted))  # which several alternatives ask for at one place
_field = _literal

_value_list = choice(
    made(sequence(_exactly(r"\("), WS, later("_or_values"), WS, _exactly(r"\)")), lambda read: read[2]),
    made(_literal, lambda read: ("value", read)),
)
_not_values = _negation(_value_list)
_and_values = _chain("and", "and", _not_values)
_or_values = _chain("or", "or", _and_values)

_range = made(
    sequence(_field, WS, _exactly("<=|>=|<|>"), WS, _literal),
    lambda read: ("range", _name(read[0]), read[2], read[4]),
)
_comparison = made(sequence(_field, WS, _exactly(":"), WS, _value_list), lambda read: _applied(read[4], read[0]))
_free = made(_literal, lambda read: ("all",) if read == ("wild", ["", ""]) else ("free", read))
_expression = choice(_range, _comparison, _free)
_nested = choice(
    made(
        sequence(_field, WS, _exactly(":"), WS, _exactly(r"\{"), WS, later("_or_query"), WS, _exactly(r"\}")),
        lambda read: ("block", _name(read[0]), read[6]),
    ),
    _expression,
)
_sub_query = choice(
    made(sequence(_exactly(r"\("), WS, later("_or_query"), WS, _exactly(r"\)")), lambda read: read[2]), _nested
)
_not_query = _negation(_sub_query)
_and_query = _chain("and", "and", _not_query)
_or_query = _chain("or", "or", _and_query)
_query = choice(
    made(sequence(WS, _or_query, WS, _end), lambda read: read[1]),
    made(sequence(WS, _end), lambda read: ("all",)),
)
