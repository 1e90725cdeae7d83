"""That a demand is never too much is a property (tests/property/test_ruleset.py); here is what is found."""

import pytest

from firstseen.kql.ast import And, Is, Members
from firstseen.kql.demands import demanded
from firstseen.kql.parser import parse


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("f: a", {"a"}),
        ('f: ("a" or b)', {"a", "b"}),
        ("f: a and g: b", {"a"}),
        ("g: b and (f: a or f: b) and f: c", {"c"}),
        ("(f: a and g: x) or (f: b and g: y)", {"a", "b"}),
        ("f: 1 and not f: b", {"1"}),
        ("f: (a and b)", {"a"}),
    ],
)
def test_texts_of_which_one_has_to_be_there(query: str, texts: set[str]) -> None:
    assert demanded(parse(query), "f") == texts


@pytest.mark.parametrize(
    "query",
    ["", "g: a", "f: a*", "f: *", "not f: a", "f: a or g: b", "f > a", "f: a or f: b*", "*: a", "f: { g: a }", "a"],
)
def test_nothing_is_demanded_where_other_records_may_match(query: str) -> None:
    assert demanded(parse(query), "f") is None


def test_a_list_is_a_demand() -> None:
    node = And((Is("f", Members("l", frozenset(("a", "b")))), parse("g: x")))

    assert demanded(node, "f") == {"a", "b"}
