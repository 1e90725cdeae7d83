"""How predicates ask for fields; for what they answer, see the cases in ``spec/kql/keyword.toml``."""

from __future__ import annotations

import gc

import pytest

from firstseen.errors import KqlError
from firstseen.kql import ast, compiler
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


@pytest.mark.parametrize(
    ("value", "fits", "differs"),
    [
        (ast.Glob("a?c*", caseless=False), ["abc", "abcd"], ["ac", "ABC"]),
        (ast.Glob("a?c*", caseless=True), ["ABC"], ["ac"]),
        (ast.Members("list", frozenset({"x", "12"})), ["x", 12, "12"], ["X", 13]),
        (ast.Members("list", frozenset()), [], ["x"]),
        (
            ast.Addresses("list", ("192.0.2.0/24", "2001:db8::1-2001:db8::9", "x")),
            ["192.0.2.1", "2001:db8::5"],
            ["x", 1],
        ),
    ],
)
def test_values_that_no_query_can_spell(value, fits, differs):
    predicate = compile_query(ast.Is("a", value), "", lambda field: "keyword")
    assert [text for text in fits + differs if predicate(Document({"a": text}))] == fits


def test_members_are_typed_by_the_field():
    tree = ast.Is("a", ast.Members("list", frozenset({"192.0.2.0/24", "2001:db8::1", "x"})))
    predicate = compile_query(tree, "", lambda field: "ip")
    values = ["192.0.2.9", "2001:DB8:0::1", "x", "192.0.2.0/24"]
    assert [text for text in values if predicate(Document({"a": text}))] == ["192.0.2.9", "2001:DB8:0::1"]


def test_a_list_of_addresses_and_networks_is_one_look_up():
    query = "a:(192.0.2.1 or 198.51.100.0/24 or x)"
    document = Watched(a="198.51.100.7")
    assert compile_query(parse(query), query, lambda field: "ip")(document)
    assert document.asked == ["a"]


def test_a_test_for_a_field_that_fits_a_name_is_made_once():
    made = []

    def field_type(name):
        made.append(name)
        return "keyword"

    predicate = compile_query(parse("a*:x"), "a*:x", field_type)
    assert predicate(Document({"ab": "x"}))
    first = list(made)
    assert not predicate(Document({"ab": "y", "b": "x"}))
    assert made == first


def test_a_glob_that_could_backtrack_does_not():
    tree = ast.Is("a", ast.Glob("*a?" * 100 + "*b", caseless=True))
    assert not compile_query(tree, "", lambda field: "keyword")(Document({"a": "a" * 100_000}))


@pytest.mark.parametrize(
    ("value", "again"),
    [
        (ast.Members("staff", frozenset(("ada", "bob"))), ast.Members("staff", frozenset(("bob", "ada")))),
        (ast.Addresses("office", ("192.0.2.0/24",)), ast.Addresses("office", ("192.0.2.0/24",))),
    ],
)
def test_a_list_is_compiled_once_for_all_rules_that_have_it(value, again) -> None:
    kinds = {"user.name": "keyword", "source.ip": "ip", "text": "keyword"}
    field = "user.name" if isinstance(value, ast.Members) else "source.ip"
    compiled = [compile_query(ast.Is(name, each), "", kinds.get) for name, each in ((field, value), (field, again))]

    assert compiled[0] is compiled[1]
    assert compile_query(ast.Is("text", value), "", kinds.get) is not compiled[0]


def test_what_was_compiled_of_a_list_goes_with_the_last_rule_that_has_it() -> None:
    before = len(compiler._LISTED)
    nodes = [ast.Is("user.name", ast.Members("staff", frozenset((text,)))) for text in ("ada", "bob")]
    compiled = [compile_query(node, "", lambda name: "keyword") for node in nodes]
    assert len(compiler._LISTED) == before + 2

    del nodes
    gc.collect()

    assert len(compiler._LISTED) == before
    assert compiled[0](Document({"user.name": "ada"}))
