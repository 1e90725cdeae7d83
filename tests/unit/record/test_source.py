from __future__ import annotations

import pytest
from msgpack import ExtType

from firstseen.record.source import Source, kept_scalar, pruned
from firstseen.record.tree import MAX_ENTERED_DEPTH


@pytest.mark.parametrize(
    "value", [None, "", "-", "none", b"-", [], {}, ExtType(1, b"x"), [None, [""]], {"a": {"b": {}}}]
)
def test_what_is_empty(value):
    assert pruned(value) is None


@pytest.mark.parametrize("value", [0, False, 0.0, " ", "None", "--", "null"])
def test_what_is_not(value):
    assert pruned(value) == kept_scalar(value) == value


def test_inner_things_go_first():
    value = {"a": [None, 1, {"b": ""}], b"c": {"d": "-", "e": b"x"}, 5: 6, "f": ({"g": None},)}
    assert pruned(value) == {"a": [1], "c": {"e": "x"}}


def test_too_deep_is_empty():
    value: object = "bottom"
    for _ in range(MAX_ENTERED_DEPTH - 1):
        value = [value]
    assert pruned([value], depth=1) is not None
    assert pruned([[value]], depth=1) is None


def test_places():
    source = Source({"a": {b"b": {"c": b"x", "d": ""}}, "e": [{"c": 1}, 2, {}], b"f": "-", "g": 7})
    assert source.raw("a", "b", "d") == ""
    assert source.raw("a", "x", "y") is None
    assert source.raw("e", "c") is None
    assert source.at("a") == {"b": {"c": "x"}}
    assert source.at("a", "b", "d") is None
    assert source.at("f") is None
    assert source.text("a", "b", "c") == "x"
    assert source.text("g") is None
    assert [*source.maps("e")] == [{"c": 1}]
    assert [*source.maps("a")] == []


def test_what_a_shipper_added():
    assert Source({"event": {"ingested": "x"}, "event.ingested": ["y"]}).ingested == ["x", "y"]
    assert Source({"event": "x"}).ingested == []
    around = [{"event": {"action": "a"}}, {"event.ingested": "x"}, {"event.ingested": "y"}]
    assert Source({"event": "x"}, around=around).ingested == ["x"]
    assert Source({"event.ingested": "z"}, around=around).ingested == ["z"]
