from __future__ import annotations

import pytest

from firstseen.record.outcome import (
    account,
    category,
    console_login,
    console_login_flag,
    outcome,
    service_name,
    types,
)
from firstseen.record.source import Source

LOGIN = {"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Failure"}}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, "success"),
        ({"errorCode": "200"}, "failure"),
        ({"errorMessage": "no"}, "failure"),
        ({"errorCode": "", "errorMessage": "-"}, "success"),
        (LOGIN, "failure"),
        (LOGIN | {"eventName": "CheckMfa"}, "success"),
        (LOGIN | {"errorCode": "x", "responseElements": {"ConsoleLogin": "Success"}}, "success"),
        (LOGIN | {"errorCode": "x", "responseElements": {"ConsoleLogin": 7}}, "failure"),
        ({b"eventName": b"ConsoleLogin", b"responseElements": {b"ConsoleLogin": b"Failure"}}, "failure"),
    ],
)
def test_outcomes(record, expected):
    assert outcome(Source(record)) == expected


def test_what_only_a_console_login_says():
    data = {"additionalEventData": {"MFAUsed": "No", "MobileVersion": "Yes", "LoginTo": "https://example.com"}}
    source = Source(LOGIN | data)
    flags = [console_login_flag(source, key) for key in ("MFAUsed", "MobileVersion", "Other")]
    assert flags == [False, True, None]
    assert console_login(source, "additionalEventData", "LoginTo") == "https://example.com"
    assert console_login(Source(data), "additionalEventData", "LoginTo") is None


def test_categories():
    assert (category(Source({"eventName": "CreateUser"})), types(Source({"eventName": "CreateUser"}))) == (
        ["iam"],
        ["user", "creation"],
    )
    assert (category(Source({})), types(Source({}))) == (None, ["info"])


def test_accounts():
    accounts = {"userIdentity": {"accountId": "1"}, "recipientAccountId": "2", "awsAccountId": "3"}
    for expected, gone in (("1", "userIdentity"), ("2", "recipientAccountId"), ("3", "awsAccountId")):
        assert account(Source(accounts)) == expected
        del accounts[gone]
    assert account(Source(accounts)) is None


@pytest.mark.parametrize(
    ("provider", "service"),
    [("sts.amazonaws.com", "sts"), (".amazonaws.com", None), ("sts.amazonaws.com.cn", None), (7, None), (None, None)],
)
def test_service_names(provider, service):
    assert service_name(Source({"eventSource": provider})) == service
