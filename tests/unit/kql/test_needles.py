"""The choice between sets of needles; which parts of a query give needles at all is in ``spec/kql/needles.toml``."""

from __future__ import annotations

import pytest

from firstseen.kql.needles import needles
from firstseen.kql.parser import parse


def found(query, *, derived=(), types=None):
    return needles(parse(query), lambda field: field not in derived, lambda field: (types or {}).get(field, "keyword"))


def test_a_set_of_bytes():
    assert found('event.action:("AssumeRole" or "GetUser")') == frozenset({b"AssumeRole", b"GetUser"})


def test_none_makes_every_record_a_candidate():
    assert found("*") is None
    assert found("a:value", derived=("a",)) is None
    assert found("a:value", types={"a": "ip"}) is None


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ('event.provider:"sts.amazonaws.com" and event.action:"GetUser"', {b"GetUser"}),
        ('event.module:"aws-and-something-long" and error.code:"Denied"', {b"Denied"}),
        ('error.code:"AccessDenied" and event.action:"GetUser"', {b"GetUser"}),
        ('a:"short" and b:"rather longer"', {b"rather longer"}),
        ('a:"single" and b:("single" or "double")', {b"single"}),
        ('event.provider:"sts.amazonaws.com" and a:*', {b"sts.amazonaws.com"}),
        ('a:"first" and b:"other"', {b"first"}),
    ],
)
def test_of_several_sets_the_one_that_lets_least_through(query, chosen):
    assert found(query) == chosen


def test_hundreds_of_alternatives_are_fine():
    assert len(found("event.action:(" + " or ".join(f"DescribeThing{n}" for n in range(600)) + ")")) == 600


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('a:"ab"', None),
        ('a:"12345"', None),
        ('a:"ab/longer\\"x"', {b"longer"}),
        ("a:*true*", None),
        ("a:*true*x*123456*", {b"123456"}),
        ("a:(b-value or c*)", None),
    ],
)
def test_what_makes_a_needle(query, expected):
    assert found(query) == expected
