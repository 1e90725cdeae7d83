from __future__ import annotations

import json

import pytest

from firstseen.errors import RecordError
from firstseen.geoip import GeoIp
from firstseen.record.enrichment import UNENRICHED
from firstseen.record.view import (
    MAX_EVENTS,
    MAX_TEXT_CONTAINERS,
    contents,
    is_verbatim,
    keys_before,
    reads_of,
    unavailable,
    views,
)
from support.mmdb import asn_database

EVENT = {"eventSource": "sts.amazonaws.com", "eventName": "GetCallerIdentity"}


def actions(record: object, mode: str = "auto") -> list[object]:
    return [action for view in views(record, mode) for action in view.values("event.action")]


@pytest.mark.parametrize("record", [None, [EVENT], "x", 7, b"{}"])
def test_what_is_no_map_holds_no_event(record):
    assert views(record) == ()


@pytest.mark.parametrize("mode", ["auto", "cloudtrail"])
def test_bytes_are_as_good_as_text(mode):
    event = {b"eventSource": b"sts.amazonaws.com", b"eventName": b"GetCallerIdentity"}
    assert actions(event, mode) == ["GetCallerIdentity"]
    assert actions({b"Records": [event]}, mode) == ["GetCallerIdentity"]
    assert actions({b"source": b"s", b"detail-type": b"t", b"detail": event}, mode) == ["GetCallerIdentity"]
    assert actions({b"log": json.dumps(EVENT).encode()}, mode) == ["GetCallerIdentity"]


def test_where_the_events_lie():
    listed = {"Records": [EVENT, EVENT]}
    assert [view.record for view in contents(EVENT).views] == [EVENT]
    assert [view.record is EVENT for view in contents(listed).views] == [True, True]
    assert (contents(listed).key, contents({"message": "text"}).key) == (None, None)

    in_text = contents({"message": json.dumps([listed, 1])})

    assert (in_text.key, in_text.said) == ("message", [listed, 1])
    in_text.views[1].record["eventName"] = "Other"
    assert in_text.said[0]["Records"][1]["eventName"] == "Other"


def test_text_that_is_no_utf8():
    assert actions({"log": b'{"event.action": "\xff"}'}) == ["\udcff"]


def test_text_with_a_byte_order_mark_and_space_around():
    assert actions({"message": "\ufeff \t\r\n" + json.dumps(EVENT) + "\n"}) == ["GetCallerIdentity"]


@pytest.mark.parametrize(
    "text", ["", "{", "[", "{}x", "[" * 100_000, '{"a":' * 100_000, "[]", "[1]", "null", "\ufeff", '{"a": 1e}']
)
def test_text_that_holds_no_event_is_a_message(text):
    (view,) = views({"message": text, "event.action": "outer"})
    assert view.values("event.action") == ("outer",)


def test_numbers_that_no_parser_likes():
    digits = "9" * 5000
    (view,) = views({"log": f'{{"event.action": "x", "n": {digits}, "m": {"9" * 30}, "l": 1e999}}'})
    assert view.values("event.action") == ("x",)
    assert view.values("n") == (float("inf"),)
    assert view.values("m") == (int("9" * 30),)


def test_an_envelope_in_text_that_is_empty_is_a_message():
    (view,) = views({"message": '{"Records": []}'})
    assert (view.kind, view.values("message")) == ("ecs", ('{"Records": []}',))


def test_digests_and_insights_are_known_by_their_keys():
    digest = {"awsAccountId": "111122223333", "digestEndTime": "2026-05-24T12:00:00Z", "digestS3Object": "o"}
    insight = {"eventVersion": "1.08", "insightDetails": {"state": "Start"}}
    for record in (digest, insight):
        assert [view.kind for view in views(record)] == ["cloudtrail"]
        for key in record:
            assert [view.kind for view in views({k: v for k, v in record.items() if k != key})] == ["ecs"]


def test_modes():
    assert [view.kind for view in views({"a": 1})] == ["ecs"]
    assert [view.kind for view in views({"a": 1}, "cloudtrail")] == ["cloudtrail"]
    assert [view.kind for view in views(EVENT, "ecs")] == ["ecs"]
    assert [view.kind for view in views({"log": json.dumps({"a": 1})}, "cloudtrail")] == ["cloudtrail"]


def test_what_is_read_through_its_text():
    wrapped = {"message": json.dumps(EVENT)}
    plain = {"message": json.dumps({"event.action": "x"})}
    assert actions(wrapped | {"@timestamp": "t"}) == ["GetCallerIdentity"]
    assert actions(wrapped | {"event": {"action": "mapped"}}) == ["mapped"]
    assert actions(plain) == ["x"]
    assert actions(plain | {"@timestamp": "t"}) == []
    assert actions(plain | {"event": {"dataset": "d"}}) == []
    assert actions(plain | {"event": "e"}) == ["x"]
    assert actions(plain | {"event": {"action": "mapped"}}, "ecs") == ["mapped"]


@pytest.mark.parametrize(
    ("field", "verbatim"),
    [
        ("event.action", True),
        ("process.command_line", True),
        ("no.such.field", True),
        ("aws.cloudtrail.flattened.request_parameters.ip", True),
        ("event.outcome", False),
        ("event.dataset", False),
        ("source.ip", False),
        ("source.port", False),
        ("aws.cloudtrail.read_only", False),
        ("@timestamp", False),
        ("message", False),
        ("process.name.caseless", False),
        ("threat.enrichments", False),
    ],
)
def test_what_stands_in_the_record_in_every_view(field, verbatim):
    assert is_verbatim(field) is verbatim


def test_databases_tell_of_the_addresses_of_every_cloudtrail_event_and_of_no_other(tmp_path):
    networks = GeoIp(asn=asn_database(tmp_path / "asn.mmdb"))
    event = EVENT | {"sourceIPAddress": "192.0.2.7"}
    carriers = [
        event,
        {"Records": [event]},
        {"source": "aws.sts", "detail-type": "x", "detail": event},
        {"log": json.dumps(event)},
        {"message": json.dumps({"Records": [event]})},
    ]
    for carrier in carriers:
        (view,) = views(carrier, enrichment=networks)
        assert view.values("source.as.number") == (64496,)
        assert views(carrier)[0].values("source.as.number") == ()
    for mode in ("auto", "ecs"):
        (view,) = views({"source": {"ip": "192.0.2.7"}, "event": {"action": "x"}}, mode, networks)
        assert not view.exists("source.as")
    (view,) = views({"log": '{"sourceIPAddress": "192.0.2.7"}'}, "cloudtrail", networks)
    assert view.values("source.as.number") == (64496,)


def test_what_cannot_come_from_cloudtrail_here():
    assert unavailable("process.name", UNENRICHED) == "process.name is not a field of CloudTrail"
    assert unavailable("event.action", UNENRICHED) is None


@pytest.mark.parametrize(
    "record",
    [
        {"Records": [EVENT] * (MAX_EVENTS + 1)},
        {b"Records": [1] * (MAX_EVENTS + 1)},
        {"log": json.dumps([EVENT] * (MAX_EVENTS + 1))},
        {"message": json.dumps({"Records": [EVENT] * (MAX_EVENTS + 1)})},
        {"log": "{" * (MAX_TEXT_CONTAINERS + 1)},
        {"message": b"[" * (MAX_TEXT_CONTAINERS + 1)},
    ],
    ids=["listed", "listed under bytes", "in text", "listed in text", "objects", "arrays"],
)
def test_what_would_take_too_much_is_refused_where_a_bound_is_asked_for(record):
    views(record)
    with pytest.raises(RecordError):
        views(record, bounded=True)


def test_what_is_just_within_the_bounds_is_read():
    for record in ({"Records": [EVENT] * MAX_EVENTS}, {"log": json.dumps([EVENT] * MAX_EVENTS)}):
        assert len(views(record, bounded=True)) == MAX_EVENTS
    assert len(views({"log": "[" * MAX_TEXT_CONTAINERS}, bounded=True)) == 1
    assert len(views({"Records": [EVENT] * (MAX_EVENTS + 1)}, "ecs", bounded=True)) == 1


def test_keys_that_an_action_stands_behind():
    assert keys_before("event.action") == [b"eventName", b"action"]
    with pytest.raises(ValueError, match="made of several values"):
        keys_before("event.outcome")


@pytest.mark.parametrize(
    ("field", "paths"),
    [
        ("event.action", (("eventName",),)),
        ("event.dataset", ()),
        ("not.in.the.table", ()),
        ("aws.cloudtrail.resources.arn", (("resources",),)),
        ("source.geo.city_name", (("sourceIPAddress",),)),
        ("@timestamp", None),
        ("event", None),
        ("event.*", None),
    ],
)
def test_what_a_field_hangs_on(field, paths):
    found = reads_of(field)
    assert (None if found is None else tuple(found)) == paths


ENVELOPES = [
    {"Records": [EVENT]},
    {"source": "aws.sts", "detail-type": "x", "detail": EVENT},
    {"@timestamp": "2026-05-24T11:00:00Z", "message": json.dumps(EVENT)},
    {"log": json.dumps({"Records": [EVENT]})},
    {"log": json.dumps([{"source": "aws.sts", "detail-type": "x", "detail": EVENT}])},
]


@pytest.mark.parametrize("record", ENVELOPES)
@pytest.mark.parametrize("added", [{"event": {"ingested": "2026-05-24T12:00:02Z"}}, {"event.ingested": 1_779_624_002}])
@pytest.mark.parametrize("mode", ["auto", "cloudtrail"])
def test_what_a_shipper_adds_around_an_event_is_the_event_s(record, added, mode):
    (view,) = views(record, mode)
    assert view.ingested_ms is None
    (view,) = views(record | added, mode)
    assert (view.kind, view.ingested_ms) == ("cloudtrail", 1_779_624_002_000)
    assert len(view.values("event.ingested")) == 1


def test_what_an_event_has_itself_comes_first():
    inner = EVENT | {"event.ingested": "2026-05-24T12:00:02Z"}
    (view,) = views({"log": json.dumps(inner), "event": {"ingested": "2026-05-24T12:00:09Z"}})
    assert view.ingested_ms == 1_779_624_002_000
