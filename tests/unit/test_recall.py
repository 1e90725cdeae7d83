"""That what is recalled is what would be found is a property (tests/property/test_alike.py)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.errors import StoreError
from firstseen.record.instant import iso
from firstseen.rules.alike import Asked
from firstseen.seen import Earlier
from firstseen.store.base import Claim
from support.engines import ADA, DAY_MS, NOW_MS, Fixture
from support.rulebook import ARN, call, rule_id, rule_set, rule_text, with_predicate


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Fixture]:
    fixture = Fixture(tmp_path / "state")
    yield fixture
    fixture.store.close()


def test_what_is_no_news_is_told_at_a_glance(state: Fixture) -> None:
    engine = state.engine(rule_text())
    asked = engine.rules.some([(0,)])
    raw = msgpack.packb(call(ADA, "e-1"))

    first = engine.recall.glance(raw, asked, NOW_MS, {})
    assert (list(first.rules or ()), list(first.claims)) == (list(engine.rules.rules), [])
    assert len(state.look(engine, call(ADA, "e-1"), first.likeness)) == 1

    earlier: Earlier = {}
    second = engine.recall.glance(msgpack.packb(call(ADA, "e-2")), asked, NOW_MS + 1, earlier)
    third = engine.recall.glance(msgpack.packb(call(ADA, "e-3")), asked, NOW_MS + 2, earlier)
    assert (second.rules, third.rules, len(second.claims), len(third.claims)) == ((), (), 1, 0)
    state.store.confirm(second.claims).result()
    (entry,) = state.store.entries()
    assert (entry.memory.last_seen, entry.memory.count) == (NOW_MS + 2, 3)  # type: ignore[union-attr]
    assert (state.counts.matches, state.counts.alerts, state.counts.suppressed) == (3, 1, 2)


def test_what_is_news_has_to_be_looked_at(state: Fixture) -> None:
    engine = state.engine(rule_text())
    asked = engine.rules.some([(0,)])
    first = engine.recall.glance(msgpack.packb(call(ADA, "e-1")), asked, NOW_MS, {})
    state.look(engine, call(ADA, "e-1"), first.likeness)

    later = engine.recall.glance(msgpack.packb(call(ADA, "e-2")), asked, NOW_MS + 11 * DAY_MS, {})

    assert list(later.rules or ()) == list(engine.rules.rules)
    assert (list(later.claims), later.likeness) == ([], None)
    assert (first.certain, later.certain) == (False, True)
    assert state.counts.matches == 1


def test_what_a_rule_fails_on_is_not_learned(state: Fixture) -> None:
    def fails(_: object) -> bool:
        raise ZeroDivisionError

    (rule,) = rule_set(rule_text()).rules
    engine = state.running(with_predicate(rule, fails))
    asked = engine.rules.some([(0,)])

    for number in range(2):
        glanced = engine.recall.glance(msgpack.packb(call(ADA, "e-1")), asked, NOW_MS, {})
        state.look(engine, call(ADA, "e-1"), glanced.likeness)
        assert state.counts.rule_errors == number + 1


def test_claims_given_back_when_the_state_fails_at_a_glance(state: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [rule_text(rule_id=rule_id(1)), rule_text(rule_id=rule_id(2))]
    engine = state.engine(*rules)
    asked = engine.rules.some([(0, 1)])
    glanced = engine.recall.glance(msgpack.packb(call(ADA, "e-1")), asked, NOW_MS, {})
    state.look(engine, call(ADA, "e-1"), glanced.likeness)
    claim, left = state.store.claim, [1]

    def fails(*arguments: Any) -> Claim:
        if not left:
            raise StoreError("no room")
        left.pop()
        return claim(*arguments)

    monkeypatch.setattr(state.store, "claim", fails)
    with pytest.raises(StoreError, match="no room"):
        engine.recall.glance(msgpack.packb(call(ADA, "e-2")), asked, NOW_MS + 1, {})
    assert sum(each.tally.matches for each in engine.running()) == state.counts.matches == 3
    monkeypatch.undo()
    state.store.confirm(engine.recall.glance(msgpack.packb(call(ADA, "e-3")), asked, NOW_MS + 2, {}).claims).result()
    assert [entry.memory.count for entry in state.store.entries()] == [2, 2]  # type: ignore[union-attr]


def test_a_record_that_is_recalled_may_be_late_too(state: Fixture) -> None:
    text = rule_text().replace('"event.ingested"', '"@timestamp"')
    engine = state.engine(text)
    asked = engine.rules.some([(0,)])
    assert asked is not None
    packed = msgpack.packb(call(ADA, "e-1"))
    seen_ms = 1_789_977_600_000
    for number in range(3):
        glanced = engine.recall.glance(memoryview(packed), asked, seen_ms + 12 * DAY_MS, {})
        state.store.confirm(glanced.claims).result()
        if glanced.rules:
            moment = Moment(seen_ms + 12 * DAY_MS, seen_ms)
            inspection = engine.inspect(call(ADA, "e-1"), moment, str, "auto", glanced, {})
            state.store.confirm(inspection.claims).result()
        assert state.counts.records_late == number + 1
    assert state.counts.matches == 3


def test_a_record_that_is_recalled_did_not_happen_after_it_came(state: Fixture) -> None:
    engine = state.engine(rule_text().replace('"event.ingested"', '"@timestamp"'))
    asked = engine.rules.some([(0,)])
    assert asked is not None
    record = call(ADA, "e-1")
    record["eventTime"] = "2126-01-01T00:00:00Z"
    for arrival in (NOW_MS, NOW_MS + 1, NOW_MS + 2):
        glanced = engine.recall.glance(memoryview(msgpack.packb(record)), asked, arrival, {})
        inspection = engine.inspect(record, Moment(arrival, arrival), str, "auto", glanced, {})
        state.store.confirm([*glanced.claims, *inspection.claims]).result()
        assert bool(glanced.rules) is (arrival == NOW_MS), "the second is recalled"
        assert [entry.memory.last_seen for entry in state.store.entries()] == [arrival]


@pytest.mark.parametrize("clock", ["@timestamp", "event.ingested"])
def test_a_record_is_late_once_where_a_glance_tells_it_of_one_rule_and_a_look_of_the_next(
    state: Fixture, clock: str
) -> None:
    """To the second rule it is news each time, and by its arrival never late."""
    first = rule_text(rule_id=rule_id(1), window="now-10d").replace('"event.ingested"', '"@timestamp"')
    second = rule_text(rule_id=rule_id(2), window="now-5d").replace('"event.ingested"', f'"{clock}"')
    engine = state.engine(first, second)
    asked = engine.rules.some([(0, 1)])
    assert asked is not None
    left = []
    for number in range(4):
        happened_ms = 1_789_977_600_000 + number * 6 * DAY_MS
        record = {**call(ADA, f"e-{number}"), "eventTime": iso(happened_ms)}
        moment = Moment(happened_ms + 12 * DAY_MS, happened_ms)
        glanced = engine.recall.glance(msgpack.packb(record), asked, moment.arrival, {})
        state.store.confirm(glanced.claims).result()
        left.append([rule.id for rule in glanced.rules or ()])
        state.store.confirm(engine.inspect(record, moment, str, "auto", glanced, {}).claims).result()
        assert state.counts.records_late == number + 1
    assert left == [[rule_id(1), rule_id(2)], *[[rule_id(2)]] * 3]
    assert state.counts.matches == 8


def learned(state: Fixture, engine: Engine, record: dict[str, Any]) -> Asked:
    """All rules, which have been shown such a record."""
    asked = engine.rules.some([tuple(range(len(engine.rules.rules)))])
    assert asked is not None
    glanced = engine.recall.glance(msgpack.packb(record), asked, NOW_MS, {})
    state.look(engine, record, glanced.likeness)
    return asked


def test_what_will_be_claimed_is_told_by_what_is_known_of_such_records(state: Fixture) -> None:
    by_arrival = rule_text(rule_id=rule_id(1))
    by_event = rule_text(fields=[ARN, "event.provider"], rule_id=rule_id(2)).replace('"event.ingested"', '"@timestamp"')
    lawless = rule_text("event.action: GetCallerIdentity", rule_id=rule_id(3)).replace('"new_terms"', '"query"')
    engine = state.engine(by_arrival, by_event, lawless)
    record = call(ADA, "e-1")
    asked = engine.rules.some([(0, 1, 2)])
    assert asked is not None
    assert asked.glances is not None
    seen = asked.glances.at(msgpack.packb(record))
    assert seen is not None
    assert engine.recall.wanted(seen, asked, NOW_MS) is None, "nobody has looked at such a one"
    learned(state, engine, record)

    wanted = engine.recall.wanted(seen, asked, NOW_MS)

    assert wanted is not None
    assert [(each.rule.rule_id, each.terms, each.occurrence) for each in wanted] == [
        (rule_id(1), (ADA,), Occurrence(NOW_MS, "e-1")),
        (rule_id(2), (ADA, "sts.amazonaws.com"), Occurrence(1_789_977_600_000, "e-1")),
    ]
    assert [each.law for each in wanted] == [engine.recall.running[each.rule.rule_id].law for each in wanted]


@pytest.mark.parametrize("odd", [{"eventTime": "?"}, {"requestParameters": {"a": "b"}}])
def test_what_is_not_known_of_such_records_has_to_be_found_out(state: Fixture, odd: dict[str, Any]) -> None:
    fields = [ARN, "aws.cloudtrail.request_parameters"] if "requestParameters" in odd else [ARN]
    engine = state.engine(rule_text(fields=fields).replace('"event.ingested"', '"@timestamp"'))
    record = call(ADA, "e-1") | odd
    asked = learned(state, engine, record)
    assert asked.glances is not None
    seen = asked.glances.at(msgpack.packb(record))
    assert seen is not None

    assert engine.recall.wanted(seen, asked, NOW_MS) is None
