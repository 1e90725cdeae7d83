import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstseen.config import Sources
from firstseen.config.sources import fits


@pytest.mark.parametrize(
    ("pattern", "tag"),
    [
        ("*", "aws.cloudtrail"),
        ("*", ""),
        ("aws.*", "aws."),
        ("aws.*", "aws.a.b"),
        ("*.log", "a.log.log"),
        ("a*b*c", "abc"),
        ("a*b*c", "a.b.b.c.c"),
        ("app", "app"),
        ("**", "x"),
        ("a.[b]?", "a.[b]?"),
    ],
)
def test_what_fits(pattern, tag):
    assert fits(pattern, tag)


@pytest.mark.parametrize(
    ("pattern", "tag"),
    [
        ("aws.*", "aws"),
        ("aws.*", "my.aws.x"),
        ("app", "app.x"),
        ("a*a", "a"),
        ("*ab*ab", "ab"),
        ("a.b", "axb"),
        ("a?", "ab"),
        ("A*", "a"),
        ("", "a"),
    ],
)
def test_what_does_not(pattern, tag):
    assert not fits(pattern, tag)


@given(st.text("ab*", max_size=8), st.text("ab\n", max_size=12))
def test_it_fits_as_a_regular_expression_would(pattern, tag):
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert fits(pattern, tag) == bool(re.fullmatch(expression, tag, re.DOTALL))


def test_many_stars_take_no_time():
    assert not fits("*a" * 200 + "b", "a" * 10_000)


def test_the_first_that_fits_counts():
    sources = Sources(views=(("aws.*", "cloudtrail"), ("*.raw", "none"), ("aws.x", "ecs")))
    assert [sources.view(tag) for tag in ("aws.x", "aws.raw", "a.raw", "other")] == [
        "cloudtrail",
        "cloudtrail",
        "none",
        "auto",
    ]
    assert Sources().view("anything") == "auto"
    assert Sources(views=()).view("anything") == "auto"
