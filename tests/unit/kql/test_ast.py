from __future__ import annotations

import pytest

from firstseen.kql.ast import (
    Addresses,
    And,
    Boolean,
    Exists,
    FreeText,
    Glob,
    Is,
    Literal,
    MatchAll,
    Members,
    Nested,
    Not,
    Null,
    Or,
    Pattern,
    Range,
    either,
    render,
    together,
)

A, B, C = (Is(name, Literal(name.upper(), False)) for name in "abc")


def text(value: str) -> FreeText:
    return FreeText(Literal(value, False))


def test_spans_take_no_part_in_comparison():
    assert Is("a", Literal("x", False, span=(2, 3)), span=(0, 3)) == Is("a", Literal("x", False))
    assert hash(MatchAll(span=(0, 1))) == hash(MatchAll())


def test_nodes_are_frozen():
    with pytest.raises(AttributeError):
        A.field = "b"


@pytest.mark.parametrize(
    ("tree", "printed"),
    [
        (MatchAll(), "*:*"),
        (And((A, B, C)), "a: A and b: B and c: C"),
        (Or((A, And((B, C)))), "a: A or b: B and c: C"),
        (And((A, Or((B, C)))), "a: A and (b: B or c: C)"),
        (And((A, And((B, C)))), "a: A and (b: B and c: C)"),
        (Or((A, Or((B, C)))), "a: A or (b: B or c: C)"),
        (Not(A), "not a: A"),
        (Not(And((A, B))), "not (a: A and b: B)"),
        (Not(Or((A, B))), "not (a: A or b: B)"),
        (Not(Not(A)), "not (not a: A)"),
        (And((Not(A), B)), "not a: A and b: B"),
        (Nested("p", Or((A, B))), "p: { a: A or b: B }"),
        (Not(Nested("p", A)), "not p: { a: A }"),
        (Exists("a"), "a: *"),
        (Exists(Pattern(("a.", ""))), "a.*: *"),
        (Range("a", ">=", Literal("5", False)), "a >= 5"),
        (FreeText(Literal("x y", True)), '"x y"'),
        (Is("a", Boolean(True)), "a: true"),
        (Is("a", Boolean(False)), "a: false"),
        (Is("a", Null()), "a: null"),
        (Is("a", Pattern(("x ", "", "(y)"))), "a: x **\\(y\\)"),
    ],
)
def test_conditions_and_chains(tree, printed):
    assert render(tree) == printed


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("event.action", "event.action: A"),
        ("@timestamp", "@timestamp: A"),
        ("true", "true: A"),
        ("or", "or: A"),
        ("not", '"not": A'),
        ("foo bar", '"foo bar": A'),
        ("", '"": A'),
        ("a*", '"a*": A'),
        ('"', '"\\"": A'),
    ],
)
def test_names_of_fields(name, printed):
    assert render(Is(name, Literal("A", False))) == printed


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("plain text", "plain text"),
        ('\\():<>"*{}', '\\\\\\(\\)\\:\\<\\>\\"\\*\\{\\}'),
        ("a\tb\rc\nd", r"a\tb\rc\nd"),
        ("a\u00a0b", r"a\u00a0b"),
        ("", r"\t"),
        ("cannot be", r"can\u006eot be"),
        ("can not", r"can \u006eot"),
        ("NOT x", r"\u004eOT x"),
        ("knots", "knots"),
        ("a or b", r"a \u006fr b"),
        ("a And", r"a \u0041nd"),
        ("or b", "or b"),
        ("a\not", r"a\not"),
        ("and", "and"),
    ],
)
def test_unquoted_texts(value, printed):
    assert render(text(value)) == printed


def test_a_keyword_at_the_end_of_a_word_is_none_before_a_blank():
    assert render(And((text("not"), text("a or"), B))) == r"\u006eot and a \u006fr and b: B"


@pytest.mark.parametrize(
    ("value", "printed"), [("a*b", '"a*b"'), ('say "x"', '"say \\"x\\""'), ("C:\\new", '"C:\\\\new"'), ("", '""')]
)
def test_quoted_texts(value, printed):
    assert render(FreeText(Literal(value, True))) == printed


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (Glob('x?"*', caseless=False), 'glob "x?\\"*"'),
        (Glob("x*", caseless=True), 'glob in any case "x*"'),
        (Members("known admins", frozenset({"x", "y"})), 'one of the list "known admins"'),
        (Addresses("offices", ("192.0.2.0/24",)), 'one of the list "offices"'),
    ],
)
def test_what_no_query_can_spell_is_printed_for_people(value, printed):
    assert render(Not(Is("a", value))) == f"not a: {printed}"


def test_nodes_are_joined_where_there_are_several():
    assert together([A]) == A
    assert together([A, B]) == And((A, B))
    assert either([A]) == A
    assert either([A, B]) == Or((A, B))
