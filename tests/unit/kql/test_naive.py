"""The definition itself: one plain example for each rule. The cases in ``spec/kql/keyword.toml`` are more thorough."""

from __future__ import annotations

import pytest

from firstseen.kql.naive import evaluate
from firstseen.kql.parser import parse
from support.documents import Document

DOCUMENT = Document({"a": ["x", "yz"], "n": 12, "t": True, "o": {"b": ""}})


@pytest.mark.parametrize(
    "query",
    [
        "*",
        "a:x",
        "a:yz and n:12",
        "a:q or t:true",
        't:"true"',
        "not a:q",
        "not missing:x",
        "o:*",
        "o.b:*",
        'o.b:""',
        "a:y*",
        "a:*z",
        "n:1*",
        "a < y",
        "a <= x",
        "a > x",
        "a >= yz",
        "n < 2",
        "t >= true",
    ],
)
def test_matches(query):
    assert evaluate(parse(query), DOCUMENT, lambda field: "keyword") is True


@pytest.mark.parametrize(
    "query",
    [
        "not *",
        "a:X",
        "a:x and n:13",
        "a:q or t:false",
        "not a:x",
        "missing:*",
        "missing:x",
        "missing > x",
        "missing:**",
        "a:y",
        "a:*q*",
        "a < x",
        "a <= w",
        "a > yz",
        "a >= z",
        "n < 12",
    ],
)
def test_differs(query):
    assert evaluate(parse(query), DOCUMENT, lambda field: "keyword") is False
