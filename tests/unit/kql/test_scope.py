from __future__ import annotations

import pytest

from firstseen.kql.scope import Scope

TYPES = {"n": "nested", "n.m": "nested", "k": "keyword"}
TOP = Scope(lambda name: TYPES.get(name, "unknown"))


@pytest.mark.parametrize(("name", "path"), [("n.x", "n"), ("n", "n"), ("n.m.x", "n"), ("k", None), ("x.y", None)])
def test_fields_of_nested_objects_need_a_block(name, path):
    assert TOP.needs_block(name) == path


def test_inside_a_block_names_are_relative():
    inside = TOP.inside("n")
    assert (inside.whole("x"), inside.type_of("m"), inside.needs_block("x")) == ("n.x", "nested", None)
    assert inside.needs_block("m.x") == "m"
    assert inside.inside("m").whole("x") == "n.m.x"


def test_a_block_is_for_nested_objects():
    assert (TOP.takes_block("n"), TOP.takes_block("x"), TOP.takes_block("k")) == (True, True, False)
