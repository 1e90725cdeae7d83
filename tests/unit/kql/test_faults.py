"""The wording of errors; from whole queries, the cases in ``spec/kql/errors.toml`` say the same."""

from __future__ import annotations

import pytest

from firstseen.kql import faults


def said(error):
    return error.what, error.offset


def test_nested_too_deeply():
    assert said(faults.nested_too_deeply("((", 1, 1)) == (
        "nested too deeply: at most 1 levels of brackets are allowed",
        1,
    )


@pytest.mark.parametrize(
    ("text", "offset", "what"),
    [
        ("a and ", 6, "expected a field or a value, found the end of the query"),
        ("a and )", 6, 'expected a field or a value, found ")"'),
        ("not not a", 4, '"not" cannot follow "not": write not (not ...)'),
    ],
)
def test_no_condition(text, offset, what):
    assert said(faults.no_condition(text, offset)) == (what, offset)


@pytest.mark.parametrize(
    ("text", "sign", "what"),
    [
        ("a:", ":", 'expected a value after ":", found the end of the query'),
        ("a:>5", ":", 'a range is written without a colon, as in "field > value"'),
        ("a>>5", ">", 'expected a value after ">", found ">"'),
        ("a:Not b", ":", 'expected a value, found "not": write not field: value, or field: (not value)'),
    ],
)
def test_no_value(text, sign, what):
    assert said(faults.no_value(text, 2, sign)) == (what, 2)


@pytest.mark.parametrize(
    ("text", "place", "opened", "what"),
    [
        ("a:(b", 4, 2, (2, 'this "(" is never closed')),
        ('"b"or c', 3, None, (3, '"or" needs a blank on both sides')),
        ('"b" AND', 4, None, (7, 'expected a condition after "and"')),
        ("not(b)", 3, None, (0, '"not" needs a blank after it')),
        ("a:b And(c)", 7, None, (4, '"And" needs a blank on both sides')),
        ("sand(c)", 4, None, (4, 'expected "and", "or" or the end of the query, found "("')),
        ("a:b not c", 4, None, (4, 'found "not" inside a value: quote the value, or put "and" or "or" before "not"')),
        (
            "a:b:c",
            3,
            None,
            (3, 'found ":" inside a value: quote the value, or put "and" or "or" before the next condition'),
        ),
        ("a:b)", 3, None, (3, 'this ")" closes nothing')),
        ("a:(b}", 4, 2, (4, 'expected "and", "or" or ")", found "}"')),
        ('a:{"b" something-rather-long)', 7, 2, (7, 'expected "and", "or" or "}", found "something-rather-lon"')),
    ],
)
def test_left_over(text, place, opened, what):
    error = faults.left_over(text, place, opened=opened, after_bare_word=False)
    assert (error.offset, error.what) == what


def test_a_word_that_may_have_been_meant_as_a_field():
    error = faults.left_over('user.name "bob"', 10, opened=None, after_bare_word=True)
    assert said(error) == ('expected ":" or an operator after the field, found a quote', 10)
