from firstseen.backfill.gathering import UNDATED, Gatherer, Span, add_to
from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.model import Verdict
from firstseen.store.base import Entry, RuleState

RULE = RuleState(b"12345678", "r-1", "A rule")
LAW = NewTermsLaw(100)


def claim(gatherer: Gatherer, time_ms: int, event: str, term: str | bool = "ada") -> Verdict:
    return gatherer.claim(RULE, (term,), Occurrence(time_ms, event), LAW).verdict


def test_the_earliest_is_the_first_and_the_latest_the_last() -> None:
    gatherer = Gatherer({"r-1": Span(0, 100)})

    verdicts = [claim(gatherer, time, event) for time, event in ((20, "b"), (10, "a"), (30, "c"))]

    assert verdicts == [Verdict.KNOWN] * 3, "nothing alerts"
    assert gatherer.take() == {state_key(RULE.key, ("ada",)): Entry(RULE.key, ("ada",), Sighting(10, 30, 3, "a", "c"))}
    assert gatherer.take() == {}


def test_values_that_python_takes_for_equal_are_different_terms() -> None:
    gatherer = Gatherer({"r-1": Span(0, 100)})

    for term in ("1", True):
        claim(gatherer, 1, "a", term)

    assert len(gatherer) == len(gatherer.take()) == 2


def test_what_is_outside_of_the_span_or_without_a_time_is_counted() -> None:
    gatherer = Gatherer({"r-1": Span(10, 20)})

    for time in (9, 10, 19, 20, UNDATED):
        claim(gatherer, time, "e")

    ((_, entry),) = gatherer.take().items()
    assert entry.memory == Sighting(10, 19, 2, "e", "e")
    assert (gatherer.outside, gatherer.undated) == (2, 1)


def test_a_rule_is_kept_for_whoever_fills_its_history() -> None:
    gatherer = Gatherer({})

    assert gatherer.register([RULE], 7) == [7]
    assert gatherer.registered == [RULE]
    assert list(gatherer.rules()) == []


def test_entries_are_added_under_their_key() -> None:
    found: dict[bytes, Entry] = {}

    for time in (5, 3):
        add_to(found, b"k", Entry(b"r", ("ada",), Sighting(time, time, 1, f"e-{time}", f"e-{time}")))

    assert found == {b"k": Entry(b"r", ("ada",), Sighting(3, 5, 2, "e-3", "e-5"))}


def test_a_later_event_is_gathered_with_the_claim_before() -> None:
    gatherer = Gatherer({"r-1": Span(0, 100)})
    claimed = gatherer.claim(RULE, ("ada",), Occurrence(10, "a"), LAW)

    assert gatherer.extend(claimed, Occurrence(30, "c"))
    assert gatherer.extend(claimed, Occurrence(100, "d")), "and is not looked at"

    assert gatherer.take() == {state_key(RULE.key, ("ada",)): Entry(RULE.key, ("ada",), Sighting(10, 30, 2, "a", "c"))}
    assert gatherer.outside == 1
