from typing import Any

from firstseen.kql import Trace, compile_trace, parse, render
from support.documents import Document
from support.kql_typed import field_type


def traced(query: str, source: dict[str, Any]) -> Trace:
    return compile_trace(parse(query), query, field_type)(Document(source, field_type))


def outline(trace: Trace) -> list[Any]:
    """A node's verdict and text, and then its children's."""
    return [trace.verdict, render(trace.node), *map(outline, trace.children)]


def test_every_part_is_looked_at_and_has_a_verdict_of_its_own() -> None:
    trace = traced("k: foo and not (c: bar or w: *)", {"k": "foo", "c": "bar"})

    assert outline(trace) == [
        False,
        "k: foo and not (c: bar or w: *)",
        [True, "k: foo"],
        [False, "not (c: bar or w: *)", [True, "c: bar or w: *", [True, "c: bar"], [False, "w: *"]]],
    ]


def test_a_comparison_shows_the_values_that_it_had() -> None:
    trace = traced("l > 5", {"l": [1, 7]})

    assert trace.as_json() == {
        "node": "range",
        "verdict": True,
        "query": "l > 5",
        "fields": [{"field": "l", "exists": True, "values": [1, 7]}],
    }


def test_a_field_that_is_missing_and_one_that_has_only_fields_below_are_told_apart() -> None:
    (missing,) = traced("k: foo", {}).found
    (above,) = traced("o: *", {"o": {"x": 1}}).found

    assert (missing.exists, missing.values) == (False, ())
    assert (above.exists, above.values) == (True, ())


def test_a_value_that_is_none_to_its_field_is_remarked() -> None:
    trace = traced("a: *", {"a": "foo"})

    assert (trace.verdict, trace.found[0].values) == (False, ("foo",))
    assert trace.remarks == ("what a field of its type cannot hold is no value",)
    assert traced("a: *", {"a": ["foo", "192.0.2.1"]}).remarks == traced("a: *", {}).remarks == ()


def test_a_pattern_shows_every_field_whose_name_fits() -> None:
    trace = traced("k*: foo", {"k": "foo", "kk": "bar", "c": "foo"})

    assert [(each.field, each.values) for each in trace.found] == [("k", ("foo",)), ("kk", ("bar",))]


def test_a_value_without_a_field_shows_the_fields_that_have_it() -> None:
    trace = traced("foo", {"k": "foo", "c": "bar", "w": "foo"})

    assert (trace.verdict, [each.field for each in trace.found]) == (True, ["k", "w"])


def test_nested_objects_are_looked_at_one_by_one_under_their_full_names() -> None:
    trace = traced("n: { k: foo and l > 1 }", {"n": [{"k": "foo", "l": 1}, {"k": "foo", "l": 2}]})

    assert [child.verdict for child in trace.children] == [False, True]
    assert trace.verdict
    assert [each.field for child in trace.children[0].children for each in child.found] == ["n.k", "n.l"]
    assert trace.as_json()["path"] == "n"


def test_what_never_matches_and_what_is_answered_roughly_is_remarked() -> None:
    assert traced("a: foo", {"a": "192.0.2.1"}).remarks == (
        'never matches: "foo" is not an address or a network, which a, of type ip, takes',
    )
    assert traced("t: foo", {"t": "foo"}).remarks == ("t is compared by its words, which are found approximately",)
    assert traced("k: { k: foo }", {"k": "foo"}).remarks == (
        "never matches: k has no nested objects: it is of type keyword",
    )


def test_everything_has_no_values_to_show() -> None:
    assert traced("*", {"k": "foo"}).as_json() == {"node": "all", "verdict": True, "query": "*:*"}
