from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import SuppressionLaw
from firstseen.detect.threshold import ThresholdLaw
from firstseen.store.base import Entry, History, RuleState
from firstseen.store.lmdb import LmdbStore
from firstseen.store.sweep import LATE_MS, kept_ms

DAY = 86_400_000
spans = st.integers(1, 40).map(lambda days: days * DAY // 4)
laws = st.one_of(
    st.builds(NewTermsLaw, spans),
    st.builds(SuppressionLaw, spans),
    st.builds(ThresholdLaw, st.integers(1, 3), st.integers(0, 2), spans, spans, st.just(0) | spans),
)
events = st.builds(
    Occurrence, st.integers(0, 40 * DAY), st.sampled_from(["e1", "e2", "e3"]), st.tuples(st.sampled_from(["a", "b"]))
)


@given(laws, st.lists(events, min_size=1, max_size=6), st.integers(1, 100 * DAY), st.integers(0, LATE_MS))
def test_what_is_forgotten_would_have_decided_nothing(law: Law[Any], past, after, late) -> None:
    """Behind the time for which it is kept, no event finds another verdict for it, be it up to a week late."""
    memory = None
    for occurrence in past:
        memory = law.remember(memory, occurrence, law.judge(memory, occurrence))
    now = memory.last_seen + kept_ms(law.reach_ms) + after
    for event in ("another", past[-1].event):
        occurrence = Occurrence(now - late, event, ("c",))
        assert law.judge(memory, occurrence) is law.judge(None, occurrence)


terms = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.integers(0, 9)), st.integers(0, 60).map(lambda days: days * DAY), max_size=12
)
reaches = st.fixed_dictionaries({rule: st.none() | spans for rule in "abc"})


@settings(max_examples=30, deadline=None)
@given(terms, reaches, st.integers(0, 90).map(lambda days: days * DAY), st.sets(st.integers(0, 9), max_size=4))
def test_nothing_is_forgotten_before_its_time_or_while_it_is_on_its_way(last_seen, reaches, now, claimed) -> None:
    """A round forgets what is over, all of it, and never what is not, nor a term with a claim that is not settled."""
    rules = {name: RuleState(name.encode() * 8, name, name, reach) for name, reach in reaches.items()}
    remembered = {
        (rules[name].key, (number,)): Sighting(0, time, 1, "e", "e") for (name, number), time in last_seen.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        store = LmdbStore.open(Path(folder), 1 << 20, durable=False)
        store.absorb(
            [History(rule, now) for rule in rules.values()], [Entry(*key, of) for key, of in remembered.items()]
        )
        claims = [store.claim(rules["a"], (number,), Occurrence(now, "new"), NewTermsLaw(1)) for number in claimed]
        while not store.swept.rounds:
            store.prune(now).result(60)
        left = {(entry.rule_key, entry.terms) for entry in store.entries()}
        pruned = store.swept.pruned
        store.release(claims)
        assert len(list(store.rules())) == len(rules)
        store.close()
    on_their_way = {(rules["a"].key, (number,)) for number in claimed}
    by_key = {rule.key: rule.reach_ms for rule in rules.values()}
    over = {
        key
        for key, memory in remembered.items()
        if by_key[key[0]] is not None and now - memory.last_seen > kept_ms(by_key[key[0]])
    }
    assert left == remembered.keys() - (over - on_their_way)
    assert pruned == len(over - on_their_way)
