from __future__ import annotations

import itertools
import math

from hypothesis import example, given
from hypothesis import strategies as st

from firstseen.detect.keys import alert_id, encode_terms, rule_state, state_key

# Short texts of few characters: that is where two inputs are near each other. Lone surrogates are text here.
texts = st.text(st.sampled_from("ab\0s\udcc3\udca9é\ud83d\ude00"), max_size=4) | st.text(st.characters(), max_size=8)
integers = st.integers(-3, 3) | st.integers() | st.sampled_from([2**63, 2**64, -(2**63) - 1, 255, 256, -128, -129])
scalars = st.one_of(texts, integers, st.booleans(), st.floats())
terms = st.lists(scalars, max_size=4).map(tuple)
names = st.lists(texts, max_size=3)


def same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Whether two terms are the same: by number, type and value, with -0.0 equal to 0.0 and all NaN to each other."""
    return len(one) == len(other) and all(
        type(a) is type(b)
        and (a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)))
        for a, b in zip(one, other, strict=True)
    )


@given(terms, terms)
@example((1,), (True,))
@example((0.0,), (-0.0,))
@example(("a", "b"), ("ab",))
@example(("\udcc3\udca9",), ("é",))
def test_terms_share_an_encoding_exactly_if_they_are_the_same(one, other):
    """Two tuples of terms have one encoding, and one key, if and only if they are the same terms."""
    assert (encode_terms(one) == encode_terms(other)) == same(one, other)
    assert (state_key(b"8 bytes.", one) == state_key(b"8 bytes.", other)) == same(one, other)


@given(st.lists(terms, max_size=12), st.data())
def test_no_split_of_values_can_be_forged(many, data):
    """However the same values are cut up and put together again, every different sequence encodes differently."""
    sequences = [*many, *(one + other for one, other in itertools.pairwise(many))]
    moved = data.draw(st.permutations(sequences))
    for one, other in zip(sequences, moved, strict=True):
        assert (encode_terms(one) == encode_terms(other)) == same(one, other)


@given(*([texts, texts, names, names] * 2))
def test_rules_share_a_history_exactly_if_they_mean_the_same(
    rule, query, fields, exceptions, rule2, query2, fields2, exceptions2
):
    """Two rules have one state if and only if id, query, fields in order, and the set of exceptions are the same."""
    meaning = (rule, query, fields, set(exceptions)) == (rule2, query2, fields2, set(exceptions2))
    assert (rule_state(rule, query, fields, exceptions) == rule_state(rule2, query2, fields2, exceptions2)) == meaning


@given(*([texts, terms, texts | st.binary(max_size=4)] * 2))
def test_alerts_share_an_id_exactly_if_rule_terms_and_event_are_the_same(rule, values, event, rule2, values2, event2):
    """Two alerts have one id if and only if rule id, terms and event identity are the same; text is never bytes."""
    alike = rule == rule2 and same(values, values2) and type(event) is type(event2) and event == event2
    assert (alert_id(rule, values, event) == alert_id(rule2, values2, event2)) == alike
