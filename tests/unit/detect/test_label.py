import pytest

from firstseen.detect.label import Standing, is_for_people, match_label, new_terms_label, threshold_label
from firstseen.detect.threshold import Tally
from firstseen.rules.rule import Rule
from support.documents import Document
from support.rulebook import rule_set, rule_text

NOTHING = Document({})

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

    label = new_terms_label(rule, rule.kind, ("ada", 3), NOTHING, alert_id="0" * 32, time_ms=1_000, last_seen=999)

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

    label = new_terms_label(rule, rule.kind, (term,), NOTHING, alert_id="", time_ms=0, last_seen=None)

    (value,) = label["new_terms"]["values"]
    assert "\ufffd" in value
    assert value.encode() in label["reason"].encode()


@pytest.mark.parametrize(
    ("window", "spoken"),
    [("now-1d", "1 day"), ("now-12h", "12 hours"), ("now-90m", "90 minutes"), ("now-2w", "2 weeks")],
)
def test_the_window_is_spoken(window: str, spoken: str) -> None:
    (rule,) = rule_set(rule_text(window=window)).rules

    label = new_terms_label(rule, rule.kind, (True,), NOTHING, alert_id="", time_ms=0, last_seen=None)

    assert label["reason"] == f"A rule for tests: true not seen in the {spoken} before"


def rule_of_type(kind: str, rest: str = "") -> Rule:
    """A rule of type query or threshold."""
    text = rule_text().replace('"new_terms"', f'"{kind}"')
    (rule,) = rule_set("".join(line for line in text.splitlines(True) if "window" not in line) + rest).rules
    return rule


def test_a_query_rule_tells_what_happened() -> None:
    event = {
        "event": {"action": "StopLogging"},
        "user": {"name": "ada"},
        "cloud.account.id": "111122223333",
        "source.ip": ["192.0.2.7", "192.0.2.8"],
    }

    label = match_label(rule_of_type("query"), Document(event), alert_id="0", time_ms=0, group=None)

    assert label["reason"] == "A rule for tests: StopLogging by ada in 111122223333 from 192.0.2.7, 192.0.2.8"
    assert list(label) == ["id", "status", "time", "reason", "rule"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({}, "an event matched"),
        ({"event.category": ["iam"], "user.id": "AIDA\ud800"}, "iam by AIDA\ufffd"),
        ({"event.action": list("abcdefg"), "host.id": 7}, "a, b, c, d, e and 2 more on 7"),
    ],
)
def test_a_reason_says_as_much_as_the_event_does(event: dict[str, object], reason: str) -> None:
    label = match_label(rule_of_type("query"), Document(event), alert_id="0", time_ms=0, group=None)

    assert label["reason"].replace("\ufffd\ufffd\ufffd", "\ufffd") == f"A rule for tests: {reason}"


def test_a_threshold_says_what_it_counted() -> None:
    rule = rule_of_type("threshold", '[rule.threshold]\nfield = ["user.name", "cloud.account.id"]\nvalue = 3\n')

    label = threshold_label(
        rule, rule.kind, ("ada", "a\ud800"), NOTHING, alert_id="1", time_ms=5_000, tally=Tally(3, 0, 1_000)
    )

    assert label["reason"] == "A rule for tests: 3 matches of ada, a\ufffd\ufffd\ufffd since 1970-01-01T00:00:01.000Z"
    assert label["threshold"] == {
        "fields": ["user.name", "cloud.account.id"],
        "values": ["ada", "a\ufffd\ufffd\ufffd"],
        "count": 3,
        "from": "1970-01-01T00:00:01.000Z",
    }
    assert (label["id"], label["status"], label["time"]) == ("1", "open", "1970-01-01T00:00:05.000Z")


def test_a_threshold_says_how_many_values_there_were() -> None:
    table = '[rule.threshold]\nfield = []\nvalue = 1\ncardinality = [{field = "source.ip", value = 2}]\n'
    rule = rule_of_type("threshold", table)

    label = threshold_label(rule, rule.kind, (), NOTHING, alert_id="1", time_ms=0, tally=Tally(1, 2, 0))

    assert label["reason"] == "A rule for tests: 1 match with 2 different source.ip since 1970-01-01T00:00:00.000Z"
    assert label["threshold"]["cardinality"] == {"field": "source.ip", "value": 2}


def test_a_building_block_says_so() -> None:
    rule = rule_of_type("query", 'building_block_type = "default"')

    label = match_label(rule, NOTHING, alert_id="0", time_ms=0, group=None, status=Standing.LEARNING)

    assert (label["building_block"], label["status"]) == (True, "learning")


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("", Standing.OPEN, True),
        ("", Standing.LEARNING, False),
        ("", Standing.SHADOW, False),
        ("", Standing.DEGRADED, False),
        ("default", Standing.OPEN, False),
    ],
)
def test_people_are_told_of_what_is_open_and_no_building_block(kind: str, status: Standing, told: bool) -> None:
    rule = rule_of_type("query", f'building_block_type = "{kind}"' if kind else "")

    label = match_label(rule, NOTHING, alert_id="0", time_ms=0, group=None, status=status)

    assert is_for_people(label) is told


def test_a_match_has_the_group_that_it_holds_back_if_there_is_one() -> None:
    grouped = rule_of_type("query", '[rule.alert_suppression]\ngroup_by = ["user.name", "host.name"]\n')

    bare = match_label(rule_of_type("query"), NOTHING, alert_id="1", time_ms=0, group=None)
    alone = match_label(grouped, NOTHING, alert_id="1", time_ms=0, group=None)
    label = match_label(grouped, NOTHING, alert_id="1", time_ms=0, group=("a\ud800", None))

    assert set(bare) == set(alone) == {"id", "status", "time", "reason", "rule"}
    assert label["suppression"] == {"fields": ["user.name", "host.name"], "values": ["a\ufffd\ufffd\ufffd", None]}
