"""Hypothesis strategies for trees about fields of every type, and for documents that have something in those fields."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from firstseen.kql import ast
from support.kql_trees import chains

TYPES = {
    "k": "keyword",
    "c": "constant_keyword",
    "w": "wildcard",
    "f": "flattened",
    "f.k": "flattened_key",
    "k.caseless": "caseless",
    "t": "text",
    "m": "match_only_text",
    "a": "ip",
    "l": "long",
    "d": "double",
    "b": "boolean",
    "@timestamp": "date",
    "e": "date",
    "o": "object",
    "g": "geo_point",
    "u": "unknown",
    "n": "nested",
    "n.k": "keyword",
    "n.a": "ip",
    "n.l": "long",
    "n.e": "date",
    "n.n": "nested",
    "n.n.k": "keyword",
    "n.n.w": "wildcard",
}
"""The type of each field; one that is not here is unknown."""

SCALARS: tuple[Any, ...] = (
    *("", "foo", "Foo Bar.baz", "foo bar", "x*y?z", "İx", "a'b 1.5", "GetCallerIdentity", "value/with slash", "é"),
    *("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.200", "2001:db8::1", "2001:DB8:0::1", "0:0:0:0:0:ffff:c000:0201"),
    *("1", "1.0", "1.5", "-3", "1e2", "100", "9223372036854775808", "Infinity", ".5"),
    *("true", "false", "True"),
    *("2026-05-24", "2026-05", "2026-05-24T09:12:33Z", "2026-05-24T11:12:33.5+02:00", "1779580800000", "2026"),
    *(1, 1.0, 1.5, -3, 100, True, False, 0, 1779580800000, 1779614000000.5, 2**63, 2**64, 10**400, 1e300),
)

OPERANDS = (
    *(scalar for scalar in SCALARS if isinstance(scalar, str)),
    *("192.0.2.0/24", "::/0", "192.0.2.0/33", "2001:db8::/32", "192.0.2.1-192.0.2.9", "1e999", "1e-5", "nan"),
    *("now", "now-1d/d", "now+1M/w", "2026-05-24||/M", "2026-05-24||+1x", "now-9y", "2026-13", "BAZ bar"),
)

_RANGES = ("192.0.2.1", "192.0.2.0/25", "192.0.2.100-192.0.2.255", "2001:db8::/64", "x", "9-1")


def field_type(name: str) -> str:
    """The type of the field ``name``."""
    return TYPES.get(name, "unknown")


@st.composite
def _cut(draw: st.DrawFn) -> tuple[str, ...]:
    """Cut an operand into the pieces of a wildcard that fits it, often."""
    text = draw(st.sampled_from(OPERANDS))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), min_size=1, max_size=3)))
    pieces = [text[start : max(start, end - 1)] for start, end in zip([0, *cuts], [*cuts, len(text) + 1], strict=True)]
    return tuple(pieces)


_literals = st.builds(ast.Literal, st.sampled_from(OPERANDS), st.booleans())
_patterns = _cut().map(ast.Pattern)
_globs = st.builds(
    ast.Glob,
    _cut().map("*".join) | st.sampled_from(("f?o*", "*\\*y\\?z", "?", "*a*a*r*", "192.0.2.?", "x\\")),
    st.booleans(),
)
_members = st.builds(ast.Members, st.just("list"), st.frozensets(st.sampled_from(OPERANDS), max_size=4))
_addresses = st.builds(ast.Addresses, st.just("list"), st.lists(st.sampled_from(_RANGES), max_size=3).map(tuple))
_operators = st.sampled_from(("<", "<=", ">", ">="))


_any_value = _literals | _patterns | st.builds(ast.Boolean, st.booleans()) | st.just(ast.Null())
_spelt_otherwise = _globs | _members | _addresses
_name_patterns = st.sampled_from((ast.Pattern(("", "")), ast.Pattern(("n.", "")), ast.Pattern(("", "k"))))


@st.composite
def _leaf(draw: st.DrawFn, names: tuple[str, ...], *, relative: bool) -> ast.Node:
    """One comparison of one of the fields; ``relative`` allows dates that start from now."""
    name = draw(st.sampled_from(names) | _name_patterns)
    kind = draw(st.sampled_from(("is", "is", "is", "other", "range", "exists", "text")))
    value = draw(_any_value)
    if not relative and isinstance(value, ast.Literal) and value.text.startswith("now"):
        value = ast.Literal("2026", value.quoted)
    match kind:
        case "is":
            return ast.Is(name, value)
        case "other":
            return ast.Is(name, draw(_spelt_otherwise))
        case "range":
            return ast.Range(name, draw(_operators), value)
        case "exists":
            return ast.Exists(name)
        case _:
            return ast.FreeText(value)


@st.composite
def _block(draw: st.DrawFn, *, inside: bool) -> ast.Node:
    """A block of nested objects, now and then with one inside; some paths are those of other fields."""
    if inside:
        return ast.Nested(draw(st.sampled_from(("n", "l"))), draw(_chained(("k", "w", "z"), relative=False)))
    child = draw(_chained(("k", "a", "l", "e", "n.k"), relative=False) | _block(inside=True))
    return ast.Nested(draw(st.sampled_from(("n", "n", "u", "k", "o"))), child)


@st.composite
def _chained(draw: st.DrawFn, names: tuple[str, ...], *, relative: bool) -> ast.Node:
    leaf = _leaf(names, relative=relative)
    return draw(leaf | chains(leaf))


def trees() -> st.SearchStrategy[ast.Node]:
    """Trees of every kind of node about fields of every type."""
    top = _leaf(tuple(sorted(TYPES)), relative=True)
    return st.recursive(top | top | _block(inside=False), chains, max_leaves=4)


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with the fields of the table, nested, dotted or mixed; values of all kinds stand anywhere."""
    leaf = st.sampled_from(SCALARS) | st.none()
    some = leaf | st.lists(leaf, max_size=3)
    innermost = st.fixed_dictionaries({}, optional={"k": some, "w": some})
    inner = st.fixed_dictionaries(
        {}, optional={"k": some, "a": some, "l": some, "e": some, "n": st.lists(innermost, max_size=2), "n.k": some}
    )
    flat = dict.fromkeys("kcwtmaldbogue", some)
    return st.fixed_dictionaries(
        {},
        optional={
            **flat,
            "@timestamp": some,
            "f": some | st.fixed_dictionaries({}, optional={"k": some, "other": some}),
            "f.k": some,
            "k.caseless": some,
            "n": st.lists(inner, max_size=3) | inner,
            "n.k": some,
            "u": st.lists(inner, max_size=2) | some,
        },
    )
