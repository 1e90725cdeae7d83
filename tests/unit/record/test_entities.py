from __future__ import annotations

import pytest

from firstseen.record.entities import (
    actor,
    kind_of_actor,
    kind_of_target,
    related,
    targets,
)
from firstseen.record.source import Source

ACCOUNT = "111122223333"
USER = f"arn:aws:iam::{ACCOUNT}:user/ada"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/dev"
LINKED = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (USER, "user"),
        (ROLE, "user"),
        (LINKED, "service"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/dev/s", "user"),
        (f"arn:aws:iam::{ACCOUNT}:mfa/ada", "user"),
        (f"arn:aws:iam::{ACCOUNT}:instance-profile/web", "user"),
        (f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0123456789abcdef0", "host"),
        ("arn:aws:iam::aws:policy/SecurityAudit", "service"),
        (f"arn:aws:rds:us-east-1:{ACCOUNT}:db:main", "service"),
        ("arn:aws:s3:::a-bucket/key", "service"),
        (f"arn:aws:quantum:us-east-1:{ACCOUNT}:qubit/7", "generic"),
        ("arn:aws:s3", "generic"),
        ("i-0123456789abcdef0", "host"),
        ("AKIA0123456789ABCDEF", "user"),
        ("AKIA0123456789ABCDEFG", "generic"),
        ("ASIA0123456789ABCDEF", "generic"),
        ("sg-0123", "service"),
        ("vpce-0123", "service"),
        ("acl-0123", "service"),
        ("dev", "generic"),
        (ACCOUNT, "generic"),
    ],
)
def test_kinds_of_targets(target, kind):
    assert kind_of_target(target) == kind


@pytest.mark.parametrize(
    ("actor", "identity_type", "kind"),
    [
        ("ec2.amazonaws.com", "AWSService", "service"),
        (LINKED, "AssumedRole", "service"),
        ("anything", "Root", "user"),
        ("anything", "IAMUser", "user"),
        (USER, None, "user"),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/carol", "FederatedUser", "user"),
        (f"arn:aws:iam::{ACCOUNT}:mfa/ada", None, "generic"),
        (f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0123", "Directory", "host"),
        ("i-0123", None, "host"),
        ("arn:aws", None, "generic"),
        ("9067-user-id", "IdentityCenterUser", "generic"),
    ],
)
def test_kinds_of_actors(actor, identity_type, kind):
    assert kind_of_actor(actor, identity_type) == kind


def assume_role(**identity: object) -> Source:
    call = {"eventSource": "sts.amazonaws.com", "eventName": "AssumeRole"}
    return Source(call | {"userIdentity": identity, "requestParameters": {"roleArn": ROLE}})


@pytest.mark.parametrize(
    ("source", "kind", "acting"),
    [
        (Source({"userIdentity": {"type": "IAMUser", "arn": USER}}), "user", USER),
        (Source({"userIdentity": {"onBehalfOf": {"userId": "u-1"}}}), "generic", "u-1"),
        (assume_role(type="AWSService", invokedBy="ec2.amazonaws.com"), "service", "ec2.amazonaws.com"),
        (
            assume_role(
                type="AssumedRole",
                arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/dev/s",
                sessionContext={"sessionIssuer": {"arn": ROLE}},
            ),
            "user",
            ROLE,
        ),
        (assume_role(type="IAMUser", arn=USER), "user", USER),
    ],
)
def test_who_acts(source, kind, acting):
    assert actor(source) == actor(source, kind) == [acting]
    others = {"user", "host", "service", "generic"} - {kind}
    assert all(actor(source, other) is None for other in others)


def test_nobody_acts():
    source = assume_role(type="AssumedRole", onBehalfOf={"userId": "u-1"})
    assert actor(source) is actor(source, "generic") is None
    assert actor(Source({})) is actor(Source({}), "generic") is None


def test_targets_are_sorted_each_under_its_kind_and_related():
    source = Source(
        {
            "eventSource": "iam.amazonaws.com",
            "eventName": "AttachUserPolicy",
            "userIdentity": {"arn": USER, "accessKeyId": "AKIA0123456789ABCDEF"},
            "requestParameters": {"userName": "bob", "policyArn": "arn:aws:iam::aws:policy/A"},
        }
    )
    assert targets(source) == ["arn:aws:iam::aws:policy/A", "bob"]
    assert targets(source, "service") == ["arn:aws:iam::aws:policy/A"]
    assert targets(source, "generic") == ["bob"]
    assert targets(source, "user") is None
    assert related(source) == ["AKIA0123456789ABCDEF", USER, "arn:aws:iam::aws:policy/A", "bob"]
    assert related(Source({})) is targets(Source({})) is None
