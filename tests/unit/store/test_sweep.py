from firstseen.detect.keys import state_key
from firstseen.detect.new_terms import Sighting
from firstseen.store.base import History, RuleState, Swept
from firstseen.store.codec import pack_history, pack_memory
from firstseen.store.sweep import KEYS_AT_ONCE, LATE_MS, Sweep, kept_ms

RULE = RuleState(b"8 bytes.", "rule", "Rule", 10)
OTHER = RuleState(b"8 others", "other", "Other", 10)
KEPT = 10 + LATE_MS


def row(rule: RuleState, term: str, last_seen: int) -> tuple[bytes, bytes]:
    return state_key(rule.key, (term,)), pack_memory(Sighting(0, last_seen, 1, "e", "e"), (term,))


def begun(*rules: RuleState) -> Sweep:
    sweep = Sweep()
    sweep.begin([(rule.key, pack_history(History(rule, 0))) for rule in rules])
    return sweep


def test_a_term_is_kept_twice_as_long_as_it_can_decide_and_a_week_at_the_least() -> None:
    assert (kept_ms(0), kept_ms(10), kept_ms(3 * LATE_MS)) == (LATE_MS, KEPT, 6 * LATE_MS)


def test_what_is_over_is_found_by_its_last_sighting() -> None:
    rows = [row(RULE, "over", 100), row(RULE, "just not", 101), row(RULE, "new", 1_000)]

    assert begun(RULE).expired(rows, 101 + KEPT) == [rows[0][0]]


def test_what_a_loaded_rule_says_counts_and_not_what_is_written() -> None:
    sweep = begun(RULE)
    sweep.loaded(RuleState(RULE.key, "rule", "Rule", 3 * LATE_MS))

    assert sweep.expired([row(RULE, "x", 0)], 6 * LATE_MS) == []
    assert sweep.expired([row(RULE, "x", 0)], 6 * LATE_MS + 1) != []


def test_what_nobody_knows_the_end_of_stays() -> None:
    sweep = begun(RuleState(RULE.key, "rule", "Rule", None))
    rows = [row(RULE, "x", 0), row(OTHER, "x", 0), (state_key(RULE.key, ("y",)), b"\xc1")]

    assert sweep.expired(rows, 1 << 60) == []
    sweep.begin([(RULE.key, b"\xc1")])
    assert sweep.expired(rows, 1 << 60) == []
    sweep.loaded(RULE)
    assert sweep.expired(rows, 1 << 60) == [rows[0][0]], "and not the one that cannot be read"


def test_a_round_goes_from_page_to_page_and_begins_again() -> None:
    sweep = begun(RULE)
    page = sorted(row(RULE, str(number), 0) for number in range(KEYS_AT_ONCE))
    assert sweep.begins

    assert not sweep.passed(page, [page[0][0]])
    assert (sweep.begins, sweep.start, sweep.swept) == (False, page[-1][0] + b"\0", Swept(1, 0))
    assert sweep.passed(page[:-1], [])
    assert (sweep.begins, sweep.swept) == (True, Swept(1, 1))


def test_a_history_ends_when_no_rule_has_it_and_nothing_is_left_in_it() -> None:
    third = RuleState(b"the last", "last", "Last", None)
    sweep = begun(RULE, OTHER, third)
    rows = [row(RULE, "x", 0), row(RULE, "y", 0), row(OTHER, "x", 0)]
    sweep.passed(rows, [rows[0][0], rows[2][0]])

    assert sweep.ended(KEPT + 1) == [OTHER.key]
    assert sweep.ended(KEPT) == [], "it has only just begun"
    sweep.loaded(OTHER)
    assert sweep.ended(KEPT + 1) == []
