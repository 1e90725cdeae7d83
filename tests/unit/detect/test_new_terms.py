"""The timelines are in tests/spec/new_terms; here is what they cannot say."""

from __future__ import annotations

import math

import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting, TermsProduct, terms_product
from firstseen.model import Verdict

BEFORE = Sighting(first_seen=100, last_seen=200, count=7, event="alerted", last_event="last")


def remember(before: Sighting | None, time_ms: int, event: str, verdict: Verdict) -> Sighting:
    return NewTermsLaw(10).remember(before, Occurrence(time_ms, event), verdict)


def test_what_was_never_seen_is_remembered_from_now_on():
    assert NewTermsLaw(10).judge(None, Occurrence(500, "e")) is Verdict.NEW
    assert remember(None, 500, "e", Verdict.NEW) == Sighting(500, 500, 1, "e", "e")


@pytest.mark.parametrize(("time_ms", "verdict"), [(211, Verdict.NEW), (210, Verdict.KNOWN), (50, Verdict.KNOWN)])
def test_a_silence_makes_news(time_ms, verdict):
    assert NewTermsLaw(10).judge(BEFORE, Occurrence(time_ms, "e")) is verdict


def test_a_sighting_cannot_be_changed():
    with pytest.raises(AttributeError):
        BEFORE.count = 8  # type: ignore[misc]


@pytest.mark.parametrize("verdict", [Verdict.NEW, Verdict.AGAIN])
def test_an_alert_that_ends_the_history_becomes_its_alert(verdict):
    assert remember(BEFORE, 300, "e", verdict) == Sighting(100, 300, 8, "e", "e")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_late_event_leaves_the_events_alone(verdict):
    assert remember(BEFORE, 50, "e", verdict) == Sighting(50, 200, 8, "alerted", "last")


def test_a_known_event_leaves_the_alert_alone():
    assert remember(BEFORE, 300, "e", Verdict.KNOWN) == Sighting(100, 300, 8, "alerted", "e")


@pytest.mark.parametrize(
    ("event", "time_ms", "count"), [("alerted", 200, 7), ("last", 150, 7), ("last", 201, 8), ("other", 200, 8)]
)
def test_what_counts(event, time_ms, count):
    assert remember(BEFORE, time_ms, event, Verdict.KNOWN).count == count


def test_duplicates_are_told_apart_by_type_and_kept_in_order():
    assert terms_product([[1, True, 1.0, "1", 1, True]], 10) == TermsProduct([(1,), (True,), (1.0,), ("1",)], 0)
    kinds = [type(terms[0]) for terms in terms_product([[1, True, 1.0]], 10).terms]
    assert kinds == [int, bool, float]


def test_all_nan_are_one_value():
    terms, dropped = terms_product([[math.nan, -math.nan, 0.0, -0.0]], 10)
    assert (len(terms), dropped) == (2, 0)


def test_an_explosion_is_cut_without_being_built():
    wide = [str(number) for number in range(10_000)]
    terms, dropped = terms_product([wide, wide, wide], 5)
    assert terms == [("0", "0", str(number)) for number in range(5)]
    assert dropped == 10**12 - 5


def test_a_limit_that_is_met_exactly_drops_nothing():
    assert terms_product([["a", "b"]], 2) == TermsProduct([("a",), ("b",)], 0)
    assert terms_product([["a", "b"]], 0) == TermsProduct([], 2)
