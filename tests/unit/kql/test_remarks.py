"""What is said of comparisons that never match; which they are is in ``spec/kql/rejected.toml``."""

from __future__ import annotations

import pytest

from firstseen.kql import ast
from firstseen.kql.parser import parse
from firstseen.kql.remarks import Remark, faults_of, limits_of

TYPES = {
    "a": "ip",
    "l": "long",
    "b": "boolean",
    "d": "date",
    "g": "geo_point",
    "n": "nested",
    "t": "text",
    "n.n": "nested",
}


def field_type(name: str) -> str:
    return TYPES.get(name, "keyword")


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("a:x", '"x" is not an address or a network, which a, of type ip, takes'),
        ("l:(1 or x)", '"x" is not a number, which l, of type long, takes'),
        ("b:True", '"True" is not true or false, which b, of type boolean, takes'),
        ("d >= 2026-13", '"2026-13" is not a date, which d, of type date, takes'),
        ("a:192.0.2.*", "a is of type ip, which takes no wildcard"),
        ("g:x", "g is of type geo_point, which cannot be compared"),
        ("k:null", "null is no value to compare with"),
        ("k > null", "null is no value to compare with"),
        ("null", "null is no value to compare with"),
        ("n.k:x", "n has nested objects: write n:{ k: ... }"),
        ("n:x", "n has nested objects: write n:{ ...: ... }"),
        ("n:{ n.k:x }", "n has nested objects: write n:{ k: ... }"),
        ("k:{ x:y }", "k has no nested objects: it is of type keyword"),
    ],
)
def test_what_is_wrong(query, what):
    (fault,) = faults_of(parse(query), field_type)
    assert fault.what == what


def test_every_fault_is_told_with_its_place():
    query = "k:x and (not a:y or l:(1 or 2 or z)) or b:q"
    assert [query[slice(*fault.span)] for fault in faults_of(parse(query), field_type)] == [
        "a:y",
        "l:(1 or 2 or z",
        "b:q",
    ]


def test_what_is_fine_is_no_fault():
    assert not faults_of(
        parse("a:192.0.2.0/24 and l > 1.5 and b:true and d:now-1d/d and n:{ k:x } and *:x"), field_type
    )


def test_members_of_a_list_are_told_one_by_one():
    tree = ast.Is("a", ast.Members("hosts", frozenset({"192.0.2.1", "x", "y"})))
    assert [fault.what.partition(" ")[0] for fault in faults_of(tree, field_type)] == ['"x"', '"y"']
    tree = ast.Is("a", ast.Addresses("hosts", ("192.0.2.1-192.0.2.9", "9-1")))
    assert [fault.what for fault in faults_of(tree, field_type)] == [
        "'9-1' in the list hosts is no address, network or range"
    ]


def test_a_glob_is_no_value_of_a_number():
    tree = ast.Is("l", ast.Glob("1*", caseless=False))
    assert [fault.what for fault in faults_of(tree, field_type)] == ["l is of type long, which takes no wildcard"]


@pytest.mark.parametrize(
    ("query", "limits"),
    [
        ("k:x and a:192.0.2.1", []),
        ("t:x and t:y", ["t is compared by its words, which are found approximately"]),
        ("x", ["a value without a field is looked for in every field that a record has"]),
        ("k*:x or l* > 1", ["a wildcard in the name of a field stands for the fields that a record has"]),
    ],
)
def test_what_is_answered_roughly(query, limits):
    assert [limit.what for limit in limits_of(parse(query), field_type)] == limits


def test_a_limit_stands_where_it_first_applies():
    assert limits_of(parse("k:x or t:y or t:z"), field_type)[0].span == (7, 10)
    assert Remark((1, 2), "x").what == "x"
