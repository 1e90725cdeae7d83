"""What holds for every query, every tree and every record."""

from __future__ import annotations

import json

import msgpack
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firstseen.errors import KqlError
from firstseen.kql import ast, compile_query, needles, parse, render
from firstseen.kql.naive import evaluate
from firstseen.kql.scalars import may_be_in_scalar, text_of
from support import kql_trees, kql_typed
from support.documents import Document


def keyword(field: str) -> str:
    return "keyword"


@given(st.text() | st.lists(st.sampled_from((*kql_trees.FRAGMENTS, "{", ")", ">", "a:"))).map("".join))
@example("\ud83d\\ude00")
@example("\ude00")
def test_any_text_is_a_query_or_an_error_with_a_place(text):
    """Any text parses, to a tree that prints as the same query, or raises KqlError with an offset inside the text."""
    tree = error = None
    try:
        tree = parse(text)
    except KqlError as raised:
        error = raised
    if tree is not None:
        assert parse(render(tree)) == tree
    if error is not None:
        assert 0 <= error.offset <= len(text)
        assert error.what in str(error)


@given(kql_trees.any_trees())
@settings(max_examples=200)
def test_printing_and_parsing_give_the_same_tree(tree):
    """For every tree, parse(render(tree)) equals tree."""
    assert parse(render(tree)) == tree


@given(kql_trees.any_trees())
def test_spans_lie_inside_each_other(tree):
    """A node's span lies inside the query and holds the spans of its children, with no blank at its ends."""
    query = f" ( {render(tree)} ) "

    def check(node: ast.Node, start: int, end: int) -> None:
        first, last = node.span
        assert start <= first < last <= end
        assert query[first:last].strip(" \u00a0\t\r\n") == query[first:last]
        match node:
            case ast.And(children) | ast.Or(children):
                for child in children:
                    check(child, first, last)
            case ast.Not(child) | ast.Nested(_, child):
                check(child, first, last)

    check(parse(query), 0, len(query))


@given(kql_trees.matters(kql_trees.runnable_trees()))
@settings(max_examples=250)
def test_compiled_equals_naive(matter):
    """For every tree and every document, the compiled predicate says what the naive evaluator says."""
    tree, source = matter
    document = Document(source)
    assert compile_query(tree, "", keyword)(document) is evaluate(tree, document, keyword)


@given(kql_typed.trees(), kql_typed.documents())
@settings(max_examples=100)
def test_compiled_equals_naive_on_fields_of_every_type(tree, source):
    """For every tree and every document, whatever the types of the fields: the same."""
    document = Document(source, kql_typed.field_type)
    compiled = compile_query(tree, "", kql_typed.field_type)
    assert compiled(document) is evaluate(tree, document, kql_typed.field_type)


@given(st.lists(st.text("ab", max_size=2), min_size=2, max_size=4), st.text("ab", max_size=5))
@settings(max_examples=300)
def test_wildcards_fit_as_the_regex_says(pieces, text):
    """Over two letters, where pieces overlap and repeat, a compiled wildcard fits what the naive one fits."""
    tree = ast.Is("a", ast.Pattern(tuple(pieces)))
    document = Document({"a": [text]})
    assert compile_query(tree, "", keyword)(document) is evaluate(tree, document, keyword)


@given(st.integers() | st.floats() | st.booleans(), st.data())
def test_every_part_of_a_scalar_may_be_in_one(value, data):
    """Every part of the text of a number or a boolean is known as one that may be in such a text."""
    text = text_of(value)
    start = data.draw(st.integers(0, len(text)))
    assert may_be_in_scalar(text[start : data.draw(st.integers(start, len(text)))])


def as_bytes(value: object) -> object:
    match value:
        case dict():
            return {key: as_bytes(each) for key, each in value.items()}
        case list():
            return [as_bytes(each) for each in value]
        case str():
            return value.encode()
        case _:
            return value


ENCODERS = {
    "msgpack": msgpack.packb,
    "msgpack without str8 and bin": lambda source: msgpack.packb(source, use_bin_type=False),
    "msgpack with bin for str": lambda source: msgpack.packb(as_bytes(source)),
    "JSON": lambda source: msgpack.packb({"log": json.dumps(source)}),
    "JSON, not ASCII": lambda source: msgpack.packb({"log": json.dumps(source, ensure_ascii=False)}),
    "JSON, slashes escaped": lambda source: msgpack.packb({"log": json.dumps(source).replace("/", "\\/")}),
}


@given(kql_trees.matters(kql_trees.trees_with_needles()))
@settings(max_examples=250)
def test_what_matches_holds_a_needle(matter):
    """For every tree and every document that matches, the record holds one of the needles, whatever its encoding."""
    tree, source = matter
    found = needles(tree, lambda field: True, keyword)
    if found is not None and evaluate(tree, Document(source), keyword):
        missed = [name for name, encode in ENCODERS.items() if not any(needle in encode(source) for needle in found)]
        assert not missed


@given(kql_typed.trees(), kql_typed.documents())
@settings(max_examples=100)
def test_what_matches_holds_a_needle_whatever_the_types(tree, source):
    """The same where the fields are of every type."""
    found = needles(tree, lambda field: True, kql_typed.field_type)
    if found is not None and evaluate(tree, Document(source, kql_typed.field_type), kql_typed.field_type):
        missed = [name for name, encode in ENCODERS.items() if not any(needle in encode(source) for needle in found)]
        assert not missed


@given(kql_trees.matters(kql_trees.trees_with_needles()), st.sampled_from(kql_trees.FIELDS))
@settings(max_examples=250)
def test_needles_are_sought_in_verbatim_fields_only(matter, derived):
    """A record that matches holds a needle even without the values of a field that is not verbatim."""
    tree, source = matter
    found = needles(tree, lambda field: field != derived, keyword)
    document = Document(source)
    if found is not None and evaluate(tree, document, keyword):
        others = [text_of(value) for field in kql_trees.FIELDS if field != derived for value in document.values(field)]
        assert any(needle.decode() in text for needle in found for text in others)
