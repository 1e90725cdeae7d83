from __future__ import annotations

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.matches import Moment
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.model import TermValue, Verdict
from firstseen.record.view import views
from firstseen.seen import Seen, are_of_a_type
from firstseen.store.base import Claim, RuleState

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
