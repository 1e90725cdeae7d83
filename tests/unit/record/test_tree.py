from __future__ import annotations

import time

import pytest
from msgpack import ExtType, Timestamp

from firstseen.record.tree import (
    LONGEST_NAME,
    MAX_ENTERED_DEPTH,
    Node,
    find,
    is_array,
    leaves,
    maps,
    members,
    merge,
    names_of,
    nested,
    scalar_of,
    scalars,
    text_of,
)


def found(record: object, field: str) -> list[object]:
    return [node.value for node in find(record, field)]


def deep(levels: int, *, of: str) -> object:
    value: object = "bottom"
    for _ in range(levels):
        value = {"a": value} if of == "maps" else [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"), [("é", "é"), ("é".encode(), "é"), (b"\xffx", "\udcffx"), (1, None), (None, None), ([], None)]
)
def test_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, [], {}, ExtType(1, b"x"), Timestamp(0), bytearray(b"x")])
def test_what_is_no_scalar(value):
    assert scalar_of(value) is None


@pytest.mark.parametrize("value", ["", b"", 0, 1.5, False])
def test_what_is_one(value):
    assert scalar_of(value) == (value.decode() if isinstance(value, bytes) else value)


def test_an_ext_value_is_no_array_though_it_is_a_tuple():
    assert not is_array(ExtType(1, b"x"))
    assert is_array([])
    assert is_array(())


def test_members_are_those_with_a_text_as_key():
    assert [*members({b"a": 1, "b": 2, 3: 3, None: 4})] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("record", "values"),
    [
        ({"a": {"b": {"c": 1}}}, [1]),
        ({"a.b.c": 1}, [1]),
        ({"a": {"b.c": 1}}, [1]),
        ({"a.b": {"c": 1}}, [1]),
        ({"a": [{"b": {"c": 1}}, [{"b.c": 2}]]}, [1, 2]),
        ({"a": ({"b": {"c": 1}},)}, [1]),
        ({b"a": {"b": {b"c": 1}}, "a.b": {"c": 2}, b"a.b.c": 3}, [1, 2, 3]),
        ({"a": "x", "b": {"c": 1}}, []),
        ({"a": ExtType(1, b"x")}, []),
        ([{"a.b.c": 1}], [1]),
        ("x", []),
    ],
)
def test_every_spelling_of_a_name_is_found(record, values):
    assert sorted(found(record, "a.b.c")) == values


def test_hits_are_in_record_order_within_a_spelling():
    assert found({"a": [{"b": 1}, {"b": [2]}, {"b": 3}]}, "a.b") == [1, [2], 3]


def test_beyond_a_name_lie_the_longer_keys():
    record = {"a": [{"b": 1, b"b.c": 2, "b.c.d": 3, "bc": 4}], "a.b.e": 5, "a.b": 6}
    assert found(record, "a.b") == [1, 6]
    beyond = [node.value for node in find(record, "a.b", beyond=True) if isinstance(node.value, dict)]
    assert sorted(map(repr, beyond)) == ["{'c': 2}", "{'c.d': 3}", "{'e': 5}"]
    assert {
        tuple(node.value): node.depth for node in find(record, "a.b", beyond=True) if isinstance(node.value, dict)
    } == {
        ("c",): 2,
        ("c.d",): 2,
        ("e",): 0,
    }


def test_a_name_with_half_a_surrogate_pair_has_no_bytes():
    assert found({"\ud800": 1, b"\xed\xa0\x80": 2}, "\ud800") == [1]
    assert found({b"\xff": 1}, "\udcff") == [1]


def test_scalars_pass_through_arrays_and_not_into_maps():
    assert [*scalars(Node([1, [b"x", [None]], {"a": 2}, True], 0))] == [1, "x", True]


def test_leaves_carry_their_names():
    assert [*leaves("a", Node({"b": [1, {"c.d": b"x"}], 7: 8, "e": None}, 0))] == [("a.b", 1), ("a.b.c.d", "x")]
    assert [*leaves("a", Node(1, 0))] == [("a", 1)]


@pytest.mark.parametrize("of", ["maps", "lists"])
def test_nothing_below_the_bound_is_looked_at(of):
    for levels, seen in ((MAX_ENTERED_DEPTH, True), (MAX_ENTERED_DEPTH + 1, False), (100_000, False)):
        record = {"top": deep(levels, of=of)}
        assert bool([*leaves("top", find(record, "top")[0])]) is seen
        assert ("bottom" in repr(nested(record))) is seen
        name = "top" + ".a" * levels * (of == "maps")
        if levels <= MAX_ENTERED_DEPTH + 1:
            assert bool([each for node in find(record, name) for each in scalars(node)]) is seen


def test_the_work_is_bounded_by_the_size_of_the_record():
    def every_spelling(segments: list[str]) -> dict[str, object]:
        ways = [(".".join(segments[:end]), segments[end:]) for end in range(1, len(segments) + 1)]
        return {key: every_spelling(rest) if rest else 1 for key, rest in ways}

    record = every_spelling(["a"] * 12)
    started = time.process_time()
    assert len(find(record, ".".join("a" * 12))) == 2**11
    assert [*leaves("", Node(nested(record), 0))] == [("." + ".".join("a" * 12), 1)] * 2**11
    assert time.process_time() - started < 5


def test_nested_takes_names_apart_and_keeps_every_value():
    record = {
        "a.b": 1,
        b"a": {"c": b"x", "b": [2]},
        "d": {"e.f": None},
        3: 4,
        "g": ExtType(1, b""),
        "h": (1, {"i.j": 2}),
    }
    assert nested(record) == {
        "a": {"b": [1, 2], "c": "x"},
        "d": {"e": {"f": None}},
        "g": None,
        "h": [1, {"i": {"j": 2}}],
    }


def test_a_scalar_and_an_object_under_one_name_become_a_list():
    assert nested({"a": 1, "a.b": 2, "a.c": 3}) == {"a": [1, {"b": 2}, {"c": 3}]}
    assert nested({"a.b": 2, "a": 1}) == {"a": [{"b": 2}, 1]}


def test_a_key_of_too_many_dots_keeps_them():
    name = ".".join("a" * (MAX_ENTERED_DEPTH + 1))
    assert nested({name: 1}) == {name: 1}
    assert nested({name: 1, name.encode(): 2}) == {name: [1, 2]}


def test_nested_does_not_touch_the_record():
    record = {"a": {"b": [1]}, "a.b": [2]}
    assert nested(record) == {"a": {"b": [1, 2]}}
    assert record == {"a": {"b": [1]}, "a.b": [2]}


def test_merge_puts_a_value_beside_what_is_there():
    document: dict[str, object] = {}
    merge(document, "a.b", 1)
    merge(document, "a.c", {"d": 2})
    merge(document, "a.c.d", 3)
    assert document == {"a": {"b": 1, "c": {"d": [2, 3]}}}


def test_the_names_of_leaves():
    record = {"a": {"b": [1, {"c.d": 2}], "e": None}, b"f": {"b": True}, "a.b": 3}
    assert names_of("", Node(record, 0)) == ["a.b", "a.b.c.d", "f.b"]
    assert names_of("x", Node({"y": 1}, 0)) == ["x.y"]
    assert names_of("x", Node(1, 0)) == ["x"]
    assert names_of("", Node({"a" * (LONGEST_NAME + 1): 1, "b" * LONGEST_NAME: 1}, 0)) == ["b" * LONGEST_NAME]


def test_the_maps_at_a_node():
    assert [node.value for node in maps(Node([{"a": 1}, [[{"b": {"c": 2}}]], "text"], 0))] == [
        {"a": 1},
        {"b": {"c": 2}},
    ]
    assert not list(maps(Node(deep(MAX_ENTERED_DEPTH + 2, of="arrays"), 0)))
