"""What a query means, said as plainly as possible; the compiler must agree with it on every tree and every record.

This is the definition for keyword fields, the only ones this version compares values of: any value of the field counts,
numbers and booleans count as their JSON text, everything is case-sensitive, and a negation is true where the field is
missing.
"""

from __future__ import annotations

import re
from typing import assert_never

from firstseen.errors import KqlError
from firstseen.kql.addresses import in_ranges
from firstseen.kql.ast import (
    Addresses,
    And,
    Boolean,
    Exists,
    FreeText,
    Glob,
    Is,
    Literal,
    MatchAll,
    Members,
    Nested,
    Node,
    Not,
    Or,
    Pattern,
    Range,
    RangeOperator,
    render,
)
from firstseen.kql.globs import glob_expression
from firstseen.kql.scalars import text_of
from firstseen.model import Fields


def evaluate(node: Node, fields: Fields) -> bool:
    """Whether the record behind ``fields`` matches; ``KqlError`` for a node that is not about keyword fields."""
    match node:
        case MatchAll():
            return True
        case And(children):
            return all(evaluate(child, fields) for child in children)
        case Or(children):
            return any(evaluate(child, fields) for child in children)
        case Not(child):
            return not evaluate(child, fields)
        case Exists(str(name)):
            return fields.exists(name)
        case Nested(str(path), child):
            return any(evaluate(child, element) for element in fields.nested(path))
        case Is(str(name), Literal() | Pattern() | Boolean() | Glob() | Members() | Addresses() as value):
            return any(_fits(text_of(each), value) for each in fields.values(name))
        case Range(str(name), operator, Literal() | Boolean() as value):
            return any(_lies(text_of(each), operator, value) for each in fields.values(name))
        case Is() | Exists() | Range() | Nested() | FreeText():
            raise KqlError("this is not supported by this version", render(node), 0)
        case _:
            assert_never(node)


def _fits(text: str, value: Literal | Pattern | Boolean | Glob | Members | Addresses) -> bool:
    match value:
        case Glob(wanted, caseless):
            return glob_expression(wanted, caseless).fullmatch(text) is not None
        case Members(_, texts):
            return text in texts
        case Addresses(_, ranges):
            return in_ranges(text, ranges)
        case Literal(wanted):
            return text == wanted
        case Boolean(wanted):
            return text == text_of(wanted)
        case Pattern(pieces):
            return re.fullmatch(".*".join(map(re.escape, pieces)), text, re.DOTALL) is not None
        case _:
            assert_never(value)


def _lies(text: str, operator: RangeOperator, value: Literal | Boolean) -> bool:
    have = text.encode("utf-8", "surrogatepass")
    bound = (value.text if isinstance(value, Literal) else text_of(value.value)).encode("utf-8", "surrogatepass")
    match operator:
        case "<":
            return have < bound
        case "<=":
            return have <= bound
        case ">":
            return have > bound
        case ">=":
            return have >= bound
        case _:
            assert_never(operator)
