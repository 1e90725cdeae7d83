from __future__ import annotations

import pytest
from msgspec.structs import replace

from firstseen.detect.law import Occurrence
from firstseen.detect.matches import Moment
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.model import TermValue, Verdict
from firstseen.record.view import views
from firstseen.rules.alike import Likeness, Match
from firstseen.rules.rule import Cardinality, NewTerms, Threshold
from firstseen.seen import Seen, are_of_a_type, learn
from firstseen.store.base import Claim, RuleState
from support.rulebook import rule_set, rule_text

RULE = RuleState(b"8 bytes.", "rule", "Rule")


def seen(record: dict[str, object]) -> Seen:
    (view,) = views(record, "ecs")
    return Seen(view, Moment(arrival=7, entry=5), "e-1", [], [], None)


def claim(*, alone: bool) -> Claim:
    return Claim(RULE, ("x",), Occurrence(1, "e-1"), NewTermsLaw(10), Verdict.NEW, None, alone)


def test_an_event_happened_when_it_says_or_when_its_entry_does() -> None:
    assert seen({"@timestamp": "1970-01-01T00:00:03Z", "event": {"action": "x"}}).time_ms == 3_000
    assert seen({"event": {"action": "x"}}).time_ms == 5


@pytest.mark.parametrize(("claims", "alone"), [([False], False), ([False, True], True), ([], False)])
def test_an_alert_says_where_its_agent_was_alone(claims: list[bool], alone: bool) -> None:
    event = seen({"event": {"action": "x"}})
    event.add({"id": "1"}, *(claim(alone=each) for each in claims))
    assert event.labels == [{"id": "1", "alone": True} if alone else {"id": "1"}]


@pytest.mark.parametrize(
    ("terms", "others", "same"),
    [((1, "a"), (1, "a"), True), ((1,), (True,), False), ((1.0,), (1,), False), ((), (), True)],
)
def test_equal_terms_of_two_types_are_two(terms: list[TermValue], others: list[TermValue], same: bool) -> None:
    assert are_of_a_type(terms, others) is same


def test_what_is_learned_of_an_event_are_the_texts_under_which_it_is_a_sighting() -> None:
    plain, counting, veiled, many, number = (
        replace(rule, kind=kind)
        for rule in rule_set(rule_text()).rules
        for kind in (
            NewTerms(("user.name",), "10d", 1, 1),
            Threshold(("user.name",), 3, Cardinality("event.action", 2)),
            NewTerms(("user.name",), "10d", 1, 1),
            NewTerms(("user.roles",), "10d", 1, 1),
            NewTerms(("process.pid",), "10d", 1, 1),
        )
    )
    likeness = Likeness({}, "kind", frozenset({veiled}))
    record = {"event": {"action": "x"}, "user": {"name": "ada", "roles": ["a", "b"]}, "process": {"pid": 7}}

    learn(likeness, seen(record).view, [plain, counting, veiled, many, number])

    assert likeness.known == {
        "kind": [
            Match(plain, ("ada",)),
            Match(counting, ("ada",), ("x",)),
            Match(veiled, None),
            Match(many, None),
            Match(number, None),
        ]
    }
