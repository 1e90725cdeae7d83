import pytest
from msgspec.structs import replace

from firstseen.detect.law import Occurrence
from firstseen.detect.matches import Moment, counted, history_of, identity_of, law_of, occurrence_of, terms_of
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.detect.suppression import SuppressionLaw
from firstseen.detect.threshold import ThresholdLaw
from firstseen.record.source import LONGEST_ID
from firstseen.record.view import View, views
from firstseen.rules.rule import Cardinality, EveryMatch, Kind, NewTerms, Rule, Suppression, Threshold
from support.rulebook import rule_set, rule_text

DAY_MS = 86_400_000
PAST = Moment(arrival=None, entry=7)


def rule(kind: Kind | None = None, suppression: Suppression | None = None) -> Rule:
    (loaded,) = rule_set(rule_text("event.action: Look", ["user.name"])).rules
    return replace(loaded, kind=kind or loaded.kind, suppression=suppression)


def view(**fields: object) -> View:
    (only,) = views({"event": {"action": "Look"}, **fields})
    return only


NEWS = NewTerms(("user.name", "host.name"), "10d", 10 * DAY_MS, 9 * DAY_MS)
COUNTING = Threshold(("user.name",), 3, Cardinality("host.name", 2))
BY_USER = Suppression(("user.name",), 60_000, missing_alone=False)


def test_the_law_is_that_of_the_kind() -> None:
    looked = rule(COUNTING)

    assert law_of(rule(NEWS)) == NewTermsLaw(9 * DAY_MS)
    assert law_of(looked) == ThresholdLaw(3, 2, looked.lookback_ms, looked.interval_ms, 0)
    assert law_of(rule(COUNTING, BY_USER)) == ThresholdLaw(3, 2, looked.lookback_ms, looked.interval_ms, 60_000)
    assert law_of(rule(EveryMatch(), BY_USER)) == SuppressionLaw(60_000)
    assert law_of(rule(EveryMatch())) is None


def test_each_kind_has_a_history_of_its_own() -> None:
    rules = [rule(NEWS), rule(Threshold(NEWS.fields, 3, None)), rule(EveryMatch(), Suppression(NEWS.fields, 1, True))]

    assert len({history_of(each) for each in rules}) == 3


@pytest.mark.parametrize(
    ("asked", "fields", "terms"),
    [
        (rule(NEWS), {"user": {"name": ["a", "b"]}, "host": {"name": "h"}}, [("a", "h"), ("b", "h")]),
        (rule(NEWS), {"user": {"name": "a"}}, []),
        (rule(COUNTING), {"user": {"name": "a"}}, [("a",)]),
        (rule(COUNTING), {}, []),
        (rule(Threshold((), 3, None)), {}, [()]),
        (rule(EveryMatch()), {"user": {"name": "a"}}, []),
        (rule(EveryMatch(), BY_USER), {"user": {"name": "a"}}, [("a",)]),
        (rule(EveryMatch(), BY_USER), {}, [(None,)]),
        (rule(EveryMatch(), replace(BY_USER, missing_alone=True)), {}, []),
    ],
)
def test_the_terms_of_an_event(asked: Rule, fields: dict[str, object], terms: list[object]) -> None:
    assert terms_of(asked, view(**fields)) == (terms, 0)


def test_an_event_is_dated_by_the_rule_s_clock_and_adds_the_values_that_are_counted() -> None:
    ingested = view(
        **{"@timestamp": "1970-01-01T00:00:01Z", "event.ingested": "1970-01-01T00:00:02Z", "host": {"name": ["h", "i"]}}
    )
    dated = view(**{"@timestamp": "1970-01-01T00:00:01Z"})

    assert occurrence_of(rule(COUNTING), ingested, PAST, "e") == Occurrence(2_000, "e", ("h", "i"))
    assert occurrence_of(rule(NEWS), dated, Moment(arrival=9, entry=7), "e") == Occurrence(9, "e")
    assert occurrence_of(rule(NEWS), dated, PAST, "e") == Occurrence(1_000, "e")
    assert occurrence_of(rule(NEWS), view(), PAST, "e") == Occurrence(7, "e")


def test_a_value_is_one_term_however_it_is_spelt() -> None:
    by_address = NewTerms(("source.ip", "destination.port"), "10d", 10 * DAY_MS, 9 * DAY_MS)
    spellings = [("192.0.2.7", 443), ("::ffff:192.0.2.7", "443"), ("192.0.2.7", 443.0)]
    counting = Threshold(("source.ip",), 3, Cardinality("event.code", 2))

    for address, port in spellings:
        event = view(source={"ip": address}, destination={"port": port})
        assert terms_of(rule(by_address), event) == ([("192.0.2.7", 443)], 0)
    odd = view(source={"ip": ["not-an-ip", "2001:DB8:0:0::1"]}, destination={"port": "443"})
    assert terms_of(rule(by_address), odd).terms == [("2001:db8::1", 443)]
    assert terms_of(rule(counting), view(source={"ip": "not-an-ip"})).terms == []
    assert counted(rule(counting), view(event={"code": [4625, "4625", "x"]})) == ("4625", "4625", "x")


def test_nothing_happens_after_it_came() -> None:
    ingested = view(**{"@timestamp": "1970-01-01T00:00:01Z", "event.ingested": "1970-01-01T00:00:02Z"})
    dated = view(**{"@timestamp": "1970-01-01T00:00:01Z"})

    def times_ms(arrival: int | None) -> list[int]:
        moment, by_event = Moment(arrival, 5_000), replace(rule(NEWS), timestamp_field="@timestamp")
        asked = [(rule(NEWS), ingested), (by_event, dated), (by_event, view())]
        return [occurrence_of(each, event, moment, "e").time_ms for each, event in asked]

    assert times_ms(arrival=None) == [2_000, 1_000, 5_000]
    assert times_ms(arrival=9_000) == [2_000, 1_000, 5_000]
    assert times_ms(arrival=900) == [900, 900, 900]


def test_an_event_without_an_id_is_known_by_the_digest_of_its_record_and_its_place_there() -> None:
    own = view(event={"id": "e-1"})

    assert identity_of(own, 1, lambda: "digest") == "e-1"
    lengths = (LONGEST_ID, LONGEST_ID + 1, LONGEST_ID + 2)
    kept, long, longer = (identity_of(view(event={"id": "e" * length}), 0, lambda: "digest") for length in lengths)
    assert kept == "e" * LONGEST_ID
    assert long.startswith("sha256:")
    assert long != longer
    assert [identity_of(view(), number, lambda: "digest") for number in (0, 1)] == ["digest", "digest/1"]
