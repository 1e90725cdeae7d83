import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from firstseen.detect.matches import MAX_TERMS, Moment
from firstseen.record.instant import iso
from firstseen.rules.rule import Cardinality, EveryMatch, Kind, Rule, Suppression, Threshold
from firstseen.rules.ruleset import RuleSet
from firstseen.store.lmdb import LmdbStore
from support.engines import ADA, DAY_MS, LIVE, NOW_MS, PAST, Fixture, document
from support.logged import events
from support.rulebook import ARN, rule_id, rule_set, rule_text, with_predicate


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Fixture]:
    fixture = Fixture(tmp_path / "state")
    yield fixture
    fixture.store.close()


def test_every_combination_of_terms_is_a_sighting_of_its_own(state: Fixture) -> None:
    engine = state.engine(rule_text("event.action: Look", ["user.name", "host.name"]))
    first = document(user={"name": ["a", "b"]}, host={"name": "h"})
    second = document(user={"name": ["b", "c"]}, host={"name": ["h", "i"]})

    assert state.labels(engine, first, LIVE) == [["a", "h"], ["b", "h"]]
    assert state.labels(engine, second, LIVE) == [["b", "i"], ["c", "h"], ["c", "i"]]
    assert (state.counts.matches, state.counts.alerts, state.counts.suppressed) == (6, 5, 1)


def test_a_missing_term_is_no_sighting(state: Fixture) -> None:
    engine = state.engine(rule_text("event.action: Look", ["user.name", "host.name"]))

    assert state.labels(engine, document(user={"name": "a"}), LIVE) == []
    assert state.counts.matches == 0


def test_two_rules_do_not_share_their_memory(state: Fixture) -> None:
    engine = state.engine(
        rule_text("event.action: Look", ["user.name"], rule_id=rule_id(1)),
        rule_text("event.action: L*", ["user.name"], rule_id=rule_id(2)),
    )

    assert state.labels(engine, document(user={"name": "a"}), LIVE) == [["a"], ["a"]]


def test_a_changed_rule_starts_anew(state: Fixture) -> None:
    record = document(user={"name": "a"})
    state.labels(state.engine(rule_text("event.action: Look", ["user.name"])), record, LIVE)

    changed = state.engine(rule_text("event.action: (Look or See)", ["user.name"]))

    assert state.labels(changed, record, LIVE) == [["a"]]


def test_live_records_go_by_their_arrival_and_past_ones_by_their_own_time(state: Fixture) -> None:
    rule = rule_text("event.action: Look", ["user.name"])
    old = document(user={"name": "a"}, **{"@timestamp": "2026-01-01T00:00:00Z"})
    late = document(user={"name": "a"}, **{"@timestamp": "2026-02-01T00:00:00Z"})
    engine = state.engine(rule)

    assert state.labels(engine, old, PAST) == [["a"]]
    assert state.labels(engine, late, PAST) == [["a"]]
    assert state.labels(engine, old, LIVE) == [["a"]]
    assert state.labels(engine, late, Moment(NOW_MS + DAY_MS, NOW_MS)) == []


def test_an_ingest_time_in_the_record_goes_before_the_arrival(state: Fixture) -> None:
    engine = state.engine(rule_text("event.action: Look", ["user.name"]))

    def ingested(day: int) -> dict[str, Any]:
        record = document(user={"name": "a"})
        record["event"]["ingested"] = f"2026-03-{day:02d}T00:00:00Z"
        return record

    assert [state.labels(engine, ingested(day), LIVE) for day in (1, 9, 20, 12)] == [[["a"]], [], [["a"]], []]


def test_a_rule_without_an_override_goes_by_the_event_time(state: Fixture) -> None:
    rule = rule_text("event.action: Look", ["user.name"]).replace('timestamp_override = "event.ingested"\n', "")
    engine = state.engine(rule)
    days = ["2026-01-01", "2026-01-05", "2026-01-20"]
    records = [document(user={"name": "a"}, **{"@timestamp": f"{day}T00:00:00Z"}) for day in days]

    assert [state.labels(engine, record, LIVE) for record in records] == [[["a"]], [], [["a"]]]


def test_a_clock_that_is_ahead_mutes_nobody_who_comes_later(state: Fixture) -> None:
    rule = rule_text("event.action: Look", ["user.name"]).replace('timestamp_override = "event.ingested"\n', "")
    engine = state.engine(rule)
    ahead = document(user={"name": "a"}, **{"@timestamp": "2126-01-01T00:00:00Z"})
    undated = document(user={"name": "a"})

    assert state.labels(engine, ahead, LIVE) == [["a"]]
    assert state.labels(engine, undated, Moment(NOW_MS + DAY_MS, NOW_MS + DAY_MS)) == []
    assert state.labels(engine, undated, Moment(NOW_MS + 20 * DAY_MS, NOW_MS + 20 * DAY_MS)) == [["a"]]


def test_events_without_an_id_are_known_by_their_digest_and_place(state: Fixture) -> None:
    engine = state.engine(rule_text(fields=["aws.cloudtrail.user_identity.arn"]))
    event = {
        "eventSource": "sts.amazonaws.com",
        "eventName": "GetCallerIdentity",
        "userIdentity": {"arn": ADA},
    }

    inspection = engine.inspect({"Records": [event, event]}, LIVE, lambda: "digest")

    assert [claim.occurrence.event for claim in inspection.claims] == ["digest", "digest/1"]
    assert len(inspection.labels) == 1


def test_too_many_combinations_are_counted(state: Fixture) -> None:
    engine = state.engine(rule_text("event.action: Look", ["user.name"]))
    record = document(user={"name": [f"u{number}" for number in range(MAX_TERMS + 5)]})

    assert len(state.labels(engine, record, LIVE)) == MAX_TERMS
    assert state.counts.terms_dropped == 5


def test_a_rule_that_fails_on_a_record_does_not_stop_the_others(state: Fixture) -> None:
    engine = state.engine(
        rule_text("event.action: Look", ["user.name"], rule_id=rule_id(1)),
        rule_text("event.action: L*", ["user.name"], rule_id=rule_id(2)),
    )
    broken, sound = engine.rules.rules
    engine.use(engine.lineup(RuleSet([with_predicate(broken, lambda view: 1 // 0), sound])))

    assert state.labels(engine, document(user={"name": "a"}), LIVE) == [["a"]]
    assert state.counts.rule_errors == 1


def test_no_match_touches_nothing(state: Fixture) -> None:
    engine = state.engine(rule_text())

    inspection = engine.inspect(document(**{ARN: ADA}), LIVE, lambda: pytest.fail("no digest is needed"))

    assert (list(inspection.labels), list(inspection.claims)) == ([], [])


def test_a_changed_rule_is_told_of_and_keeps_its_history(state: Fixture, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    old = rule_text("event.action: Look", ["user.name"])
    new = rule_text("event.action: (Look or See)", ["user.name"])
    engine = state.engine(old)
    state.labels(engine, document(user={"name": "a"}), LIVE)
    assert events(caplog) == []

    (changed,) = engine.use(engine.lineup(rule_set(new)))
    assert engine.use(engine.lineup(rule_set(new))) == []
    assert changed.others_ms == [NOW_MS]
    assert [health.others_ms for health in engine.health()] == [[NOW_MS]]
    state.later = DAY_MS
    state.engine(new)
    (line,) = events(caplog, "rule_changed")
    assert (line["level"], line["histories_before"]) == ("info", ["2026-09-21T14:13:20.000Z"])

    assert state.labels(state.engine(old), document(user={"name": "a"}), LIVE) == [], "the old one is there"


def test_what_came_of_a_rule_stays_when_it_is_loaded_anew(state: Fixture) -> None:
    text = rule_text("event.action: Look", ["user.name"])
    engine = state.engine(text)
    for name in "aab":
        state.labels(engine, document(user={"name": name}), LIVE)
    engine.use(engine.lineup(rule_set(text)))

    (health,) = engine.health()
    assert (health.matches, health.alerts, health.suppressed, health.status) == (3, 2, 1, "open")


def test_a_flood_is_told_to_whoever_tends(state: Fixture, caplog: pytest.LogCaptureFixture) -> None:
    engine = state.engine(rule_text("event.action: Look", ["user.name"]) + 'max_signals = 1\ninterval = "1m"\n')
    asked: list[int | None] = []
    engine.on_trip = lambda: asked.append(engine.next_change_ms())
    assert engine.next_change_ms() is None

    labels = state.all_labels(engine, document(user={"name": ["a", "b", "c"]}), LIVE)
    (health,) = engine.health()
    state.later = 120_000
    engine.tend()

    assert [label["status"] for label in labels] == ["open", "degraded", "degraded"]
    assert asked == [NOW_MS // 60_000 * 60_000 + 120_000]
    assert (health.status, health.alerts, health.degraded) == ("degraded", 3, 2)
    assert [each["event"] for each in events(caplog)] == ["breaker_tripped", "breaker_recovered"]
    assert state.counts.alerts_degraded == 2


def test_an_alert_that_was_let_through_is_so_when_its_delivery_failed(state: Fixture) -> None:
    engine = state.engine(rule_text("event.action: Look", ["user.name"]) + "max_signals = 1\n")

    def status(number: int, *, delivered: bool) -> list[str]:
        inspection = engine.inspect(numbered(number, user={"name": f"u{number}"}), LIVE, lambda: "digest")
        if delivered:
            state.store.confirm(inspection.claims).result()
        else:
            engine.release(inspection.claims)
        return [label["status"] for label in inspection.labels]

    assert [status(1, delivered=False), status(2, delivered=True), status(1, delivered=True)] == [
        ["open"],
        ["degraded"],
        ["open"],
    ]


def rule_of(kind: Kind, suppression: Suppression | None = None) -> Rule:
    (rule,) = rule_set(rule_text("event.action: Look", ["user.name"], look_back="now-6m")).rules
    return replace(rule, kind=kind, suppression=suppression)


def numbered(number: int, **more: Any) -> dict[str, Any]:
    return {"event": {"action": "Look", "id": f"e-{number}"}, **more}


def later(minutes: float) -> Moment:
    return Moment(arrival=NOW_MS + round(minutes * 60_000), entry=NOW_MS)


def test_a_threshold_counts_every_combination_of_its_fields(state: Fixture) -> None:
    engine = state.running(rule_of(Threshold(("user.name", "host.name"), 2, None)))
    records = [
        numbered(1, user={"name": ["a", "b"]}, host={"name": "h"}),
        numbered(2, user={"name": ["b", "c"]}, host={"name": "h"}),
        numbered(3, user={"name": "a"}, host={"name": "i"}),
        numbered(4, user={"name": "a"}),
    ]

    labels = [state.all_labels(engine, record, LIVE) for record in records]

    assert [[label["threshold"]["values"] for label in each] for each in labels] == [[], [["b", "h"]], [], []]
    assert (state.counts.matches, state.counts.alerts, state.counts.suppressed) == (5, 1, 4)


def test_a_threshold_without_fields_counts_everything_together(state: Fixture) -> None:
    engine = state.running(rule_of(Threshold((), 3, None)))

    labels = [state.all_labels(engine, numbered(number), LIVE) for number in range(1, 5)]

    assert [len(each) for each in labels] == [0, 0, 1, 0]
    assert labels[2][0]["threshold"] == {
        "fields": [],
        "values": [],
        "count": 3,
        "from": "2026-09-21T14:13:20.000Z",
    }


def test_a_threshold_counts_different_values(state: Fixture) -> None:
    engine = state.running(rule_of(Threshold(("user.name",), 1, Cardinality("source.ip", 2))))
    addresses = ["192.0.2.1", "192.0.2.1", "192.0.2.2"]

    labels = [
        state.all_labels(engine, numbered(number, user={"name": "a"}, source={"ip": address}), LIVE)
        for number, address in enumerate(addresses)
    ]

    assert [len(each) for each in labels] == [0, 0, 1]
    assert labels[2][0]["threshold"]["cardinality"] == {"field": "source.ip", "value": 2}


def test_what_a_threshold_has_counted_is_there_after_a_restart(state: Fixture, tmp_path: Path) -> None:
    rule = rule_of(Threshold((), 2, None))
    assert state.all_labels(state.running(rule), numbered(1), LIVE) == []
    state.store.close()
    state.store = LmdbStore.open(tmp_path / "state", 1 << 24, durable=False)

    assert len(state.all_labels(state.running(rule), numbered(2), LIVE)) == 1


def test_every_match_of_a_query_is_an_alert_that_has_its_id_however_often_it_comes(state: Fixture) -> None:
    engine = state.running(rule_of(EveryMatch()))

    first, again, other = (state.all_labels(engine, numbered(number), LIVE) for number in (1, 1, 2))

    assert first == again
    assert first[0]["id"] != other[0]["id"]
    assert (state.counts.matches, state.counts.alerts, state.store.stats().entries) == (3, 3, 0)


def test_an_alert_of_a_group_holds_back_the_others_in_it(state: Fixture) -> None:
    engine = state.running(rule_of(EveryMatch(), Suppression(("user.name",), 300_000, missing_alone=False)))
    minutes_and_users = [
        (0, {"name": "a"}),
        (1, {"name": "a"}),
        (2, {"name": "b"}),
        (3, {}),
        (4, {}),
        (6, {"name": "a"}),
    ]

    labels = [
        state.all_labels(engine, numbered(number, user=user), later(minutes))
        for number, (minutes, user) in enumerate(minutes_and_users)
    ]

    groups = [[label["suppression"]["values"] for label in each] for each in labels]
    assert groups == [[["a"]], [], [["b"]], [[None]], [], [["a"]]]
    assert (state.counts.matches, state.counts.alerts, state.counts.suppressed) == (6, 4, 2)


def test_an_alert_tells_of_the_first_of_its_groups_that_is_news(state: Fixture) -> None:
    engine = state.running(rule_of(EveryMatch(), Suppression(("user.name",), 300_000, missing_alone=False)))
    users = [["a"], ["a", "b", "c"], ["c", "b"], ["c", "d"]]

    labels = [
        state.all_labels(engine, numbered(number, user={"name": names}), LIVE) for number, names in enumerate(users)
    ]

    groups = [[label["suppression"]["values"] for label in each] for each in labels]
    assert groups == [[["a"]], [["b"]], [], [["d"]]]


def test_without_a_field_of_the_group_a_match_can_be_an_alert_of_its_own(state: Fixture) -> None:
    engine = state.running(rule_of(EveryMatch(), Suppression(("user.name",), 300_000, missing_alone=True)))

    labels = [state.all_labels(engine, numbered(number), LIVE) for number in (1, 2)]

    assert [["suppression" in label for label in each] for each in labels] == [[False], [False]]


def test_a_rule_of_another_kind_does_not_take_over_the_memory(state: Fixture) -> None:
    state.labels(state.engine(rule_text("event.action: Look", ["user.name"])), document(user={"name": "a"}), LIVE)

    engine = state.running(rule_of(Threshold(("user.name",), 1, None)))

    assert len(state.all_labels(engine, document(user={"name": "a"}), LIVE)) == 1


def test_of_a_long_list_of_values_those_that_are_new_alert(state: Fixture) -> None:
    engine = state.engine(rule_text("event.action: Look", ["user.name"]))
    known, new = [f"known-{number}" for number in range(100)], [f"new-{number}" for number in range(10)]
    state.labels(engine, document(user={"name": known}), PAST)

    assert state.labels(engine, document(user={"name": [*known, *new]}), PAST) == [[name] for name in new]


def test_a_history_knows_how_far_its_rule_reaches(state: Fixture) -> None:
    state.running(rule_of(EveryMatch(), Suppression(("user.name",), 300_000, missing_alone=False)))

    assert [history.rule.reach_ms for history in state.store.rules()] == [300_000]


def test_what_is_wanted_is_what_will_be_claimed(state: Fixture) -> None:
    engine = state.engine(
        rule_text("event.action: Look", ["user.name", "host.name"]),
        rule_text("event.action: Look", ["host.name"], rule_id=rule_id(2)),
        rule_text("event.action: Other", ["host.name"], rule_id=rule_id(3)),
    )
    record = document(user={"name": ["a", "b"]}, host={"name": ["h", "i"]})

    wanted = list(engine.wanted(record, LIVE, lambda: "digest"))

    claims = engine.inspect(record, LIVE, lambda: "digest").claims
    assert [(each.rule, each.terms, each.occurrence, each.law) for each in claims] == wanted
    assert len(wanted) == 6


def test_a_rule_that_fails_is_told_of_when_the_record_is_looked_at(
    state: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> bool:
        raise ZeroDivisionError

    (rule,) = rule_set(rule_text("event.action: Look", ["host.name"])).rules
    engine = state.running(with_predicate(rule, fail))
    record = document(host={"name": "h"})

    assert len(list(engine.wanted(record, LIVE, lambda: "digest"))) == 1
    assert (state.counts.rule_errors, events(caplog, "rule_failed")) == (0, [])
    assert not engine.inspect(record, LIVE, lambda: "digest").labels
    assert state.counts.rule_errors == 1


def test_records_that_come_too_late_are_counted_once_each(state: Fixture) -> None:
    """What a rule of ten days knows is kept for some twenty: what is older than ten finds it forgotten."""
    texts = [rule_text("event.action: Look", ["user.name"], rule_id=rule_id(number)) for number in (1, 2)]
    engine = state.engine(*(text.replace('"event.ingested"', '"@timestamp"') for text in texts))

    def look(days: float, moment: Moment) -> int:
        happened = iso(NOW_MS - round(days * DAY_MS))
        state.all_labels(engine, {**document(user={"name": ["a", "b"]}), "@timestamp": happened}, moment)
        return state.counts.records_late

    assert look(0, LIVE) == 0
    assert look(9.9, LIVE) == 0
    assert look(10.1, LIVE) == 1
    assert look(400, LIVE) == 2
    assert look(400, PAST) == 2, "past logs are meant to be late"


def test_what_goes_by_its_arrival_is_never_late(state: Fixture) -> None:
    engine = state.engine(rule_text("event.action: Look", ["user.name"]))
    happened = iso(NOW_MS - 400 * DAY_MS)
    state.all_labels(engine, {**document(user={"name": "a"}), "@timestamp": happened}, LIVE)
    assert state.counts.records_late == 0
