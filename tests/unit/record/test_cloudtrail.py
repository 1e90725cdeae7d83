from __future__ import annotations

import pytest

from firstseen.geoip import GeoIp
from firstseen.record import useragent
from firstseen.record.cloudtrail import CloudTrailView, is_verbatim, unavailable
from firstseen.record.enrichment import UNENRICHED
from support.mmdb import asn_database

USER = "arn:aws:iam::111122223333:user/bob"
EVENT = {
    "eventTime": "2026-05-24T12:00:00Z",
    "eventSource": "iam.amazonaws.com",
    "eventName": "CreateUser",
    "eventID": "e-1",
    "readOnly": False,
    "requestParameters": {"userName": "bob", "tags": [{"key": "k"}], "x": ""},
    "resources": [{"ARN": USER}],
    "event": {"ingested": "2026-05-24T12:00:02Z"},
}


def test_identity_and_times():
    view = CloudTrailView(EVENT)
    assert view.kind == "cloudtrail"
    assert (view.event_id, view.timestamp_ms, view.ingested_ms) == ("e-1", 1_779_624_000_000, 1_779_624_002_000)
    empty = CloudTrailView({})
    assert (empty.event_id, empty.timestamp_ms, empty.ingested_ms) == (None, None, None)
    assert CloudTrailView({"eventID": 7}).event_id is None


def test_fields_are_worked_out_once():
    record: dict[object, object] = dict(EVENT)
    view = CloudTrailView(record)
    assert view.values("event.action") == ("CreateUser",)
    assert view.values("aws.cloudtrail.flattened.request_parameters.tags.key") == ("k",)
    assert view.exists("aws.cloudtrail.resources")
    record.clear()
    assert view.exists("aws.cloudtrail.resources")
    assert view.values("event.action") == ("CreateUser",)
    assert view.values("aws.cloudtrail.flattened.request_parameters.userName") == ("bob",)
    assert view.exists("aws.cloudtrail.resources.arn")


def test_fields_above_below_and_beside_the_table():
    view = CloudTrailView(EVENT)
    assert view.values("aws.cloudtrail") == ()
    assert view.exists("aws.cloudtrail")
    assert not view.exists("aws.cloudtrail.user_identity")
    assert view.values("event.action.x") == ()
    assert not view.exists("event.action.x")
    assert view.values("no.such.field") == ()
    assert not view.exists("no")
    assert not view.exists("")


def test_multi_fields():
    view = CloudTrailView(EVENT)
    assert view.values("aws.cloudtrail.request_parameters.text") == ("{userName=bob, tags=[{key=k}]}",)
    assert view.values("user.target.name.caseless") == ("bob",)


def test_too_long_a_text_is_in_the_document_and_no_value():
    view = CloudTrailView({"requestParameters": {"a": "x" * 8191}, "userAgent": "u" * 1025})
    assert view.values("aws.cloudtrail.request_parameters") == ()
    assert not view.exists("user_agent.original")
    assert view.values("aws.cloudtrail.flattened.request_parameters.a") == ("x" * 8191,)
    document = view.document()
    assert document["user_agent"] == {"original": "u" * 1025, "name": "Other", "device": {"name": "Other"}}


def test_the_document_is_nested_and_has_the_types_of_json():
    assert CloudTrailView(EVENT).document() == {
        "@timestamp": "2026-05-24T12:00:00.000Z",
        "ecs": {"version": "8.11.0"},
        "data_stream": {"type": "logs", "dataset": "aws.cloudtrail", "namespace": "default"},
        "event": {
            "dataset": "aws.cloudtrail",
            "module": "aws",
            "kind": "event",
            "provider": "iam.amazonaws.com",
            "action": "CreateUser",
            "id": "e-1",
            "outcome": "success",
            "category": ["iam"],
            "type": ["user", "creation"],
            "ingested": "2026-05-24T12:00:02Z",
        },
        "cloud": {"service": {"name": "iam"}, "provider": "aws"},
        "aws": {
            "cloudtrail": {
                "request_parameters": "{userName=bob, tags=[{key=k}]}",
                "flattened": {"request_parameters": {"userName": "bob", "tags": [{"key": "k"}]}},
                "read_only": False,
                "resources": [{"arn": USER}],
            }
        },
        "user": {"target": {"name": "bob"}},
        "related": {"user": ["bob"], "entity": [USER, "bob"]},
        "target": {"entity": {"id": ["bob"]}},
        "entity": {"target": {"id": ["bob"]}},
    }


@pytest.mark.parametrize(
    ("field", "verbatim"),
    [
        ("event.action", True),
        ("user.name", True),
        ("cloud.service.name", True),
        ("aws.cloudtrail.resources.arn", True),
        ("aws.cloudtrail.flattened.request_parameters.a.b", True),
        ("aws.cloudtrail.flattened.insight_details.state", True),
        ("no.such.field", True),
        ("aws.cloudtrail", True),
        ("event.outcome", False),
        ("event.dataset", False),
        ("event.category", False),
        ("data_stream.dataset", False),
        ("cloud.provider", False),
        ("aws.cloudtrail.request_parameters", False),
        ("aws.cloudtrail.management_event", False),
        ("aws.cloudtrail.flattened.digest.end_time", False),
        ("tls.version_protocol", False),
        ("@timestamp", False),
        ("user.entity.id", True),
        ("service.target.entity.id", True),
        ("entity.target.id", False),
        ("related.entity", False),
        ("user_agent.original", True),
        ("user_agent.name", False),
        ("source.geo.city_name", False),
    ],
)
def test_what_stands_in_the_record(field, verbatim):
    assert is_verbatim(field) is verbatim


PLACES, NETWORKS = "a database of places (geoip.city)", "a database of networks (geoip.asn)"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("source.geo.country_name", PLACES),
        ("source.geo", PLACES),
        ("source.geo.location", PLACES),
        ("source.geo.*", PLACES),
        ("source.as.organization.name", NETWORKS),
        ("source.as.organization.name.text", NETWORKS),
        ("source.*.number", NETWORKS),
        ("source.a*", None),
        ("source", None),
        ("source.*", None),
        ("*", None),
        ("user.name", None),
        ("user.name.caseless", None),
        ("user", None),
        ("user_agent", None),
        ("aws.cloudtrail.flattened", None),
        ("aws.cloudtrail.flattened.request_parameters.any.thing", None),
        ("aws.cloudtrail.flattened.request_parameters.*.thing", None),
        ("aws.*thing", None),
        ("aws.cloudtrail.resources.arn", None),
        ("entity.target.id", None),
    ],
)
def test_what_a_field_needs(name, reason):
    assert unavailable(name, UNENRICHED) == (None if reason is None else f"{name} needs {reason}")


@pytest.mark.parametrize(
    "name",
    [
        "host.os.type",
        "process.name",
        "process.command_line.caseless",
        "kibana.alert.rule.name",
        "kibana.*",
        "event.actio",
        "event.action.more",
        "aws.cloudtrail.flattened.no_such_part.x",
        "source.geo.timezone",
        "",
    ],
)
def test_what_is_not_a_field(name):
    assert unavailable(name, UNENRICHED) == f"{name} is not a field of CloudTrail"


def test_names_are_those_of_the_leaves_that_are_there():
    names = list(CloudTrailView(EVENT).names())
    assert len(set(names)) == len(names)
    assert "event.action" in names
    assert "aws.cloudtrail.flattened.request_parameters.tags.key" in names
    assert "aws.cloudtrail.error_code" not in names
    assert "aws.cloudtrail.flattened.request_parameters" not in names


def test_objects_in_a_field_are_seen_by_themselves():
    (tag,) = CloudTrailView(EVENT).nested("aws.cloudtrail.flattened.request_parameters.tags")
    assert (tag.values("key"), tag.exists("value"), list(tag.names())) == (("k",), False, ["key"])
    assert not CloudTrailView(EVENT).nested("event.action")


def test_what_is_there_is_available(tmp_path, monkeypatch):
    networks = GeoIp(asn=asn_database(tmp_path / "asn.mmdb"))
    assert unavailable("source.as.number", networks) is None
    assert unavailable("source.geo.city_name", networks) == f"source.geo.city_name needs {PLACES}"
    assert unavailable("user_agent.name", UNENRICHED) is None
    monkeypatch.setattr(useragent, "is_available", lambda: False)
    package = "the package ua-parser (pip install 'firstseen[user-agent]')"
    assert unavailable("user_agent.name", networks) == f"user_agent.name needs {package}"
    assert unavailable("*.name", networks) is None
    assert unavailable("user_agent.original", networks) is None
    assert unavailable("*.version", UNENRICHED) is None
    assert unavailable("user_agent.os.*", UNENRICHED) == f"user_agent.os.* needs {package}"
