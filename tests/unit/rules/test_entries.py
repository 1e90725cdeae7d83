"""What entries mean is told by the cases in tests/spec/exceptions; here is what becomes of them, and of odd ones."""

import pytest

from firstseen import toml
from firstseen.kql.ast import And, Exists, Glob, Is, Literal, Nested, Not, Or
from firstseen.rules.entries import entries
from firstseen.rules.rulefile import RuleFile
from firstseen.rules.valuelists import ValueLists

A1, A2 = Is("a", Literal("1", quoted=True)), Is("a", Literal("2", quoted=True))


def read(text):
    file = RuleFile(toml.parse(f"entries = [{text}]".encode(), "e.toml"))
    return entries(file, ("entries",), ValueLists()), [str(problem) for problem in file.problems]


@pytest.mark.parametrize(
    ("entry", "node"),
    [
        ('{field = "a", type = "match", operator = "included", value = "1"}', A1),
        ('{field = "a", type = "match", value = 1}', A1),
        ('{field = "a", type = "match", operator = "excluded", value = "1"}', Not(A1)),
        ('{field = "a", type = "match_any", value = ["1", "2"]}', Or((A1, A2))),
        ('{field = "a", type = "match_any", value = ["1"]}', A1),
        ('{field = "a", type = "wildcard", value = "*?"}', Is("a", Glob("*?", caseless=False))),
        ('{field = "a", type = "exists"}', Exists("a")),
        ('{field = "p", type = "nested", entries = [{field = "a", type = "match", value = "1"}]}', Nested("p", A1)),
    ],
)
def test_an_entry_is_a_node(entry, node):
    assert read(entry) == (node, [])
    assert read(f'{entry}, {{field = "b", type = "exists"}}') == (And((node, Exists("b"))), [])


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("", ": at least one entry is needed"),
        ("1", ": expected a list of tables, got a list with an integer in it"),
        ('{type = "exists"}', "[0].field: missing"),
        ('{field = "a"}', "[0].type: missing"),
        (
            '{field = "a", type = "text"}',
            '[0].type: expected one of match, match_any, wildcard, exists, list, nested, got "text"',
        ),
        (
            '{field = "a", type = "exists", operator = "is"}',
            '[0].operator: expected one of included, excluded, got "is"',
        ),
        ('{field = "a", type = "exists", value = "x"}', "[0].value: has no meaning in an entry of type exists"),
        ('{field = "a", type = "match"}', "[0].value: missing"),
        ('{field = "a", type = "match", value = ["1"]}', "[0].value: expected a value to compare with, got a list"),
        ('{field = "a", type = "match_any", value = "1"}', "[0].value: expected a list of values, got a string"),
        ('{field = "a", type = "match_any", value = []}', "[0].value: expected a list of values, got an empty list"),
        (
            '{field = "a", type = "match_any", value = ["1", []]}',
            "[0].value: expected a value to compare with, got an empty list",
        ),
        ('{field = "a", type = "wildcard", value = 1}', "[0].value: expected a string, got an integer"),
        (
            '{field = "a", type = "list"}',
            '[0].list: missing: which list, as in {id = "vpn-exits", type = "ip_range"}',
        ),
        ('{field = "a", type = "nested", entries = []}', "[0].entries: at least one entry is needed"),
        (
            '{field = "a", type = "nested", entries = [{field = "b", type = "list"}]}',
            '[0].entries[0].type: expected one of match, match_any, exists, got "list"',
        ),
    ],
)
def test_what_is_wrong_with_an_entry(entry, problem):
    assert read(entry) == (None, [f"e.toml:1: entries{problem}"])


def test_all_that_is_wrong_at_once():
    node, problems = read('{field = "a", type = "match"}, {field = "a", type = "exists"}, {}')
    assert node is None
    assert problems == [
        "e.toml:1: entries[0].value: missing",
        "e.toml:1: entries[2].field: missing",
        "e.toml:1: entries[2].type: missing",
    ]
