"""That two records of one likeness have the same values is a property (tests/property/test_alike.py)."""

import json
from typing import Any

import msgpack
import pytest

from firstseen.record.glance import LARGEST, glance_at, key_of

EVENT: dict[str, Any] = {
    "eventSource": "sts.amazonaws.com",
    "eventName": "GetCallerIdentity",
    "eventID": "e-1",
    "eventTime": "2026-09-21T08:00:00Z",
    "userIdentity": {"arn": "arn:aws:iam::111122223333:user/ada", "other": {"a": [1]}},
    "responseElements": None,
    "requestParameters": {"a": [1, None, 2.5]},
}


def test_an_event_at_a_glance() -> None:
    for seen in (glance_at(msgpack.packb(EVENT)), glance_at(json.dumps(EVENT).encode(), json=True)):
        assert seen is not None
        assert (seen.eventName, seen.eventID, seen.userIdentity.arn) == (
            "GetCallerIdentity",
            "e-1",
            "arn:aws:iam::111122223333:user/ada",
        )
        assert seen.time_ms == 1_789_977_600_000


@pytest.mark.parametrize("time", [None, "", "-", "yesterday"])
def test_an_event_without_a_time(time: str | None) -> None:
    seen = glance_at(msgpack.packb({**EVENT, "eventTime": time}))
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
    assert glance_at(msgpack.packb({**EVENT, **odd})) is None


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\x81\xa1a", b"\x93\x01\x02\x03", msgpack.packb({"log": "text"})])
def test_what_is_no_event(raw: bytes) -> None:
    assert glance_at(raw) is None
    assert glance_at(raw, json=True) is None


def test_what_tells_glances_apart() -> None:
    key = key_of([("userIdentity", "arn"), ("errorCode",)])
    whole = key_of([("responseElements", "ConsoleLogin"), ("eventName",)])
    assert key is not None
    assert whole is not None
    one, other = (
        glance_at(msgpack.packb({**EVENT, "responseElements": {"ConsoleLogin": each}}))
        for each in ("Success", "Failure")
    )
    assert one is not None
    assert other is not None

    assert key(one) == key(other)
    assert whole(one) != whole(other)
    assert hash(whole(one)) == hash(whole(one))


def test_what_hangs_on_nothing_is_always_alike() -> None:
    seen = glance_at(msgpack.packb(EVENT))
    key = key_of([])
    assert seen is not None
    assert key is not None
    assert key(seen) == ()


@pytest.mark.parametrize("path", [("requestParameters",), ("userIdentity",), ("userIdentity", "other"), ("nothing",)])
def test_places_that_a_glance_does_not_show(path: tuple[str, ...]) -> None:
    assert key_of([("eventName",), path]) is None
