from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.store.base import Entry, History, RuleState
from firstseen.store.exchange import read_lines, write_lines
from firstseen.store.lmdb import LmdbStore
from firstseen.store.merge import merged
from property.test_codec import buckets, plain, scalars, sightings, texts, times, windows

# Few different values: that is where two things are the same in one part and not in another.
few = st.integers(0, 3)
words = st.sampled_from(["a", "b"])
alike = st.one_of(
    st.tuples(*[st.builds(Sighting, few, few, few, words, words)] * 3),
    st.tuples(*[st.builds(Window, few, few, words, few)] * 3),
    st.tuples(*[buckets()] * 3),
)
keys = st.binary(min_size=8, max_size=8)
rules = st.builds(RuleState, keys, texts, texts, st.none() | times)
entries = st.one_of(
    st.builds(
        Entry, st.binary(min_size=8, max_size=8), st.lists(scalars, min_size=1, max_size=3).map(tuple), sightings
    ),
    st.builds(
        Entry,
        keys,
        st.lists(st.none() | scalars, max_size=3).map(tuple),
        windows | buckets(),
    ),
)
states = st.lists(
    st.builds(
        Entry,
        st.just(b"8 bytes."),
        st.sampled_from([("x",), ("y",), ("x", 1)]),
        st.builds(Sighting, few, few, few, words, words),
    ),
    max_size=5,
)


@given(alike)
def test_merging_is_commutative_associative_and_idempotent(memories):
    """In whatever order and however often memories are merged, what comes of it is the same."""
    one, two, three = memories
    assert merged(one, two) == merged(two, one)
    assert merged(merged(one, two), three) == merged(one, merged(two, three))
    assert merged(one, one) == one
    assert merged(merged(one, two), two) == merged(one, two)


@given(st.lists(st.builds(History, rules, times), max_size=3), st.lists(entries, max_size=5))
def test_an_exported_state_comes_back(histories, remembered):
    """Whatever a state can hold is the same after its export and import, types included; each line is plain JSON."""
    lines = [line.encode("ascii") for line in write_lines(histories, remembered)]
    back = list(read_lines(lines, "state"))
    assert back[: len(histories)] == histories
    assert [(entry.rule_key, entry.memory) for entry in back[len(histories) :]] == [
        (entry.rule_key, entry.memory) for entry in remembered
    ]
    for here, there in zip(back[len(histories) :], remembered, strict=True):
        assert list(map(plain, here.terms)) == list(map(plain, there.terms))
    for line in lines:
        assert json.loads(line, parse_constant=lambda word: word + " is no JSON")


@settings(max_examples=20, deadline=None)
@given(states, states)
def test_two_states_become_one_in_either_order(here, there):
    """Two collectors' states merged into either of them are the same, once or twice."""
    held = []
    for order in ([here, there], [there, here], [here, there, here]):
        with tempfile.TemporaryDirectory() as folder:
            store = LmdbStore.open(Path(folder), 1 << 20, durable=False)
            for state in order:
                store.absorb([], state)
            held.append(list(store.entries()))
            store.close()
    assert held[0] == held[1] == held[2]
