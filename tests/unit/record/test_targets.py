from __future__ import annotations

import pytest

from firstseen.record.source import Source
from firstseen.record.targets import targets_of

RESOURCES = [{"ARN": "arn:a"}, {"type": "t"}, {"ARN": "arn:b"}, {"ARN": "arn:a"}]


def call(event: str, asked: object = None, answered: object = None) -> Source:
    service, _, event_name = event.partition(" ")
    return Source(
        {
            "eventSource": f"{service}.amazonaws.com",
            "eventName": event_name,
            "requestParameters": asked,
            "responseElements": answered,
            "resources": RESOURCES,
            "recipientAccountId": "111122223333",
        }
    )


@pytest.mark.parametrize(
    ("event", "asked", "answered", "expected"),
    [
        ("iam AttachRolePolicy", {"roleName": "r", "policyArn": "p"}, None, {"r"}),
        ("iam CreateAccessKey", {"userName": "u"}, {"accessKey": {"accessKeyId": "k"}}, {"u", "k"}),
        ("iam ListUsers", None, None, {"111122223333"}),
        ("iam NoSuchCall", {"userName": "u"}, None, set()),
        ("sts AttachRolePolicy", {"roleName": "r"}, None, set()),
        ("kms DisableKey", {"keyId": "k"}, None, {"arn:a", "arn:b"}),
        (
            "s3 PutBucketReplication",
            {"ReplicationConfiguration": {"Rule": {"Destination": {"Bucket": "d"}}}},
            None,
            {"arn:a", "arn:b", "d"},
        ),
        (
            "ec2 AuthorizeSecurityGroupIngress",
            {"groupId": "sg-1"},
            {"securityGroupRuleSet": {"items": [{"securityGroupRuleId": "sgr-1"}, {}, "x"]}},
            {"sg-1", "sgr-1"},
        ),
        ("ec2 DeleteNetworkAclEntry", {"networkAclId": "acl-1", "ruleNumber": 100}, None, {"acl-1", "100"}),
        ("ec2 DeleteNetworkAclEntry", {"networkAclId": "acl-1"}, None, {"acl-1"}),
        ("lambda AddPermission20150331v2", {"functionName": "f"}, None, {"f"}),
        ("lambda ListFunctions20150331", None, None, {"111122223333"}),
        ("lambda GetFunction20150331", {"functionName": "f"}, None, set()),
        ("secretsmanager BatchGetSecretValue", {"secretIdList": ["a", "", 7, "b"]}, None, {"a", "b"}),
        ("secretsmanager BatchGetSecretValue", {"secretIdList": "a"}, None, set()),
        ("ssm SendCommand", {"instanceIds": ["i-1", "i-2"], "targets": [{"values": ["x"]}]}, None, {"i-1", "i-2"}),
        ("ssm SendCommand", {"targets": [{"values": ["a"]}, {"values": ["b", 7]}, {"values": "c"}]}, None, {"a", "b"}),
        ("ssm SendCommand", {"instanceIds": [], "targets": [{"values": ["*"]}]}, None, {"111122223333"}),
        ("ssm SendCommand", {"targets": [{"values": ["*", "a"]}]}, None, {"*", "a"}),
        ("ssm SendCommand", None, None, set()),
        ("sts AssumeRole", {"roleArn": 7}, None, set()),
    ],
)
def test_targets(event, asked, answered, expected):
    assert targets_of(call(event, asked, answered)) == expected


def test_an_event_of_nobody_has_no_target():
    assert targets_of(Source({})) == set()
    assert targets_of(Source({"eventSource": 7, "eventName": ["AssumeRole"]})) == set()
