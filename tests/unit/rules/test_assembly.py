from firstseen import toml
from firstseen.kql import parse
from firstseen.rules.assembly import TYPES, assembled, at, excepted
from firstseen.rules.rule import ExceptionItem
from firstseen.rules.rulefile import RuleFile
from support.documents import Document
from support.rulefiles import BASES

CALL = {"event.action": "CreateUser", "user.name": "ada"}


def rule_of(base, items=(), now_ms=0):
    file = RuleFile(toml.parse(BASES[base].encode(), "r.toml"))
    rule = assembled(file, "1", "n", base, b"\1\2")
    assert not file.problems
    return excepted(rule, items, now_ms)


def item(query, expires_ms=None):
    return ExceptionItem("x", parse(query), "e.toml", 1, expires_ms=expires_ms)


def test_every_type_is_assembled():
    assert {rule_of(base).type for base in BASES} == set(TYPES)
    assert rule_of("query").hash == "0102"


def test_an_exception_takes_events_out():
    rule = rule_of("query", [item("user.name: a*"), item("user.name: bob")])
    assert not rule.predicate(Document(CALL))
    assert not rule.predicate(Document({**CALL, "user.name": "bob"}))
    assert rule.predicate(Document({**CALL, "user.name": "mary"}))
    assert rule.predicate(Document({"event.action": "CreateUser"}))
    assert rule.meaning == ('event.action: "CreateUser"', "not user.name: a*", "not user.name: bob")


def test_an_exception_ends_at_its_moment_and_the_meaning_stays():
    before = rule_of("query", [item("user.name: ada", 100), item("user.name: bob")], now_ms=99)
    after = at(before, 100)
    assert not before.predicate(Document(CALL))
    assert after.predicate(Document(CALL))
    assert not after.predicate(Document({**CALL, "user.name": "bob"}))
    assert (after.meaning, after.exceptions, after.id) == (before.meaning, before.exceptions, before.id)
    assert rule_of("query", before.exceptions, now_ms=100).node == after.node


def test_a_rule_stays_itself_while_nothing_changes():
    rule = rule_of("query", [item("user.name: ada", 100)], now_ms=5)
    assert at(rule, 99) is rule
    assert at(rule_of("query"), 10**15).exceptions == ()
