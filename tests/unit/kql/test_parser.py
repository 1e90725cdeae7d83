from __future__ import annotations

import pytest

from firstseen.errors import KqlError
from firstseen.kql import compile_query, naive, needles, render
from firstseen.kql.ast import And, Exists, FreeText, Is, Literal, MatchAll, Nested, Not, Or, Pattern, Range
from firstseen.kql.parser import MAX_BRACKETS, parse
from support.documents import Document


def sources(query: str) -> list[str]:
    """Return the source text of each node and value of a query, outermost first."""

    def walk(node):
        yield node.span
        match node:
            case And(children) | Or(children):
                for child in children:
                    yield from walk(child)
            case Not(child) | Nested(_, child):
                yield from walk(child)
            case Is(name, value) | Range(name, _, value):
                if isinstance(name, Pattern):
                    yield name.span
                yield value.span
            case FreeText(value):
                yield value.span

    return [query[start:end] for start, end in walk(parse(query))]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("  ", ["  "]),
        (" * ", ["*"]),
        (" *:* ", ["*:*"]),
        (" a : b c  ", ["a : b c", "b c"]),
        (' "a":"b" ', ['"a":"b"', '"b"']),
        (" a : * ", ["a : *"]),
        ("a*: b*", ["a*: b*", "a*", "b*"]),
        (" a  >= null ", ["a  >= null", "null"]),
        ("foo ", ["foo", "foo"]),
        ("a:true  and\nnot  b:c ", ["a:true  and\nnot  b:c", "a:true", "true", "not  b:c", "b:c", "c"]),
        (" ( a:b  or c:d ) ", ["a:b  or c:d", "a:b", "b", "c:d", "d"]),
        ("n : { a:b  } ", ["n : { a:b  }", "a:b", "b"]),
        ("a:( b  or c )", ["b  or c", "a:( b", "b", "a:( b  or c", "c"]),
    ],
)
def test_spans_are_the_text_of_a_node_without_blanks_around_it(query, expected):
    assert sources(query) == expected


def test_brackets_belong_to_the_chain_but_not_to_what_is_inside_them():
    assert sources("(a:b) and (c:d)") == ["(a:b) and (c:d)", "a:b", "b", "c:d", "d"]


def test_the_same_tree_from_different_spellings():
    assert (
        parse("a:(b or c)")
        == parse(" (a : b)  OR a:c ")
        == Or((Is("a", Literal("b", False)), Is("a", Literal("c", False))))
    )
    assert parse("*") == parse("") == MatchAll()
    assert parse('"a":*') == parse("a: *") == Exists("a")


def test_an_error_prints_the_line_and_the_place():
    with pytest.raises(KqlError) as raised:
        parse("a:b and\n  (c:d or\n   e:f:g)")
    assert (raised.value.line, raised.value.column) == (3, 7)
    assert str(raised.value).splitlines()[1:] == ["     e:f:g)", "        ^"]


@pytest.mark.parametrize(
    ("opening", "first"),
    [("(", 0), ("a:{", 2), ("not (", 4), ("a:{(", 2)],
    ids=["brackets", "blocks", "negations", "both"],
)
def test_nesting_too_deep_is_an_error_at_the_bracket_that_is_too_many(opening, first):
    query = opening * 100_000
    with pytest.raises(KqlError, match="nested too deeply: at most 50 levels") as raised:
        parse(query)
    brackets = [place for place, sign in enumerate(query[:1000]) if sign in "({"]
    assert raised.value.offset == brackets[MAX_BRACKETS]
    assert brackets[0] == first


def test_value_lists_count_as_nesting():
    with pytest.raises(KqlError, match="nested too deeply") as raised:
        parse("a:" + "(" * 100_000)
    assert raised.value.offset == 2 + MAX_BRACKETS


def test_brackets_beside_each_other_are_no_nesting():
    query = " or ".join(["(a:(b))"] * 200)
    assert len(parse(query).children) == 200


@pytest.mark.parametrize(
    ("innermost", "around"),
    [("a:b", "x:y or z:z and not ({})"), ("a:b", "x:y and n:{{{}}}")],
    ids=["chains", "blocks"],
)
def test_a_tree_at_the_limit_can_be_worked_with(innermost, around):
    query = innermost
    for _ in range(MAX_BRACKETS):
        query = around.format(query)
    tree = parse(query)
    assert parse(render(tree)) == tree
    assert repr(tree)
    assert hash(tree) == hash(parse(query))
    assert needles(tree, lambda field: True, lambda field: "keyword") is None
    if "{" not in query:
        document = Document({"z": "z"})
        assert compile_query(tree, query, lambda field: "keyword")(document) is naive.evaluate(
            tree, document, lambda field: "keyword"
        )


@pytest.mark.parametrize(
    "query",
    ["a:(" + "b or " * 20_000 + "b)", "a:b and " * 20_000 + "a:b", '("a"' + " " * 200_000 + ")", " or" * 20_000],
    ids=["values", "conditions", "blanks", "keywords"],
)
def test_long_queries_parse(query):
    parse(query)
