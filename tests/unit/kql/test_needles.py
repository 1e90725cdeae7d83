"""The choice between sets of needles; which parts of a query give needles at all is in ``spec/kql/needles.toml``."""

from __future__ import annotations

import pytest

from firstseen.kql import ast
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
        ("aws.cloudtrail.user_identity.type:AssumedRole and a:*role/Agent-*", {b"Agent-"}),
        ("cloud.region:eu-central-1 and a:AKIA*", {b"AKIA"}),
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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ast.Glob("*long-one?ab*", caseless=False), {b"long-one"}),
        (ast.Glob("*long-one*", caseless=True), None),
        (ast.Glob(r"C:\\Windows\\*", caseless=False), {b"Windows"}),
        (ast.Members("list", frozenset({"first", "second"})), {b"first", b"second"}),
        (ast.Members("list", frozenset({"first", "4625"})), None),
        (ast.Members("list", frozenset()), set()),
        (ast.Addresses("list", ("192.0.2.1",)), None),
    ],
)
def test_values_that_no_query_can_spell(value, expected):
    assert needles(ast.Is("a", value), lambda field: True, lambda field: "keyword") == expected


@pytest.mark.parametrize(
    ("es_type", "query", "expected"),
    [
        ("unknown", "a:value", {b"value"}),
        ("unknown", "a:4625.0", None),
        ("wildcard", "a:*value other*", {b"value", b"other"}),
        ("wildcard", "a:*value xy*", None),
        ("wildcard", "a:* value", None),
        ("flattened_key", "a:value", {b"value"}),
        ("caseless", "a:value", None),
        ("text", "a:value", None),
        ("date", 'a:"2026-05-24"', None),
        ("boolean", "a:true", None),
        ("constant_keyword", "a:value", None),
    ],
)
def test_which_types_make_needles(es_type, query, expected):
    assert found(query, types={"a": es_type}) == expected
