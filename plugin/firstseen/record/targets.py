"""What an event acted upon, by the name of the API call.

Which events have a target, and where in the record it stands, is the choice of Elastic's integration. A call that
lists or describes what an account has is taken to act upon the account.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from firstseen.record.javamap import java_text
from firstseen.record.participants import path_of, service_of
from firstseen.record.source import Source

_ACCOUNT: Final = "recipientAccountId"
_RESOURCES: Final = "resources[].ARN"
_TEXT: Final = ":text"
"""Behind a place whose value counts as text, whatever it is."""
_COMMANDED: Final = "SendCommand"

_PLACES: Final[tuple[tuple[str, str, str], ...]] = (
    ("bedrock", "Converse", "q.modelId"),
    ("cloudformation", "CreateStack", "r.stackId"),
    ("cloudformation", "CreateStackSet", "r.stackSetId"),
    ("cloudtrail", "DeleteTrail StopLogging", "q.name"),
    ("cloudtrail", "DescribeTrails", _ACCOUNT),
    ("config", "StartConfigurationRecorder StopConfigurationRecorder", "q.configurationRecorderName"),
    ("dynamodb", "ListTables", _ACCOUNT),
    ("ec2-instance-connect", "SendSSHPublicKey SendSerialConsoleSSHPublicKey", "q.instanceId"),
    (
        "ec2",
        "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress",
        "q.groupId r.securityGroupRuleSet.items[].securityGroupRuleId",
    ),
    (
        "ec2",
        "CreateTrafficMirrorFilter",
        "r.CreateTrafficMirrorFilterResponse.trafficMirrorFilter.trafficMirrorFilterId",
    ),
    (
        "ec2",
        "CreateTrafficMirrorFilterRule",
        "r.CreateTrafficMirrorFilterRuleResponse.trafficMirrorFilterRule.trafficMirrorFilterRuleId",
    ),
    (
        "ec2",
        "CreateTrafficMirrorSession",
        "r.CreateTrafficMirrorSessionResponse.trafficMirrorSession.trafficMirrorSessionId",
    ),
    (
        "ec2",
        "CreateTrafficMirrorTarget",
        "r.CreateTrafficMirrorTargetResponse.trafficMirrorTarget.trafficMirrorTargetId",
    ),
    ("ec2", "DeleteFlowLogs", "q.DeleteFlowLogsRequest.FlowLogId.content"),
    ("ec2", "DeleteNetworkAcl", "q.networkAclId"),
    ("ec2", "DeleteNetworkAclEntry", f"q.networkAclId q.ruleNumber{_TEXT}"),
    ("ec2", "GetPasswordData", "q.instanceId"),
    ("ec2", "ModifyImageAttribute", "q.imageId"),
    ("ec2", "ModifySnapshotAttribute", "q.snapshotId"),
    (
        "ec2",
        "DescribeSecurityGroups DescribeNetworkInterfaces DescribeRegions DescribeVpcs DescribeNetworkAcls"
        " DescribeVolumes",
        _ACCOUNT,
    ),
    ("elasticfilesystem", "DeleteFileSystem", "q.fileSystemId"),
    ("elasticfilesystem", "DeleteMountTarget", "q.mountTargetId"),
    ("elasticloadbalancing", "DescribeLoadBalancers", _ACCOUNT),
    ("events", "DeleteRule", "q.name"),
    ("guardduty", "CreateDetector", "r.detectorId"),
    ("guardduty", "DeleteDetector", "q.detectorId"),
    ("iam", "AttachGroupPolicy", "q.groupName"),
    ("iam", "AttachRolePolicy ListAttachedRolePolicies UpdateAssumeRolePolicy", "q.roleName"),
    ("iam", "AttachUserPolicy", "q.policyArn q.userName"),
    ("iam", "CreateAccessKey", "r.accessKey.accessKeyId q.userName"),
    ("iam", "CreateUser DeactivateMFADevice", "q.userName"),
    ("iam", "DeleteVirtualMFADevice", "q.serialNumber"),
    ("iam", "GetPolicy", "q.policyArn"),
    ("iam", "CreatePolicy", "r.policy.arn"),
    ("iam", "ListRoles ListUsers", _ACCOUNT),
    ("kms", "DisableKey ScheduleKeyDeletion", _RESOURCES),
    ("logs", "DeleteLogGroup", "q.logGroupName"),
    ("logs", "DeleteLogStream", "q.logStreamName"),
    ("monitoring", "DeleteAlarms", "q.alarmNames[]"),
    ("rds", "DeleteDBCluster ModifyDBCluster StopDBCluster", "r.dBClusterArn"),
    (
        "rds",
        "DeleteDBInstance ModifyDBInstance StopDBInstance RestoreDBInstanceFromDBSnapshot RestoreDBInstanceFromS3",
        "r.dBInstanceArn",
    ),
    ("rds", "DeleteGlobalCluster", "r.globalClusterArn"),
    ("rds", "ModifyDBClusterSnapshotAttribute", "r.dBClusterSnapshotIdentifier"),
    ("rds", "ModifyDBSnapshotAttribute", "r.dBSnapshotIdentifier"),
    ("rds", "DescribeDBInstances", _ACCOUNT),
    ("rolesanywhere", "CreateTrustAnchor", "r.trustAnchor.trustAnchorArn"),
    ("route53resolver", "DeleteResolverQueryLogConfig", "r.resolverQueryLogConfig.arn"),
    (
        "s3",
        "CopyObject PutObject GetObject HeadObject DeleteObject ListObjects PutBucketLogging PutBucketVersioning"
        " GetBucketPolicy DeleteBucket",
        _RESOURCES,
    ),
    ("s3", "PutBucketReplication", f"{_RESOURCES} q.ReplicationConfiguration.Rule.Destination.Bucket"),
    ("s3", "ListBuckets", _ACCOUNT),
    ("secretsmanager", "GetSecretValue", "q.secretId"),
    ("secretsmanager", "BatchGetSecretValue", "q.secretIdList[]"),
    ("signin", "ConsoleLogin", _ACCOUNT),
    ("sns", "CreateTopic", "r.topicArn"),
    ("sns", "Subscribe Publish", "q.topicArn"),
    ("ssm", "GetParameter GetParameters CreateControlChannel OpenControlChannel", _RESOURCES),
    ("ssm", "StartSession", "q.target"),
    ("ssm", "CreateDocument", "q.name"),
    ("ssm", "TerminateSession OpenDataChannel", "q.sessionId"),
    ("ssm", "ListInstanceAssociations", _ACCOUNT),
    ("sts", "AssumeRole", "q.roleArn"),
    ("sts", "GetCallerIdentity", _ACCOUNT),
    ("wafv2", "DeleteRuleGroup DeleteWebACL", "q.id"),
)
"""Service, names of events, and the places of a record where their targets stand; ``[]`` is each element."""

_BY_EVENT: Final = {
    (service, event_name): tuple(places.split())
    for service, event_names, places in _PLACES
    for event_name in event_names.split()
}
_VERSIONED: Final = {"AddPermission": ("q.functionName",), "ListFunctions": (_ACCOUNT,)}
"""Lambda puts the version of its API into the names of its events; these occur within one."""

TARGETED: Final = frozenset(_BY_EVENT)
"""Services, and the names of their events that have targets; those of Lambda and commands aside."""


def targets_of(source: Source) -> set[str]:
    """The targets of the event, each once."""
    service, event_name = service_of(source), source.text("eventName") or ""
    if service == "ssm" and event_name == _COMMANDED:
        return _commanded(source)
    return {text for place in _places(service, event_name) for text in _texts(source, place)}


def _places(service: str, event_name: str) -> tuple[str, ...]:
    if service == "lambda":
        return next((places for part, places in _VERSIONED.items() if part in event_name), ())
    return _BY_EVENT.get((service, event_name), ())


def _texts(source: Source, place: str) -> Iterator[str]:
    listed, each, rest = place.partition("[]")
    if place.endswith(_TEXT):
        values: list[object] = [java_text(source.raw(*path_of(place.removesuffix(_TEXT))))]
    elif not each:
        values = [source.at(*path_of(place))]
    elif rest:
        values = [element.get(rest.removeprefix(".")) for element in source.maps(*path_of(listed))]
    else:
        found = source.at(*path_of(listed))
        values = found if isinstance(found, list) else []
    return (value for value in values if isinstance(value, str))


def _commanded(source: Source) -> set[str]:
    """The instances a command is sent to: listed, or chosen by the values of a tag; all of them are the account."""
    chosen = list(_texts(source, "q.instanceIds[]"))
    if not chosen:
        values = (target.get("values") for target in source.maps("requestParameters", "targets"))
        chosen = [value for each in values if isinstance(each, list) for value in each if isinstance(value, str)]
    return set(_texts(source, _ACCOUNT)) if chosen == ["*"] else set(chosen)
