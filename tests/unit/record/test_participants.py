from __future__ import annotations

import pytest

from firstseen.record.participants import of, path_of, service_of
from firstseen.record.source import Source


def test_everywhere_the_identity_and_the_resources():
    identity = {
        "type": "AssumedRole",
        "arn": "session",
        "accessKeyId": "key",
        "principalId": "not taken",
        "userName": "name",
        "sessionContext": {"sessionIssuer": {"arn": "role", "userName": "role name"}},
        "onBehalfOf": {"identityStoreArn": "store"},
    }
    source = {"userIdentity": identity, "resources": [{"ARN": "a"}, {"arn": "not taken"}, {"ARN": ""}]}
    everyone = {"session", "key", "name", "role", "role name", "a"}
    assert of(Source(source)) == everyone
    identity["type"] = "IdentityCenterUser"
    assert of(Source(source)) == everyone | {"store"}


def call(service: str, asked: object = None, answered: object = None) -> Source:
    return Source({"eventSource": f"{service}.amazonaws.com", "requestParameters": asked, "responseElements": answered})


@pytest.mark.parametrize(
    ("service", "asked", "answered", "expected"),
    [
        ("iam", {"policyArn": "arn:aws:iam::aws:policy/A", "roleName": "r"}, {"user": {"userId": "u"}}, None),
        ("sts", {"policyArn": "p"}, None, set()),
        ("wafv2", {"id": "w"}, {"summary": {"id": "no text"}}, {"w"}),
        ("lambda", None, {"vpcConfig": {"securityGroupIds": ["a", "a", "b"], "subnetIds": ["c"]}}, {"a", "c"}),
        ("lambda", None, {"vpcConfig": {"securityGroupIds": "a"}}, set()),
        (
            "rds",
            None,
            {
                "dBSubnetGroup": {"vpcId": "v", "subnets": [{"subnetIdentifier": "s"}]},
                "vpcSecurityGroups": [{"vpcSecurityGroupId": "g"}],
            },
            {"v", "s", "g"},
        ),
    ],
)
def test_by_service(service, asked, answered, expected):
    assert of(call(service, asked, answered)) == (
        {"arn:aws:iam::aws:policy/A", "r", "u"} if expected is None else expected
    )


def test_instances_of_ec2():
    interfaces = {"items": [{"networkInterfaceId": "eni", "groupSet": {"items": [{"groupId": "g"}, "x"]}}, 7]}
    instances = [
        {"subnetId": "s", "vpcId": "v", "instanceId": "i-1", "imageId": "m", "iamInstanceProfile": {"arn": "p"}},
        {"subnetId": "s", "vpcId": "v", "instanceId": "i-2"},  # its subnet was there already: the rest is not taken
        {"subnetId": "t", "instanceId": "i-3", "networkInterfaceSet": interfaces},  # likewise, it has no VPC
    ]
    asked = {"instancesSet": {"items": [{"imageId": "not taken"}, {"instanceId": "i-0"}]}}
    answered = {"instancesSet": {"items": instances}, "reservationId": "r"}
    assert of(call("ec2", asked, answered)) == {"i-0", "s", "v", "i-1", "m", "p", "t", "eni", "g", "r"}


def test_security_groups_of_ec2():
    rules = [
        {"groupId": "g", "referencedGroupInfo": {"groupId": "h"}, "securityGroupRuleId": "sgr-1"},
        {"groupId": "g2", "securityGroupRuleId": "not taken"},
    ]
    asked = {
        "groupSet": {"items": [{"groupId": "g3"}]},
        "revokedSecurityGroupRuleSet": {"items": [{"securityGroupRuleId": "sgr-2", "groupId": "g4"}]},
    }
    answered = {"securityGroupRuleSet": {"items": rules}, "groupSet": {"items": [{"groupId": "g5"}]}}
    assert of(call("ec2", asked, answered)) == {"g", "h", "sgr-1", "g2", "g3", "sgr-2", "g4", "g5"}


def test_paths_and_services():
    assert path_of("q.a.b") == ("requestParameters", "a", "b")
    assert path_of("r.a") == ("responseElements", "a")
    assert path_of("sourceIdentity") == ("sourceIdentity",)
    names = ["ec2.amazonaws.com", "ec2.amazonaws.com.cn", "ec2", None]
    assert [service_of(Source({"eventSource": name})) for name in names] == ["ec2", "", "", ""]
