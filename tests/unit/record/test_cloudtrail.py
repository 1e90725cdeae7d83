from __future__ import annotations

import pytest

from firstseen.record.cloudtrail import FIELDS, CloudTrailView, is_verbatim

EVENT = {
    "eventTime": "2026-05-24T12:00:00Z",
    "eventSource": "iam.amazonaws.com",
    "eventName": "CreateUser",
    "eventID": "e-1",
    "readOnly": False,
    "requestParameters": {"userName": "bob", "tags": [{"key": "k"}], "x": ""},
    "resources": [{"ARN": "arn:aws:iam::111122223333:user/bob"}],
    "event": {"ingested": "2026-05-24T12:00:02Z"},
}


def test_each_field_is_declared_once_and_none_below_another():
    names = [field.name for field in FIELDS]
    assert len(set(names)) == len(names)
    assert not [(name, other) for name in names for other in names if other.startswith(f"{name}.")]


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
    assert not view.exists("user_agent")
    assert view.values("aws.cloudtrail.flattened.request_parameters.a") == ("x" * 8191,)
    document = view.document()
    assert document["user_agent"] == {"original": "u" * 1025}


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
                "resources": [{"arn": "arn:aws:iam::111122223333:user/bob"}],
            }
        },
        "user": {"target": {"name": "bob"}},
        "related": {"user": ["bob"]},
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
    ],
)
def test_what_stands_in_the_record(field, verbatim):
    assert is_verbatim(field) is verbatim


@pytest.mark.parametrize(
    ("provider", "service"),
    [("sts.amazonaws.com", "sts"), (".amazonaws.com", None), ("sts.amazonaws.com.cn", None), (7, None), (None, None)],
)
def test_service_names(provider, service):
    assert CloudTrailView({"eventSource": provider}).values("cloud.service.name") == ((service,) if service else ())


def test_a_console_login_says_how_it_went():
    login = {"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Failure"}}
    assert CloudTrailView(login).values("event.outcome") == ("failure",)
    assert CloudTrailView(login | {"eventName": "CheckMfa"}).values("event.outcome") == ("success",)
    view = CloudTrailView(
        {"eventName": "ConsoleLogin", "additionalEventData": {"MFAUsed": "No", "MobileVersion": "Yes"}}
    )
    assert view.values("aws.cloudtrail.console_login.additional_eventdata.mfa_used") == (False,)
    assert view.values("aws.cloudtrail.console_login.additional_eventdata.mobile_version") == (True,)


def test_accounts():
    accounts = {"userIdentity": {"accountId": "1"}, "recipientAccountId": "2", "awsAccountId": "3"}
    for expected, gone in (("1", "userIdentity"), ("2", "recipientAccountId"), ("3", "awsAccountId")):
        assert CloudTrailView(accounts).values("cloud.account.id") == (expected,)
        del accounts[gone]
    assert CloudTrailView(accounts).values("cloud.account.id") == ()


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
