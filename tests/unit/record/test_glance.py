"""That two records of one likeness have the same values is a property (tests/property/test_alike.py)."""

import json
from typing import Any

import msgpack
import pytest

from firstseen.record.glance import LARGEST, Glances, glances_at

EVENT: dict[str, Any] = {
    "eventSource": "sts.amazonaws.com",
    "eventName": "GetCallerIdentity",
    "eventID": "e-1",
    "eventTime": "2026-09-21T08:00:00Z",
    "userIdentity": {"arn": "arn:aws:iam::111122223333:user/ada", "other": {"a": [1]}},
    "responseElements": None,
    "requestParameters": {"a": [1, None, 2.5]},
}


SHOWN = [("userIdentity", "arn"), ("errorCode",), ("responseElements", "ConsoleLogin"), ("resources",)]


def glancing(*paths: tuple[str, ...]) -> Glances:
    found = glances_at(paths)
    assert found is not None
    return found


def test_an_event_at_a_glance() -> None:
    glances = glancing(*SHOWN)
    for seen in (glances.at(msgpack.packb(EVENT)), glances.at(json.dumps(EVENT).encode(), json=True)):
        assert seen is not None
        assert (seen.eventName, seen.eventID) == ("GetCallerIdentity", "e-1")
        assert seen.time_ms == 1_789_977_600_000
        assert "arn:aws:iam::111122223333:user/ada" in repr(glances.key(seen))


def test_what_no_rule_asks_about_may_be_anything() -> None:
    seen = glancing(("awsRegion",)).at(msgpack.packb({**EVENT, "userIdentity": 7, "awsRegion": "eu-west-1"}))

    assert seen is not None
    assert glancing(("awsRegion",)).key(seen) == "eu-west-1"


@pytest.mark.parametrize("time", [None, "", "-", "yesterday"])
def test_an_event_without_a_time(time: str | None) -> None:
    seen = glancing().at(msgpack.packb({**EVENT, "eventTime": time}))
    assert seen is not None
    assert seen.time_ms is None


@pytest.mark.parametrize(
    "odd",
    [
        {"eventID": "-"},
        {"eventID": None},
        {"eventName": 1},
        {"eventName": ["GetCallerIdentity"]},
        {"errorCode": 7},
        {"userIdentity": "ada"},
        {"userIdentity": {"arn": b"ada"}},
        {"userIdentity": {"arn": ["ada"]}},
        {"responseElements": "text"},
        {"resources": [{"ARN": "a", "ARNPrefix": "b"}]},
        {"resources": ["a"]},
        {"Records": []},
        {"detail": {}},
        {"event": {"ingested": "2026-09-21T08:00:00Z"}},
        {"event.ingested": None},
        {b"eventName": "GetUser"},
        {"note": "x" * LARGEST},
    ],
)
def test_what_has_to_be_looked_at_as_a_whole(odd: dict[Any, Any]) -> None:
    assert glancing(*SHOWN).at(msgpack.packb({**EVENT, **odd})) is None


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\x81\xa1a", b"\x93\x01\x02\x03", msgpack.packb({"log": "text"})])
def test_what_is_no_event(raw: bytes) -> None:
    assert glancing(*SHOWN).at(raw) is None
    assert glancing(*SHOWN).at(raw, json=True) is None


@pytest.mark.parametrize(
    ("paths", "are_alike"),
    [
        ([("userIdentity", "arn"), ("errorCode",)], True),
        ([("responseElements", "ConsoleLogin"), ("eventName",)], False),
        ([("userIdentity", "sessionContext", "sessionIssuer", "arn")], True),
        ([("userIdentity", "userName"), ("userIdentity", "arn")], False),
        ([], True),
    ],
)
def test_what_tells_records_apart(paths: list[tuple[str, ...]], are_alike: bool) -> None:
    glances = glancing(*paths)
    one, other = (
        glances.at(
            msgpack.packb(
                EVENT | {"responseElements": {"ConsoleLogin": each}, "userIdentity": {"arn": "ada", "userName": each}}
            )
        )
        for each in ("Success", "Failure")
    )
    assert one is not None
    assert other is not None

    assert (glances.key(one) == glances.key(other)) is are_alike
    assert hash(glances.key(one)) == hash(glances.key(one))


def rows(*records: Any) -> bytes:
    return b"".join(msgpack.packb([msgpack.ExtType(0, bytes(8)), each]) for each in records)


def test_many_entries_at_once() -> None:
    glances = glancing(*SHOWN)
    other = EVENT | {"eventID": "-", "errorCode": "AccessDenied"}
    found = glances.at_entries(b"".join([rows(EVENT, other), msgpack.packb([[7, {"meta": 1}], EVENT])]), 3)

    assert found is not None
    assert [(seen.eventID, glances.key(seen) == glances.key(found[0][1])) for _, seen in found] == [
        ("e-1", True),
        ("-", False),
        ("e-1", True),
    ]
    assert glances.at_entries(b"", 0) == []


@pytest.mark.parametrize("odd", [{"log": "text"}, EVENT | {"errorCode": 7}, EVENT | {"Records": []}, {"a": {"b": 1}}])
def test_one_that_is_odd_among_many(odd: dict[str, Any]) -> None:
    assert glancing(*SHOWN).at_entries(rows(EVENT, odd, EVENT), 3) is None


@pytest.mark.parametrize(
    "path",
    [
        ("requestParameters",),
        ("userIdentity",),
        ("userIdentity", "other"),
        ("nothing",),
        ("responseElements",),
        ("responseElements", "user", "userId"),
        ("responseElements", "ConsoleLogin", "more"),
        ("tlsDetails", "cipherSuite"),
    ],
)
def test_places_that_a_glance_does_not_show(path: tuple[str, ...]) -> None:
    assert glances_at([("eventName",), path]) is None
