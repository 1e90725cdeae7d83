from firstseen import toml
from firstseen.kql.ast import And, Exists, Not, Or
from firstseen.rules.query import either, excepting, meaning, query, together
from firstseen.rules.rule import ExceptionItem
from firstseen.rules.rulefile import RuleFile
from support.documents import Document

A, B, C = Exists("a"), Exists("b"), Exists("c")


def item(node, expires_ms=None):
    return ExceptionItem("x", node, "f.toml", 1, expires_ms=expires_ms)


def test_a_query():
    file = RuleFile(toml.parse(b"a = {b = 'a: *'}", "f.toml"))
    read = query(file, ("a", "b"))
    assert (read.text, read.node, read.canonical, read.needles) == ("a: *", A, "a: *", None)
    assert query(file, ("a", "b")) is read
    assert read.predicate(Document({"a": 1}))
    assert not read.predicate(Document({"b": 1}))


def test_a_query_with_a_fault_is_told_of_by_its_own_name():
    file = RuleFile(toml.parse(b"[a]\nb = 'a: ('", "f.toml"))
    assert query(file, ("a", "b")) is None
    (problem,) = map(str, file.problems)
    assert problem.startswith("f.toml:2: a.b: ")


def test_nodes_are_joined_where_there_are_several():
    assert together([A]) == A
    assert together([A, B]) == And((A, B))
    assert either([A]) == A
    assert either([A, B]) == Or((A, B))


def test_exceptions_are_part_of_the_tree():
    assert excepting(A, []) == A
    assert excepting(A, [item(B)]) == And((A, Not(B)))
    assert excepting(A, [item(B), item(C)]) == And((A, Not(Or((B, C)))))


def test_a_meaning_is_what_is_asked_and_not_how_long():
    assert meaning("a: *", [Not(B)], [item(C)]) == ("a: *", "not b: *", "not c: *")
    assert meaning("a: *", [], [item(C, expires_ms=1)]) == meaning("a: *", [], [item(C)])
    assert meaning("a: *", [], [item(Or((B, C)))]) == ("a: *", "not (b: * or c: *)")
