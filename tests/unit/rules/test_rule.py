import pytest
from msgspec.structs import replace

from firstseen.kql.ast import And, Exists, Not, Or
from firstseen.rules.rule import ExceptionItem, Report, Status
from support.documents import Document
from support.rulefiles import rule_of


def test_rules_are_frozen_and_compared_by_identity(tmp_path):
    one, two = rule_of("a: b", tmp_path), rule_of("a: b", tmp_path)
    assert one != two
    assert len({one, two}) == 2
    with pytest.raises(AttributeError):
        one.name = "other"


def test_silence_is_the_window_less_the_look_back(tmp_path):
    rule = rule_of("a: b", tmp_path)
    assert (rule.kind.window_ms, rule.lookback_ms, rule.kind.silence_ms) == (432_000_000, 540_000, 431_460_000)


def test_a_status_is_a_text():
    report = Report("1", "n", "new_terms", "f", Status.NOT_RUNNABLE, "r", ())
    assert report.status == "not_runnable"
    assert f"{report.status}" == "not_runnable"


def test_exceptions_that_hold_are_part_of_the_tree(tmp_path):
    rule = rule_of("a: *", tmp_path)
    items = [ExceptionItem("x", Exists(field), "f.toml", 1) for field in "bc"]
    assert rule.node == Exists("a")
    assert replace(rule, holding=tuple(items[:1])).node == And((Exists("a"), Not(Exists("b"))))
    assert replace(rule, holding=tuple(items)).node == And((Exists("a"), Not(Or((Exists("b"), Exists("c"))))))


def test_a_rule_is_compiled_once(tmp_path):
    rule = rule_of("a: *", tmp_path)
    assert rule.predicate is rule.predicate
    assert rule.predicate(Document({"a": 1}))
    assert not replace(rule, asked=Exists("b")).predicate(Document({"a": 1}))
