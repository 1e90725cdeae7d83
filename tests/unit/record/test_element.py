from __future__ import annotations

from firstseen.record.ecs import EcsView
from firstseen.record.element import elements
from firstseen.record.tree import Node


def test_each_object_is_seen_by_itself():
    first, second = EcsView({"a": [{"b": 1, "c": ["x", None]}, [{"b": 2}], "text"]}).nested("a")
    assert (first.values("b"), first.values("c"), first.exists("d")) == ((1,), ("x",), False)
    assert (second.values("b"), second.exists("c")) == ((2,), False)


def test_objects_are_found_in_every_spelling():
    view = EcsView({"a": {"b": {"c": 1}}, "a.b": {"c": 2}, "a.b.c": 3})
    assert sorted(each.values("c")[0] for each in view.nested("a.b")) == [1, 2, 3]
    assert not view.nested("a.b.c")


def test_objects_in_objects():
    (outer,) = EcsView({"a": {"b": [{"c": 1}, {"c.d": 2}]}}).nested("a")
    assert [list(each.names()) for each in outer.nested("b")] == [["c"], ["c.d"]]


def test_the_type_of_a_field_is_that_of_its_whole_name():
    (found,) = EcsView({"process": {"name": "x", "args": "y" * 1025}}).nested("process")
    assert found.values("name.text") == ("x",)
    assert not found.exists("args")


def test_a_multi_field_of_the_object_itself_is_none():
    (found,) = elements("a", [Node({"b": 1}, 0)])
    assert not found.values("text")
