"""``event.category`` and ``event.type`` by the name of the API call."""

from __future__ import annotations

from typing import Final, NamedTuple


class Category(NamedTuple):
    """What kind of thing an event is about, and what happened to it."""

    category: str | None
    types: tuple[str, ...]


_OTHER = Category(None, ("info",))

_ROWS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "iam",
        "group change",
        "AddUserToGroup AttachGroupPolicy DeleteGroupPolicy DetachGroupPolicy PutGroupPolicy RemoveUserFromGroup"
        " UpdateGroup",
    ),
    ("iam", "group creation", "CreateGroup"),
    ("iam", "group deletion", "DeleteGroup"),
    ("iam", "group info", "GetGroup GetGroupPolicy ListAttachedGroupPolicies ListGroupPolicies ListGroups"),
    (
        "iam",
        "user change",
        "AttachUserPolicy ChangePassword CreateAccessKey CreateVirtualMFADevice DeactivateMFADevice DeleteAccessKey"
        " DeleteSSHPublicKey DeleteUserPermissionsBoundary DeleteUserPolicy DeleteVirtualMFADevice DetachUserPolicy"
        " EnableMFADevice PutUserPermissionsBoundary PutUserPolicy TagUser UntagUser UpdateAccessKey"
        " UpdateLoginProfile UpdateSSHPublicKey UpdateUser",
    ),
    ("iam", "user creation", "CreateUser"),
    ("iam", "user deletion", "DeleteUser"),
    (
        "iam",
        "user info",
        "GetUser GetUserPolicy ListAttachedUserPolicies ListGroupsForUser ListUserPolicies ListUsers ListUserTags",
    ),
    ("iam", "admin creation", "CreateKeyPair"),
    (
        "iam",
        "admin change",
        "SetDefaultPolicyVersion SetSecurityTokenServicePreferences UpdateAccountPasswordPolicy UpdateRole",
    ),
    ("iam", "info", "ListRoles GetPolicy ListAttachedRolePolicies"),
    ("iam", "creation", "CreatePolicy"),
    ("iam", "change", "AttachRolePolicy"),
    ("authentication", "info", "AssumeRole ConsoleLogin GetCallerIdentity"),
    ("file", "creation", "CreateBucket CreateDocument"),
    ("file", "deletion", "DeleteBucket DeleteObject"),
    ("file", "info", "ListBuckets ListObjects HeadObject GetObject"),
    ("file", "change", "PutObject"),
    ("host", "info", "DescribeInstances DescribeVolumes ListInstanceAssociations"),
    (
        "network",
        "info",
        "DescribeSecurityGroups DescribeNetworkInterfaces DescribeVpcs DescribeNetworkAcls DescribeLoadBalancers",
    ),
    ("network", "access", "AuthorizeSecurityGroupIngress"),
    ("api", "info", "DescribeRegions Publish Converse"),
    ("configuration", "info", "DescribeTrails"),
    ("configuration", "creation", "CreateTopic"),
    ("configuration", "change", "Subscribe"),
    ("configuration", "deletion", "DeleteTrail"),
    ("package", "info", "ListFunctions"),
    ("database", "info", "ListTables DescribeDBInstances"),
    ("process", "start", "SendCommand"),
    (
        "session",
        "start",
        "StartSession CreateControlChannel OpenControlChannel CreateDataChannel OpenDataChannel",
    ),
    ("session", "end", "TerminateSession"),
)

_BY_EVENT_NAME: Final = {
    event_name: Category(category, tuple(types.split()))
    for category, types, event_names in _ROWS
    for event_name in event_names.split()
}


def category_of(event_name: str | None) -> Category:
    """The category of an event; those that are not listed have none and are of type ``info``."""
    return _OTHER if event_name is None else _BY_EVENT_NAME.get(event_name, _OTHER)
