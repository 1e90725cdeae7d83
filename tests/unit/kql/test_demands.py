"""That a demand is never too much is a property (tests/property/test_ruleset.py); here is what is found."""

import pytest

from firstseen.kql.ast import And, Is, Members, Node, render
from firstseen.kql.demands import demanded
from firstseen.kql.parser import parse


def demands(node: Node) -> list[str] | None:
    found = demanded(node, "f")
    return None if found is None else list(map(render, found))


@pytest.mark.parametrize(
    ("query", "comparisons"),
    [
        ("f: a", ["f: a"]),
        ('f: ("a" or b)', ['f: "a"', "f: b"]),
        ("f: a and g: b", ["f: a"]),
        ("g: b and (f: a or f: b) and f: c", ["f: c"]),
        ("(f: a and g: x) or (f: b and g: y)", ["f: a", "f: b"]),
        ("f: 1 and not f: b", ["f: 1"]),
        ("f: (a and b)", ["f: a"]),
        ("f: (a* or b)", ["f: a*", "f: b"]),
        ("f: true", ["f: true"]),
        ("f: null", ["f: null"]),
    ],
)
def test_comparisons_of_which_one_has_to_hold(query: str, comparisons: list[str]) -> None:
    assert demands(parse(query)) == comparisons


@pytest.mark.parametrize(
    "query", ["", "g: a", "f: *", "not f: a", "f: a or g: b", "f > a", "f: a or not f: b*", "*: a", "f: { g: a }", "a"]
)
def test_nothing_is_demanded_where_other_records_may_match(query: str) -> None:
    assert demands(parse(query)) is None


def test_a_list_is_a_demand() -> None:
    listed = Is("f", Members("l", frozenset(("a", "b"))))

    assert demanded(And((listed, parse("g: x"))), "f") == [listed]
