from firstseen import toml
from firstseen.kql.ast import Exists, Not, Or
from firstseen.rules.query import meaning, meanings, query
from firstseen.rules.rule import ExceptionItem
from firstseen.rules.rulefile import RuleFile

A, B, C = Exists("a"), Exists("b"), Exists("c")


def item(node, expires_ms=None):
    return ExceptionItem("x", node, "f.toml", 1, expires_ms=expires_ms)


def test_a_query():
    file = RuleFile(toml.parse(b"a = {b = 'a: *'}", "f.toml"))
    read = query(file, ("a", "b"))
    assert (read.text, read.node, read.canonical, read.needles) == ("a: *", A, "a: *", None)
    assert query(file, ("a", "b")) is read


def test_a_query_with_a_fault_is_told_of_by_its_own_name():
    file = RuleFile(toml.parse(b"[a]\nb = 'a: ('", "f.toml"))
    assert query(file, ("a", "b")) is None
    (problem,) = map(str, file.problems)
    assert problem.startswith("f.toml:2: a.b: ")


def test_a_meaning_is_what_is_asked():
    assert meaning("a: *", [Not(B)]) == ("a: *", "not b: *")


def test_the_meaning_of_an_exception_is_not_how_long_it_holds():
    assert list(meanings([item(C), item(Or((B, C)))])) == ["not c: *", "not (b: * or c: *)"]
    assert list(meanings([item(C, expires_ms=1)])) == ["not c: *"]
