"""The package's KQL and a second one, which share nothing, agree: on what is a query, and on what it matches."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstseen.errors import KqlError
from firstseen.kql import compile_query, naive, parse
from firstseen.record.ecs import EcsView
from firstseen.record.fields import field_type
from support.second_kql import drawn, grammar
from support.second_kql.matching import Second

PAIRS = 1_300
CHUNKS = 8

second = Second(drawn.type_of)


def first_says(query: str, document: dict[str, Any]) -> str:
    try:
        tree = parse(query)
    except KqlError:
        return "no query"
    view = EcsView(document)
    try:
        verdict = compile_query(tree, query, field_type)(view)
    except KqlError:
        return "not run"
    assert naive.evaluate(tree, view, field_type) is verdict, (query, document)
    return "matches" if verdict else "differs"


def second_says(query: str, document: dict[str, Any]) -> str:
    tree = grammar.parse(query)
    if tree is None:
        return "no query"
    if grammar.has_nameless_block(tree):
        return "not run"
    return "matches" if second.matches(tree, document) else "differs"


@pytest.mark.parametrize("seed", range(CHUNKS))
def test_both_agree_on_drawn_queries_and_documents(seed):
    draw = drawn.Draw(Random(seed))
    said: Counter[str] = Counter()
    for _ in range(PAIRS):
        query, document = draw.case()
        verdict = first_says(query, document)
        assert second_says(query, document) == verdict, f"\nquery    {query!r}\ndocument {document!r}"
        said[verdict] += 1
    assert min(said["matches"], said["differs"], 5 * said["no query"]) > PAIRS // 5, said


def test_the_second_has_the_same_types_for_the_fields_in_question():
    names = [*drawn.TYPES, "event", "process", "x", "x.ip", "process.name.text", "aws.cloudtrail.error_code"]
    assert {name: drawn.type_of(name) for name in names} == {name: field_type(name) for name in names}


@given(st.integers(0, 2**32))
@settings(max_examples=100)
def test_both_agree_whatever_is_drawn(seed):
    """For any seed: the two say the same of the query and the document that it draws."""
    query, document = drawn.Draw(Random(seed)).case()
    assert second_says(query, document) == first_says(query, document)


@given(
    st.lists(st.sampled_from((*'ab*:()<>{}\\"', "not ", " or ", " and ", " ", "NOT", "\\u0041", "n")), max_size=14).map(
        "".join
    )
)
@settings(max_examples=300)
def test_both_take_the_same_texts_for_queries(query):
    """For any text made of what matters to the grammar: both parse it, or neither does."""
    assert second_says(query, {"a": "b"}) == first_says(query, {"a": "b"})
