import pytest

from firstseen.rules.rule import Report, Status
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
