import pytest

from firstseen.detect.label import new_terms_label
from support.rulebook import rule_set, rule_text

THREAT = """
[[rule.threat]]
framework = "MITRE ATT&CK"
[rule.threat.tactic]
id = "TA0007"
name = "Discovery"
reference = "https://example.com/TA0007/"
[[rule.threat.technique]]
id = "T1087"
name = "Account Discovery"
reference = "https://example.com/T1087/"
[[rule.threat.technique.subtechnique]]
id = "T1087.004"
name = "Cloud Account"
reference = "https://example.com/T1087/004/"
"""


def test_the_whole_label() -> None:
    text = rule_text(fields=["user.name", "event.count"]) + (
        'tags = ["Cloud"]\nreferences = ["https://example.com/why"]\nlicense = "Apache-2.0"\n' + THREAT
    )
    (rule,) = rule_set(text).rules

    label = new_terms_label(rule, rule.kind, ("ada", 3), alert_id="0" * 32, time_ms=1_000, last_seen=999)

    assert label == {
        "id": "0" * 32,
        "status": "open",
        "time": "1970-01-01T00:00:01.000Z",
        "reason": "A rule for tests: ada, 3 not seen in the 10 days before",
        "rule": {
            "id": rule.id,
            "name": "A rule for tests",
            "type": "new_terms",
            "severity": "medium",
            "risk_score": 47,
            "tags": ["Cloud"],
            "threat": [
                {
                    "framework": "MITRE ATT&CK",
                    "tactic": {"id": "TA0007", "name": "Discovery"},
                    "technique": [
                        {
                            "id": "T1087",
                            "name": "Account Discovery",
                            "subtechnique": [{"id": "T1087.004", "name": "Cloud Account"}],
                        }
                    ],
                }
            ],
            "references": ["https://example.com/why"],
            "license": "Apache-2.0",
            "hash": rule.hash,
        },
        "new_terms": {
            "fields": ["user.name", "event.count"],
            "values": ["ada", 3],
            "window": "10d",
            "last_seen": "1970-01-01T00:00:00.999Z",
        },
    }
    assert len(rule.hash) == 64


@pytest.mark.parametrize("term", ["\ud800", "a\udcff"])
def test_terms_that_are_no_text_are_made_readable(term: str) -> None:
    (rule,) = rule_set(rule_text()).rules

    label = new_terms_label(rule, rule.kind, (term,), alert_id="", time_ms=0, last_seen=None)

    (value,) = label["new_terms"]["values"]
    assert "\ufffd" in value
    assert value.encode() in label["reason"].encode()


@pytest.mark.parametrize(
    ("window", "spoken"),
    [("now-1d", "1 day"), ("now-12h", "12 hours"), ("now-90m", "90 minutes"), ("now-2w", "2 weeks")],
)
def test_the_window_is_spoken(window: str, spoken: str) -> None:
    (rule,) = rule_set(rule_text(window=window)).rules

    label = new_terms_label(rule, rule.kind, (True,), alert_id="", time_ms=0, last_seen=None)

    assert label["reason"] == f"A rule for tests: true not seen in the {spoken} before"
