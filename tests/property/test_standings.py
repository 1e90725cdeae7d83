"""Whatever comes, and whatever the operator says of rules, the sums add up and nobody is told too much."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstseen.detect.label import Standing
from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.metrics import Counts
from firstseen.notation import Until
from firstseen.rules.ruleset import RuleSet
from firstseen.running import Policy
from firstseen.store.lmdb import LmdbStore
from support.rulebook import rule_id, rule_set, rule_text

BEGIN_MS = 1_790_000_040_000
"""A multiple of every interval below."""

INTERVALS = {rule_id(1): 60_000, rule_id(2): 120_000, rule_id(3): 30_000}
MOST = {rule_id(1): 1, rule_id(2): 3, rule_id(3): 2}


def other_type(text: str, kind: str, more: str) -> str:
    lines = text.replace('"new_terms"', f'"{kind}"').splitlines(True)
    return "".join(line for line in lines if not line.startswith(("new_terms", "history"))) + more


def limited(number: int) -> str:
    named = rule_id(number)
    text = rule_text("event.action: Look", ["user.name"], rule_id=named)
    return text + f'max_signals = {MOST[named]}\ninterval = "{INTERVALS[named] // 1_000}s"\n'


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return rule_set(
        limited(1),
        other_type(limited(2), "query", ""),
        other_type(limited(3), "threshold", '[rule.threshold]\nfield = ["user.name"]\nvalue = 2\n'),
    )


PERIODS = st.sampled_from([0, 1, 60_000, 200_000])
PATTERNS = st.sampled_from(["*", rule_id(1), rule_id(2), rule_id(3), "none"])
ENDS = st.sampled_from([Until(True), Until("2026-09-21T14:15:00Z"), Until("2020-01-01")])
POLICIES = st.builds(
    Policy,
    PERIODS,
    st.lists(st.tuples(PATTERNS, PERIODS), max_size=2),
    st.lists(st.tuples(PATTERNS, ENDS), max_size=2),
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 20_000, 61_000]),
        st.lists(st.sampled_from("abcdefghi"), max_size=4),
        st.sampled_from(["confirm", "confirm", "release", "restart", "reload"]),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=150)
@given(policy=POLICIES, events=EVENTS)
def test_the_sums_add_up(rules: RuleSet, policy: Policy, events: list[tuple[int, list[str], str]]) -> None:
    """matches = alerts + suppressed + learning, in all and by rule, and the labels are as many as the totals say.

    Of the alerts of a rule no more than its ``max_signals`` are open in one interval of one run of the agent.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = LmdbStore.open(Path(folder), 1 << 22, durable=False)
        try:
            _play(store, rules, policy, events)
        finally:
            store.close()


def _play(store: LmdbStore, rules: RuleSet, policy: Policy, events: list[tuple[int, list[str], str]]) -> None:
    counts = Counts()
    clock = [BEGIN_MS]
    engine = Engine(rules, store, counts, lambda: clock[0], policy=policy)
    engines = [engine]
    statuses: Counter[str] = Counter()
    open_ids: dict[tuple[int, str, int], set[str]] = {}
    for number, (later_ms, users, then) in enumerate(events):
        clock[0] += later_ms
        record: dict[str, Any] = {"event": {"action": "Look", "id": f"e-{number}"}, "user": {"name": users}}
        inspection = engine.inspect(record, Moment(clock[0], clock[0]), str)
        for label in inspection.labels:
            statuses[label["status"]] += 1
            if label["status"] == Standing.OPEN:
                rule = label["rule"]["id"]
                open_ids.setdefault((len(engines), rule, clock[0] // INTERVALS[rule]), set()).add(label["id"])
        if then == "release":
            engine.release(inspection.claims)
        else:
            store.confirm(inspection.claims).result()
        if then == "reload":
            engine.use(engine.lineup(rules))
        if then == "restart":
            engine = Engine(rules, store, counts, lambda: clock[0], policy=policy)
            engines.append(engine)
        engine.tend()

    assert counts.matches == counts.alerts + counts.suppressed + counts.learning
    assert statuses[Standing.LEARNING] == counts.learning
    assert statuses[Standing.SHADOW] == counts.alerts_in_shadow
    assert statuses[Standing.DEGRADED] == counts.alerts_degraded
    assert sum(statuses.values()) - counts.learning == counts.alerts
    assert all(len(ids) <= MOST[rule] for (_, rule, _), ids in open_ids.items())
    told = [health for each in engines for health in each.health()]
    for name in ("matches", "alerts", "suppressed", "learning"):
        assert sum(getattr(health, name) for health in told) == getattr(counts, name)
    assert all(health.matches == health.alerts + health.suppressed + health.learning for health in told)
