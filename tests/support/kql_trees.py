"""Hypothesis strategies for queries, as trees, and for documents that such queries have something to say about."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from firstseen.kql import ast

FIELDS = ("a", "a.b", "c", "event.action")

# What is apt to go wrong in the text of a query, alone or side by side.
FRAGMENTS = ("a", "not", "NOT ", "or", " or", " and ", " ", "\u00a0", "\n", "\\", '"', "*", ":", "(", "}", "é", "u0041")

# Values that overlap when cut up, that JSON escapes, and that are or read as the scalars below.
VALUES = ("", "abcab", "GetCallerIdentity", "ab/cdef", 'abc"def', "C:\\dir\\name", "naïve a\nb", "\uffff", "\U0001f600")
SCALAR_TEXTS = ("1234", "-1.5e+16", "true", "Infinity")
SCALARS = (1234, -1.5e16, True, math.inf)

_LONE_STAR = ast.Pattern(("", ""))
_BLANKS = " \n\u00a0\u2003"


def _unquoted(text: str) -> ast.Literal:
    text = text.strip(_BLANKS)
    return ast.Literal(text, quoted=text in ("true", "false", "null"))


def _pattern(pieces: list[str]) -> ast.Pattern:
    return ast.Pattern((pieces[0].lstrip(_BLANKS), *pieces[1:-1], pieces[-1].rstrip(_BLANKS)))


def _literals(texts: st.SearchStrategy[str]) -> st.SearchStrategy[ast.Literal]:
    return texts.map(_unquoted) | st.builds(ast.Literal, texts, st.just(True))


def chains(nodes: st.SearchStrategy[ast.Node]) -> st.SearchStrategy[ast.Node]:
    several = st.lists(nodes, min_size=2, max_size=3).map(tuple)
    return st.builds(ast.And, several) | st.builds(ast.Or, several) | st.builds(ast.Not, nodes)


@st.composite
def _pieces_of_values(draw: st.DrawFn) -> ast.Pattern:
    """Cut pieces out of a value; the pattern fits it, unless the pieces overlap or change places."""
    value = draw(st.sampled_from(VALUES + SCALAR_TEXTS))
    cuts = draw(st.lists(st.integers(0, len(value)), min_size=2, max_size=4))
    first, *middle, last = cuts if draw(st.booleans()) else sorted(cuts)
    return _pattern([value[:first], *(value[cut : cut + 3] for cut in middle), value[last:]])


_texts = st.lists(st.sampled_from(FRAGMENTS), max_size=5).map("".join)
_booleans = st.builds(ast.Boolean, st.booleans())
_operators = st.sampled_from(("<", "<=", ">", ">="))


def any_trees() -> st.SearchStrategy[ast.Node]:
    """Trees of every kind of node, of difficult texts; what the parser builds, and nothing else."""
    patterns = st.lists(_texts, min_size=2, max_size=3).map(_pattern)
    stars = patterns.filter(lambda value: value != _LONE_STAR)
    names = st.sampled_from(FIELDS) | _texts
    compared = _literals(_texts) | stars | _booleans | st.just(ast.Null())
    leaves = (
        st.builds(ast.Is, names | patterns, compared)
        | st.builds(ast.Exists, names | stars)
        | st.builds(ast.Range, names | patterns, _operators, compared | st.just(_LONE_STAR))
        | st.builds(ast.FreeText, compared)
        | st.just(ast.MatchAll())
    )
    return st.recursive(
        leaves, lambda nodes: chains(nodes) | st.builds(ast.Nested, names | patterns, nodes), max_leaves=6
    )


def equalities() -> st.SearchStrategy[ast.Node]:
    """Comparisons of one keyword field with one value or pattern."""
    values = _literals(st.sampled_from(VALUES + SCALAR_TEXTS)) | _pieces_of_values().filter(
        lambda value: value != _LONE_STAR
    )
    return st.builds(ast.Is, st.sampled_from(FIELDS), values)


def runnable_trees() -> st.SearchStrategy[ast.Node]:
    """Trees of every kind of node that can be run on keyword fields."""
    names = st.sampled_from(FIELDS)
    bounds = _literals(st.sampled_from(VALUES + SCALAR_TEXTS)) | _booleans
    others = (
        st.builds(ast.Exists, names)
        | st.builds(ast.Range, names, _operators, bounds)
        | st.builds(ast.Is, names, _booleans)
        | st.just(ast.MatchAll())
    )
    return st.recursive(equalities() | others, chains, max_leaves=5)


def trees_with_needles() -> st.SearchStrategy[ast.Node]:
    """Trees of comparisons only, most of which can be told from the bytes of a record."""
    return st.recursive(equalities(), chains, max_leaves=4)


def _documents() -> st.SearchStrategy[dict[str, Any]]:
    leaves = st.sampled_from(VALUES + SCALAR_TEXTS + SCALARS) | st.none()
    some = leaves | st.lists(leaves, max_size=3)
    deeper = st.fixed_dictionaries({}, optional={"b": some})
    return st.fixed_dictionaries(
        {},
        optional={
            "a": some | deeper | st.lists(deeper, max_size=2),
            "a.b": some,
            "c": some,
            "event": st.fixed_dictionaries({"action": some}),
        },
    )


def _fitting(node: ast.Node) -> Iterator[tuple[str, str]]:
    """Yield the name of each field that a tree compares, and a value that fits or is the bound."""
    match node:
        case ast.And(children) | ast.Or(children):
            for child in children:
                yield from _fitting(child)
        case ast.Not(child):
            yield from _fitting(child)
        case ast.Is(str(name), ast.Literal(text)) | ast.Range(str(name), _, ast.Literal(text)):
            yield name, text
        case ast.Is(str(name), ast.Pattern(pieces)):
            yield name, "".join(pieces)


@st.composite
def matters(draw: st.DrawFn, trees: st.SearchStrategy[ast.Node]) -> tuple[ast.Node, dict[str, Any]]:
    """A tree and a JSON object, with names in several spellings, that stands a fair chance of matching."""
    tree, document = draw(trees), draw(_documents())
    for name, text in _fitting(tree):
        if draw(st.booleans()):
            document[name] = [document.get(name), _as_scalar(text) if draw(st.booleans()) else text]
    return tree, document


def _as_scalar(text: str) -> str | float:
    return next((scalar for scalar in SCALARS if json.dumps(scalar) == text), text)
