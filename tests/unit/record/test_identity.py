from __future__ import annotations

import pytest

from firstseen.record.identity import (
    distinct,
    related_users,
    session_name,
    takes_name_from_additional_data,
    user_email,
    user_id,
    user_name,
)
from firstseen.record.source import Source


def identified(**identity: object) -> Source:
    return Source({"userIdentity": identity})


@pytest.mark.parametrize("kind", ["AssumedRole", "FederatedUser"])
def test_the_issuer_names_these_sessions(kind):
    issuer = {"sessionIssuer": {"userName": "role"}}
    assert user_name(identified(type=kind, userName="own", sessionContext=issuer)) == "role"
    assert user_name(identified(type=kind, userName="own")) == "own"
    assert user_name(identified(type="IAMUser", userName="own", sessionContext=issuer)) == "own"
    assert user_name(identified(type="SAMLUser", sessionContext=issuer)) is None


def test_only_who_authenticates_is_named_in_the_additional_data():
    record = {"eventName": "UserAuthentication", "additionalEventData": {"UserName": "erin"}}
    assert user_name(Source(record)) == "erin"
    assert takes_name_from_additional_data(Source(record))
    assert not takes_name_from_additional_data(Source(record | {"eventName": "CredentialChallenge"}))
    assert user_name(Source(record | {"userIdentity": {"userName": "frank"}})) == "frank"


def test_the_principal_before_whom_it_acts_for():
    assert user_id(identified(principalId="p", onBehalfOf={"userId": "u"})) == "p"
    assert user_id(identified(principalId="", onBehalfOf={"userId": "u"})) == "u"
    assert user_id(identified()) is None


@pytest.mark.parametrize(
    ("kind", "arn", "name"),
    [
        ("AssumedRole", "arn:aws:sts::111122223333:assumed-role/dev/bob", "bob"),
        ("FederatedUser", "arn:aws-cn:sts::111122223333:federated-user/carol", "carol"),
        ("IdentityCenterUser", "arn:aws:sts::111122223333:x/y/z", "z"),
        ("AssumedRole", "arn:aws:sts::111122223333:assumed-role/dev/", None),
        ("AssumedRole", "arn:aws:sts::111122223333:assumed-role", None),
        ("AssumedRole", "arn:aws:iam::111122223333:role/dev", None),
        ("AssumedRole", "sts/bob", None),
        ("AssumedRole", 7, None),
        ("IAMUser", "arn:aws:sts::111122223333:assumed-role/dev/bob", None),
    ],
)
def test_session_names(kind, arn, name):
    assert session_name(identified(type=kind, arn=arn)) == name


def test_the_sessions_address_before_the_users():
    session = {"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/dev/bob@example.com"}
    assert user_email(identified(userName="u@example.com", **session)) == "bob@example.com"
    assert user_email(identified(userName="u@example.com")) == "u@example.com"
    assert user_email(identified(userName=["u@example.com"])) is None


def test_everyone_once_in_order():
    record = {
        "userIdentity": {
            "type": "AssumedRole",
            "arn": "arn:aws:sts::111122223333:assumed-role/dev/bob@example.com",
            "principalId": "AROAEXAMPLE:bob@example.com",
            "sessionContext": {"sessionIssuer": {"userName": "dev"}},
            "onBehalfOf": {"userId": "u-1"},
        },
        "requestParameters": {"userName": "bob", "newUserName": "rob"},
        "responseElements": {"user": {"userId": "AIDAEXAMPLE"}},
    }
    assert related_users(Source(record)) == [
        *("bob@example.com", "bob", "rob", "AIDAEXAMPLE", "AROAEXAMPLE:bob@example.com", "dev", "u-1")
    ]
    assert related_users(Source({})) is None


def test_distinct_scalars():
    assert distinct(["a", None, "", 1, True, "a", [], {}, 1.0]) == ["a", 1, True, 1.0]
    assert distinct([None]) is None
