from __future__ import annotations

from firstseen.detect.keys import state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import SuppressionLaw, Window
from firstseen.detect.threshold import Bucket, ThresholdLaw
from firstseen.store.base import RuleState, Wanted
from firstseen.store.redis.ask import FIRST_PAUSE_S, MOST_PAUSE_S, Ask, Asking

RULE = RuleState(b"8 bytes.", "rule", "Rule")
LAW = NewTermsLaw(10)
TWICE = ThresholdLaw(2, 0, 1_000, 1_000)


def asking(*wanted: tuple[str, str, int, Law]) -> Asking:
    made = Asking(lambda _: None, lambda _: None)
    for term, event, time, law in wanted:
        made.add(Wanted(RULE, (term,), Occurrence(time, event), law))
    return made


def test_each_term_is_asked_for_once_in_the_order_of_the_keys() -> None:
    made = asking(("x", "e1", 5, LAW), ("y", "e2", 7, LAW), ("x", "e3", 9, LAW), ("x", "e4", 8, LAW))
    assert [each.key for each in made.wanted] == sorted(state_key(RULE.key, (term,)) for term in "xy")
    assert {each.terms: each.newest_ms for each in made.wanted} == {("x",): 9, ("y",): 7}


def test_a_term_is_known_if_its_newest_event_is() -> None:
    (ask,) = asking(("x", "e1", 105, LAW), ("x", "e2", 112, LAW)).wanted
    assert not ask.is_known(None)
    assert not ask.is_known(Sighting(50, 101, 3, "e", "e"))
    assert ask.is_known(Sighting(50, 102, 3, "e", "e"))


def test_what_another_law_says_is_not_told_from_what_is_at_hand() -> None:
    (ask,) = asking(("x", "e1", 105, SuppressionLaw(10))).wanted
    assert not ask.is_known(Window(100, 100, "e", 0))


def test_events_are_noted_up_to_the_first_that_is_news() -> None:
    (ask,) = asking(*(("x", f"e{number}", 100, TWICE) for number in range(3))).wanted
    memory, is_news = ask.noted(None)
    assert isinstance(memory, Bucket)
    assert (memory.events, is_news) == (1, True)


def test_one_event_counts_once_however_often_it_comes() -> None:
    (ask,) = asking(*(("x", "e1", 100, TWICE) for _ in range(1_000))).wanted
    assert len(ask._occurrences) == 1
    assert ask.noted(None)[1] is False


def test_nothing_is_noted_where_the_first_is_news() -> None:
    (ask,) = asking(("x", "e1", 105, SuppressionLaw(10))).wanted
    assert ask.noted(None) == (None, True)
    assert ask.noted(Window(100, 100, "e", 0)) == (Window(100, 105, "e", 1), False)


def test_who_is_refused_asks_for_the_first_only_and_waits_longer_each_time() -> None:
    made = asking(("x", "e1", 5, LAW), ("y", "e2", 7, LAW))
    made.missing = made.wanted
    assert list(made.next) == made.missing
    pauses = []
    for _ in range(5):
        made.refused = True
        made.wait(100.0)
        pauses.append(made.due_s - 100.0)
        assert list(made.next) == made.missing[:1]
    assert pauses[0] < pauses[1] < MOST_PAUSE_S + 1e-9
    assert abs(pauses[-1] - MOST_PAUSE_S) < 1e-9
    made.wait(100.0)
    assert made.due_s == 100.0
    assert list(made.next) == made.missing
    made.refused = True
    made.wait(100.0)
    assert abs(made.due_s - 100.0 - FIRST_PAUSE_S) < 1e-9


def test_an_ask_keeps_no_events_that_its_law_does_not_need() -> None:
    ask = Ask(b"key", ("x",), LAW, 1)
    ask.add(Occurrence(3, "e"))
    assert (ask.newest_ms, ask._occurrences) == (3, {})
