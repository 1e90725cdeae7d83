"""How predicates ask for fields; for what they answer, see the cases in ``spec/kql/keyword.toml``."""

from __future__ import annotations

import pytest

from firstseen.errors import KqlError
from firstseen.kql.compiler import compile_query
from firstseen.kql.parser import parse
from support.documents import Document


class Watched(Document):
    """A document that notes what it was asked for."""

    def __init__(self, **source):
        super().__init__(source)
        object.__setattr__(self, "asked", [])

    def values(self, field):
        self.asked.append(field)
        return super().values(field)

    def exists(self, field):
        self.asked.append(f"{field}?")
        return super().exists(field)


def asked(query: str, **source: object) -> tuple[bool, list[str]]:
    document = Watched(**source)
    return compile_query(parse(query), query, lambda field: "keyword")(document), document.asked


def test_all_records_are_matched_unseen():
    assert asked("*") == (True, [])


def test_and_stops_at_the_first_that_fails():
    assert asked("a:x and b:y and c:z", a="x") == (False, ["a", "b"])
    assert asked("a:x and b:y", a="x", b="y") == (True, ["a", "b"])


def test_or_stops_at_the_first_that_matches():
    assert asked("a:x* or b:y* or c:z*", b="y") == (True, ["a", "b"])
    assert asked("a:x* or b:*", c="z") == (False, ["a", "b?"])


def test_a_list_of_values_is_one_look_up():
    assert asked("a:(x or y or true or 12)", a=12) == (True, ["a"])
    assert asked("a:(x or y or z)", a="q") == (False, ["a"])


def test_values_of_one_field_are_looked_up_together_and_first():
    assert asked("b:y* or a:x or c:z or a:w", b="q") == (False, ["a", "c", "b"])


def test_negation_and_existence():
    assert asked("not a:*") == (True, ["a?"])
    assert asked("not a:*", a="") == (False, ["a?"])


@pytest.mark.parametrize(
    ("query", "value", "expected"),
    [
        ("a:x*", "xyz", True),
        ("a:x*z", "xz", True),
        ("a:xy*yz", "xyz", False),
        ("a:*b*b*", "ab", False),
        ("a:*b*b*", "abb", True),
        ("a:a*b*b", "ab", False),
        ("a > x", "y", True),
        ("a >= x", "x", True),
        ("a < x", "x", False),
        ("a <= true", "a", True),
    ],
)
def test_wildcards_and_ranges(query, value, expected):
    assert asked(query, a=[value]) == (expected, ["a"])


def test_a_wildcard_that_could_backtrack_does_not():
    query = "a:" + "*a" * 200 + "*b"
    assert asked(query, a="a" * 100_000) == (False, ["a"])


def test_existence_is_asked_of_fields_of_any_type():
    assert compile_query(parse("a:*"), "a:*", lambda field: "ip")(Document({"a": "192.0.2.1"}))


@pytest.mark.parametrize(
    ("query", "what", "offset"),
    [
        ("x:y and a*:{ b:c }", "a wildcard in the path of a nested block is not supported", 8),
        ("a:{ b > now-1d }", "now in a nested block is not supported", 8),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(query, what, offset):
    with pytest.raises(KqlError) as raised:
        compile_query(parse(query), query, lambda field: "date" if field == "a.b" else "keyword")
    assert (raised.value.what, raised.value.query, raised.value.offset) == (what, query, offset)
