"""Our laws, event by event, against runs over everything, as Elasticsearch does them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstseen.detect import threshold
from firstseen.detect.law import NEVER, Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import SuppressionLaw
from firstseen.detect.threshold import Bucket, ThresholdLaw
from firstseen.model import Verdict
from support.runs import Document, NewTermsRuns, ThresholdRuns, runs

STREAMS = 500

FINE = 2
"""Events happen at even moments, and runs at every one: so there is always a run between two events."""


def stream(chance: random.Random, events: int, most_apart: int, *, apart: int = 0) -> list[Document]:
    """Events in order, ``apart`` at least; few keys, few values, and times that often meet the edges of a run."""
    documents: list[Document] = []
    time = chance.randrange(1, 20)
    for number in range(events):
        time += max(apart, chance.choice((0, 1, 1, 2, 3, most_apart, chance.randrange(1, most_apart + 1))))
        values = tuple(chance.sample("pqrs", chance.randrange(0, 3)))
        documents.append(Document(f"e{number}", time, chance.choice("aab"), values))
    return documents


def alerting(law: Law[Sighting] | Law[Bucket], documents: Sequence[Document]) -> list[Document]:
    """The documents that our law alerts on, taken one by one as they arrive."""
    memories: dict[str, object] = {}
    found = []
    for document in documents:
        before = memories.get(document.key)
        occurrence = Occurrence(document.time, document.id, document.values)
        verdict = law.judge(before, occurrence)  # type: ignore[arg-type]
        memories[document.key] = law.remember(before, occurrence, verdict)  # type: ignore[arg-type]
        if verdict is not Verdict.KNOWN:
            found.append(document)
    return found


@pytest.mark.parametrize("most", [1, threshold.MOST_MARKS])
@pytest.mark.parametrize("part", range(5))
def test_a_threshold_alerts_where_the_runs_do(part: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, the same buckets alert for the same runs, whatever the numbers of the rule are, and few are kept."""
    monkeypatch.setattr(threshold, "MOST_MARKS", most)
    total = 0
    for seed in range(part * STREAMS // 5, (part + 1) * STREAMS // 5):
        chance = random.Random(seed)
        interval = chance.choice((3, 5, 8))
        look_back = interval + chance.randrange(0, 12)
        events, distinct = chance.randrange(1, 6), chance.choice((0, 0, 1, 2, 3, 4))
        documents = stream(chance, 60, 2 * interval)
        model = ThresholdRuns(events, distinct, look_back, interval)
        for now in runs(interval, documents[-1].time):
            model.run(now, documents)

        found = alerting(ThresholdLaw(events, distinct, look_back, interval), documents)

        at_runs = sorted((-(-document.time // interval) * interval, document.key) for document in found)
        assert at_runs == model.alerts, f"seed {seed}"
        total += len(found)
    assert total > STREAMS


@pytest.mark.parametrize("part", range(5))
def test_new_terms_alert_where_frequent_runs_do(part: int) -> None:
    """In order, and with runs at every moment, the same documents alert: the limit that the law is."""
    total = 0
    for seed in range(part * STREAMS // 5, (part + 1) * STREAMS // 5):
        chance = random.Random(seed)
        look_back = FINE * chance.randrange(2, 6)
        window = look_back + FINE * chance.randrange(1, 40)
        documents = [
            replace(document, time=FINE * document.time) for document in stream(chance, 40, window // FINE, apart=1)
        ]
        model = NewTermsRuns(window, look_back, 1)
        for now in range(documents[-1].time + look_back + 1):
            model.run(now, documents)

        found = alerting(NewTermsLaw(window - look_back), documents)

        assert {(document.id, document.key) for document in found} == model.alerts, f"seed {seed}"
        total += len(found)
    assert total > STREAMS


@pytest.mark.parametrize("part", range(5))
def test_new_terms_that_come_late_miss_nothing(part: int) -> None:
    """Late by a quarter of the look-back at most, nothing is missed, and one alert in two hundred is one too many.

    Elasticsearch may alert once more, on an event that happened before the one it alerted on and came behind it. An
    event that came late after nearly a whole silence is history to its last run, and news here.
    """
    total = extra = 0
    for seed in range(part * STREAMS // 5, (part + 1) * STREAMS // 5):
        chance = random.Random(seed)
        look_back = FINE * chance.randrange(4, 9)
        window = 20 * look_back
        documents = [
            replace(document, time=FINE * document.time, late=FINE * chance.choice((0, 0, 1, look_back // 8)))
            for document in stream(chance, 40, window // FINE, apart=1)
        ]
        arrived = sorted(documents, key=lambda document: document.arrival)
        model = NewTermsRuns(window, look_back, 1)
        for now in range(arrived[-1].arrival + look_back + 1):
            model.run(now, documents)

        found = {(document.id, document.key) for document in alerting(NewTermsLaw(window - look_back), arrived)}

        surplus = model.alerts - found
        first = {document.id: document for document in documents}
        for document_id, key in surplus:  # each happened before an alert of ours on that key, which it came behind
            late = first[document_id]
            assert any(
                late.time < first[other].time <= late.time + look_back and late.arrival >= first[other].arrival
                for other, other_key in found
                if other_key == key
            ), f"seed {seed}"
        total += len(found)
        extra += len(found - model.alerts)
    assert total > STREAMS
    assert extra <= total // 200


LAWS: list[Law[Any]] = [NewTermsLaw(6), SuppressionLaw(6), ThresholdLaw(3, 2, 9, 4, 5)]
TIMES = st.integers(0, 40)
OCCURRENCES = st.builds(
    Occurrence, TIMES, st.sampled_from(["e1", "e2", "e3", "e4"]), st.sampled_from([(), ("p",), ("q",)])
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@given(before=st.lists(OCCURRENCES, min_size=1, max_size=6), known=st.lists(OCCURRENCES, max_size=6))
def test_several_that_are_known_are_remembered_as_each_by_itself(
    law: Law[Any], before: list[Occurrence], known: list[Occurrence]
) -> None:
    memory: Any = None
    for occurrence in before:
        memory = law.remember(memory, occurrence, law.judge(memory, occurrence))
    one_by_one = memory
    for occurrence in known:
        one_by_one = law.remember(one_by_one, occurrence, Verdict.KNOWN)
    assert law.remember_known(memory, known) == one_by_one


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@given(before=st.lists(OCCURRENCES, min_size=1, max_size=6), later=st.lists(OCCURRENCES, max_size=6))
def test_what_is_said_to_be_known_is_known(law: Law[Any], before: list[Occurrence], later: list[Occurrence]) -> None:
    """Up to that time, whatever came in between that was known too."""
    memory: Any = None
    for occurrence in before:
        memory = law.remember(memory, occurrence, law.judge(memory, occurrence))
    until_ms = law.known_until_ms(memory)
    for occurrence in later:
        if occurrence.time_ms <= until_ms:
            assert law.judge(memory, occurrence) is Verdict.KNOWN
            memory = law.remember(memory, occurrence, Verdict.KNOWN)


def test_of_terms_and_groups_it_is_said_and_of_counts_it_cannot_be() -> None:
    memories = [law.remember(None, Occurrence(10, "e1"), Verdict.NEW) for law in LAWS]
    assert [law.known_until_ms(memory) for law, memory in zip(LAWS, memories, strict=True)] == [16, 16, NEVER]
