import pytest

from firstseen.kql import parse
from firstseen.rules.requirements import everything_is_available, gaps, hindrances, mentioned

AWAY = {"geo.a": "no database", "as.b": "no other database", "n.x": "no such list"}


@pytest.mark.parametrize(
    ("query", "hindering"),
    [
        # asked for on every way
        ("geo.a: x", "geo.a"),
        ("geo.a: *", "geo.a"),
        ("geo.a > 3", "geo.a"),
        ("geo.a: x*", "geo.a"),
        ("a: x and geo.a: y", "geo.a"),
        ("a: x and (geo.a: y and b: z)", "geo.a"),
        ("geo.a: (x or y)", "geo.a"),
        ("geo.a: x or as.b: y", "geo.a as.b"),
        ("(a: x and geo.a: y) or (b: x and as.b: y)", "geo.a as.b"),
        ("geo.a: x and as.b: y", "geo.a as.b"),
        ("not not_a: x and geo.a: x", "geo.a"),
        ("not (not geo.a: x)", "geo.a"),
        ("not (a: x or not geo.a: y)", "geo.a"),
        ("not (not geo.a: x and not as.b: y)", "geo.a as.b"),
        ("n: {x: 1}", "n.x"),
        ("geo.a: {x: 1}", "geo.a"),
        # excluded by it, or one of several ways
        ("not geo.a: x", ""),
        ("a: x and not geo.a: y", ""),
        ("geo.a: x or a: y", ""),
        ("not (geo.a: x and as.b: y)", ""),
        ("not (geo.a: x or as.b: y)", ""),
        ("not (a: x and not geo.a: x)", ""),
        ("not (a: x or not b: x)", ""),
        ("n: {not x: 1}", ""),
        ("n: {y: 1}", ""),
        ("x: 1", ""),
        ("*:*", ""),
        ("not *:*", ""),
        ("geo*: x", ""),
        ("text", ""),
        ("n*: {x: 1}", ""),
    ],
)
def test_what_no_event_can_fulfil(query, hindering):
    assert hindrances(parse(query), (), AWAY.get) == set(hindering.split())
    assert gaps(parse(query), (), AWAY.get) >= set(hindering.split())


def test_the_fields_a_rule_keys_by_must_be_there():
    assert hindrances(parse("a: x"), ("a", "geo.a"), AWAY.get) == {"geo.a"}
    assert hindrances(parse("as.b: x"), ("geo.a",), AWAY.get) == {"geo.a", "as.b"}
    assert hindrances(parse("geo.a: x"), ("as.b",), everything_is_available) == set()


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ("not geo.a: x or a: y", "geo.a"),
        ("n: {not x: 1 and y > 2}", "n.x"),
        ("geo.a: * or as.b >= 3", "geo.a as.b"),
        ("*:* or geo*: x or n*: {x: 1} or text", ""),
    ],
)
def test_what_is_asked_for_and_not_there(query, missing):
    assert gaps(parse(query), ("a",), AWAY.get) == set(missing.split())


def test_fields_go_by_their_full_names():
    tree = parse("a: 1 and n: {b: 2 or m: {not c: 3}}")
    assert list(mentioned(tree)) == ["a", "n.b", "n.m.c"]
    assert list(mentioned(tree, blocks=True)) == ["a", "n", "n.b", "n.m", "n.m.c"]
