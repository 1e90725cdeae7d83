import json
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.matches import Moment, history_of
from firstseen.engine import Engine
from firstseen.eventfiles import Event
from firstseen.explanation import Explainer, Explanation, Outcome, RuleExplained
from firstseen.metrics import Counts
from firstseen.record.enrichment import UNENRICHED
from firstseen.rules.loader import load_rules
from firstseen.rules.ruleset import RuleSet
from firstseen.store.base import StateReader
from firstseen.store.lmdb import LmdbReader, LmdbStore
from support.rulebook import ARN, call, rule_id, rule_text

ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"
SEEN = "2026-09-21T08:00:00.000Z"

THRESHOLD = f"""
[rule]
type = "threshold"
rule_id = "{rule_id(2)}"
name = "Twice"
severity = "low"
risk_score = 21
from = "now-60m"
query = "event.action: GetCallerIdentity"
threshold = {{field = ["{ARN}"], value = 3}}
"""
QUERY = f"""
[rule]
type = "query"
rule_id = "{rule_id(3)}"
name = "Each"
severity = "low"
risk_score = 21
query = "event.action: GetCallerIdentity"
"""
SUPPRESSED = QUERY + f'alert_suppression = {{group_by = ["{ARN}"], duration = {{value = 1, unit = "h"}}}}\n'


def loaded(folder: Path, text: str, exceptions: str = "") -> RuleSet:
    (folder / "rule.toml").write_text(text)
    (folder / "exceptions").mkdir(exist_ok=True)
    if exceptions:
        (folder / "exceptions/exceptions.toml").write_text(exceptions)
    return load_rules([folder / "rule.toml"], [folder / "exceptions"], now_ms=1)


def event(record: dict[str, Any]) -> Event:
    return Event(json.dumps(record).encode(), "events.json", 1)


def moment(record: dict[str, Any]) -> Moment:
    return Moment(arrival=None, entry=0)


def explained(rules: RuleSet, record: dict[str, Any], state: StateReader | None = None) -> Explanation:
    explainer = Explainer(rules.rules, state, UNENRICHED, now_ms=1)
    (explanation,) = explainer.explain(event(record), moment(record))
    return explanation


def only_rule(rules: RuleSet, record: dict[str, Any], state: StateReader | None = None) -> RuleExplained:
    (rule,) = explained(rules, record, state).rules
    return rule


def remember(folder: Path, rules: RuleSet, *records: dict[str, Any]) -> LmdbReader:
    """A state that saw these records, as another process may look at it."""
    store = LmdbStore.open(folder, 1 << 22, durable=False)
    engine = Engine(rules, store, Counts(), lambda: 0)
    for record in records:
        store.confirm(engine.inspect(record, moment(record), event(record).digest).claims).result()
    store.close()
    return LmdbReader.open(folder)


def test_an_event_is_told_of_with_its_place_id_time_and_kind(tmp_path: Path) -> None:
    told = explained(loaded(tmp_path, rule_text()), call(ADA, "e-1")).as_json()

    assert {key: value for key, value in told.items() if key != "rules"} == {
        "source": "events.json",
        "number": 1,
        "kind": "cloudtrail",
        "id": "e-1",
        "time": SEEN,
        "action": ["GetCallerIdentity"],
        "state_given": False,
    }


def test_a_rule_that_does_not_match_is_not_asked_of_the_state(tmp_path: Path) -> None:
    rule = only_rule(loaded(tmp_path, rule_text()), call(ADA, "e-1", action="Other"))

    assert (rule.outcome, rule.answers) == (Outcome.NO_MATCH, ())
    assert [child.verdict for child in rule.query.children] == [True, False]
    assert rule.needles is not None
    assert (rule.needles.found, rule.needles.missing) == ((), ("GetCallerIdentity",))


def test_a_needle_may_be_hidden_by_escapes(tmp_path: Path) -> None:
    rules = loaded(tmp_path, rule_text())
    raw = json.dumps(call(ADA, "e-1")).replace("GetCaller", r"Get\u0043aller").encode()
    (explanation,) = Explainer(rules.rules, None, UNENRICHED, 1).explain(Event(raw, "x", 1), Moment(None, 0))

    (rule,) = explanation.rules
    assert rule.outcome is Outcome.ALERT
    assert rule.needles is not None
    assert (rule.needles.found, rule.needles.escaped) == ((), True)


def test_a_rule_without_needles_looks_at_every_record(tmp_path: Path) -> None:
    assert only_rule(loaded(tmp_path, rule_text("event.action: *")), call(ADA, "e-1")).as_json()["needles"] is None


def test_the_exception_that_applies_is_named_and_one_that_has_expired_is_not_there(tmp_path: Path) -> None:
    exceptions = f"""
[[exception]]
name = "ada"
query = '{ARN}: "{ADA}"'
[[exception]]
name = "nobody"
query = "user.name: nobody"
[[exception]]
name = "over"
query = "event.action: *"
expires = 1969-01-01
"""
    rules = loaded(tmp_path, rule_text(), exceptions)

    rule = only_rule(rules, call(ADA, "e-1"))

    assert rule.outcome is Outcome.EXCEPTED
    assert [(each.item.name, each.trace.verdict) for each in rule.exceptions] == [("ada", True), ("nobody", False)]
    assert rule.as_json()["exceptions"][0]["applies"] is True
    assert only_rule(rules, call(BOB, "e-1")).outcome is Outcome.ALERT


def test_without_a_state_it_is_as_if_nothing_was_ever_seen(tmp_path: Path) -> None:
    rule = only_rule(loaded(tmp_path, rule_text()), call(ADA, "e-1"))

    assert (rule.outcome, rule.began) == (Outcome.ALERT, None)
    assert rule.as_json()["answers"] == [{"terms": [ADA], "alerts": True, "reason": "never seen", "remembered": None}]


def test_what_is_remembered_of_terms_decides(tmp_path: Path) -> None:
    rules = loaded(tmp_path, rule_text())
    state = remember(tmp_path / "state", rules, call(ADA, "e-1"))

    known, new = (only_rule(rules, call(arn, "e-2"), state) for arn in (ADA, BOB))

    assert (known.outcome, new.outcome) == (Outcome.KNOWN, Outcome.ALERT)
    assert known.began == 0
    assert known.as_json()["answers"] == [
        {
            "terms": [ADA],
            "alerts": False,
            "reason": f"last seen {SEEN}, 0s before: no longer ago than 9d 23h",
            "remembered": {"first_seen": SEEN, "last_seen": SEEN, "count": 1, "event": "e-1"},
        }
    ]
    state.close()


def test_a_threshold_tells_how_many_are_counted_and_needed(tmp_path: Path) -> None:
    rules = loaded(tmp_path, THRESHOLD)
    one = remember(tmp_path / "one", rules, call(ADA, "e-1"))
    two = remember(tmp_path / "two", rules, call(ADA, "e-1"), call(ADA, "e-2"))

    few, enough = (only_rule(rules, call(ADA, "e-3"), state) for state in (one, two))

    assert (few.outcome, enough.outcome) == (Outcome.KNOWN, Outcome.ALERT)
    assert few.answers[0].reason == f"with this event 2 of 3 needed, since {SEEN}: not enough yet"
    assert few.as_json()["answers"][0]["remembered"] == {
        "first_seen": SEEN,
        "last_seen": SEEN,
        "count": 1,
        "event": "e-1",
        "last_alert": None,
    }
    one.close()
    two.close()


def test_a_suppression_tells_of_the_window_that_is_open(tmp_path: Path) -> None:
    rules = loaded(tmp_path, SUPPRESSED)
    state = remember(tmp_path / "state", rules, call(ADA, "e-1"))

    rule = only_rule(rules, call(ADA, "e-2"), state)

    assert rule.outcome is Outcome.KNOWN
    assert rule.as_json()["answers"][0]["remembered"] == {
        "opened": SEEN,
        "last_seen": SEEN,
        "held_back": 0,
        "event": "e-1",
    }
    state.close()


def test_a_rule_that_remembers_nothing_alerts_on_every_match(tmp_path: Path) -> None:
    rule = only_rule(loaded(tmp_path, QUERY), call(ADA, "e-1"))

    assert (rule.outcome, rule.answers) == (Outcome.ALERT, ())


@pytest.mark.parametrize("text", [rule_text(fields=["user_agent.name"]), THRESHOLD.replace(ARN, "user_agent.name")])
def test_a_match_without_a_value_to_remember_it_by_is_nothing(tmp_path: Path, text: str) -> None:
    assert only_rule(loaded(tmp_path, text), call(ADA, "e-1")).outcome is Outcome.NO_TERMS


def test_fields_that_no_such_record_can_have_are_told_of(tmp_path: Path) -> None:
    text = rule_text("event.action: GetCallerIdentity and not (source.geo.country_name: x or host.name: y)")

    rule = only_rule(loaded(tmp_path, text), call(ADA, "e-1"))

    assert rule.unavailable == {
        "host.name": "host.name is not a field of CloudTrail",
        "source.geo.country_name": rule.unavailable["source.geo.country_name"],
    }
    assert "needs" in rule.unavailable["source.geo.country_name"]
    assert only_rule(loaded(tmp_path, text), {"event": {"action": "GetCallerIdentity"}}).unavailable == {}


def test_every_event_of_a_record_is_explained(tmp_path: Path) -> None:
    record = {"Records": [call(ADA, "e-1"), call(BOB, "e-2")]}
    explainer = Explainer(loaded(tmp_path, rule_text()).rules, None, UNENRICHED, 1)

    assert [each.identity for each in explainer.explain(event(record), moment(record))] == ["e-1", "e-2"]


def test_looking_changes_nothing(tmp_path: Path) -> None:
    rules = loaded(tmp_path, THRESHOLD)
    state = remember(tmp_path / "state", rules, call(ADA, "e-1"))
    before = state.get(history_of(rules.rules[0]), (ADA,))

    for number in range(5):
        assert only_rule(rules, call(ADA, f"e-{number + 2}"), state).outcome is Outcome.KNOWN

    assert state.get(history_of(rules.rules[0]), (ADA,)) == before
    state.close()
