import pytest

from firstseen.detect.label import match_label
from firstseen.detect.overrides import told
from firstseen.rules.rule import Rule
from support.documents import Document
from support.rulebook import rule_set, rule_text

OVERRIDES = """
rule_name_override = "message"
severity_mapping = [
    {field = "event.severity", operator = "equals", severity = "low", value = "21"},
    {field = "event.severity", operator = "equals", severity = "high", value = "47.9"},
    {field = "vendor.level", operator = "equals", severity = "critical", value = "7"},
    {field = "vendor.level", operator = "equals", severity = "high", value = "true"},
]
risk_score_mapping = [{field = "vendor.score", operator = "equals", value = ""}]
"""


@pytest.fixture(scope="module")
def rule() -> Rule:
    (rule,) = rule_set(rule_text() + OVERRIDES).rules
    return rule


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        ({}, "medium"),
        ({"event.severity": 21}, "low"),
        ({"event.severity": "21"}, "low"),
        ({"event.severity": 21.0}, "low"),
        ({"event.severity": 47}, "high"),
        ({"event.severity": 47.9}, "medium"),
        ({"event.severity": [True, "x", 21]}, "low"),
        ({"event.severity": 22}, "medium"),
        ({"vendor.level": 7}, "critical"),
        ({"vendor.level": "7"}, "critical"),
        ({"vendor.level": "7.0"}, "medium"),
        ({"vendor.level": True}, "high"),
        ({"vendor.level": [True, 7], "event.severity": 21}, "critical"),
        ({"vendor.level": "True", "event.severity": 21}, "low"),
    ],
)
def test_the_highest_severity_that_applies(rule, event, severity):
    assert told(rule, Document(event)).severity == severity


@pytest.mark.parametrize(
    ("score", "risk_score"),
    [
        (None, 47),
        (99, 99),
        (0, 0),
        (101, 47),
        (-1, 47),
        ("88", 88),
        (" 88.5 ", 88.5),
        ("", 47),
        ("1e2", 100),
        ("nan", 47),
        (float("nan"), 47),
        (float("inf"), 47),
        ("٣", 47),
        (True, 47),
        ([1, "x", 200, "30"], 30),
    ],
)
def test_the_highest_score_that_is_one(rule, score, risk_score):
    assert told(rule, Document({"vendor.score": score})).risk_score == risk_score


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Malware", "Malware"),
        (["Malware", "Other"], "Malware"),
        ("", "A rule for tests"),
        (" ", "A rule for tests"),
        (7, "A rule for tests"),
        (None, "A rule for tests"),
    ],
)
def test_the_name(rule, message, name):
    assert told(rule, Document({"message": message})).name == name


def test_a_label_tells_what_the_event_overrides(rule):
    event = Document({"message": "Malware", "vendor.level": 7, "vendor.score": 99})
    label = match_label(rule, event, alert_id="0", time_ms=0, group=None)
    shown = {key: label["rule"][key] for key in ("name", "severity", "risk_score", "id")}
    assert shown == {"name": "Malware", "severity": "critical", "risk_score": 99, "id": rule.id}
    assert label["reason"].startswith("Malware: ")
