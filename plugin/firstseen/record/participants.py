"""What takes part in an event: the identities, keys and resources that it names, by the service that was called.

Which places of a record are looked at is the choice of Elastic's integration, down to one habit of it: a list of ids
is taken up to the first that is missing or was there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from firstseen.record.source import Source

_EVERYWHERE: Final = (
    "userIdentity.accessKeyId userIdentity.arn userIdentity.userName"
    " userIdentity.sessionContext.sessionIssuer.arn userIdentity.sessionContext.sessionIssuer.userName"
)

_BY_SERVICE: Final[dict[str, str]] = {
    "cloudtrail": "q.name q.s3BucketName r.cloudWatchLogsLogGroupArn r.cloudWatchLogsRoleArn r.kmsKeyId r.snsTopicARN"
    " r.trailARN r.name",
    "config": "q.configurationRecorderName",
    "ec2": "q.groupId q.groupName q.roleName q.subnetId q.volumeId q.networkInterfaceId q.vpcId q.snapshotId"
    " r.groupId r.reservationId r.vpc.vpcId r.vpc.dhcpOptionsId r.snapshotId r.volumeId",
    "guardduty": "q.detectorId r.detectorId",
    "iam": "q.userName q.serialNumber q.accessKeyId q.policyArn q.roleName q.policyName"
    " r.accessKey.userName r.accessKey.accessKeyId r.user.arn r.user.userId r.user.userName r.userId r.role.arn"
    " r.serialNumber",
    "kms": "q.keyId r.keyId r.keyMetadata.arn r.keyMetadata.keyId",
    "lambda": "q.functionName r.functionArn r.functionName r.role",
    "rds": "q.dBInstanceIdentifier q.dBInstanceArn r.dBInstanceIdentifier r.dbInstanceArn r.dBSubnetGroup.vpcId",
    "s3": "q.bucketName",
    "sts": "q.roleArn sourceIdentity additionalEventData.MFAIdentifier r.assumedRoleUser.arn q.roleSessionName"
    " r.accessKeyId",
    "wafv2": "q.id r.summary",
}
"""Places of a record that a service's events name something at; ``q`` is what was asked, ``r`` what was answered."""

_SHORT: Final = {"q": "requestParameters", "r": "responseElements"}


class _Ids:
    """The texts among what is put in, each once."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def put(self, value: object) -> bool:
        """Whether this is a text that was not there before."""
        if not isinstance(value, str) or value in self.found:
            return False
        self.found.add(value)
        return True

    def put_run(self, values: Iterable[object]) -> None:
        """Put them in, up to the first that is no news."""
        all(map(self.put, values))


def path_of(place: str) -> tuple[str, ...]:
    """The keys that lead to a place."""
    first, *rest = place.split(".")
    return (_SHORT.get(first, first), *rest)


def of(source: Source) -> set[str]:
    """Everything that takes part in the event, its targets aside."""
    ids = _Ids()
    for path in _PATHS_EVERYWHERE:
        ids.put(source.at(*path))
    if source.text("userIdentity", "type") == "IdentityCenterUser":
        ids.put(source.at("userIdentity", "onBehalfOf", "identityStoreArn"))
    for resource in source.maps("resources"):
        ids.put(resource.get("ARN"))
    service = service_of(source)
    for path in _PATHS_BY_SERVICE.get(service, ()):
        ids.put(source.at(*path))
    if service in _LISTED:
        _LISTED[service](source, ids)
    return ids.found


def service_of(source: Source) -> str:
    """``ec2`` of ``ec2.amazonaws.com``; empty where the event is of no service of that domain."""
    name, found, rest = (source.text("eventSource") or "").partition(".amazonaws.com")
    return name if found and not rest else ""


def _listed_by_ec2(source: Source, ids: _Ids) -> None:
    for rule in source.maps("responseElements", "securityGroupRuleSet", "items"):
        ids.put_run((rule.get("groupId"), _in(rule, "referencedGroupInfo", "groupId"), rule.get("securityGroupRuleId")))
    for key in _SHORT.values():
        for group in source.maps(key, "groupSet", "items"):
            ids.put(group.get("groupId"))
    for instance in source.maps("requestParameters", "instancesSet", "items"):
        ids.put(instance.get("instanceId"))
    for instance in source.maps("responseElements", "instancesSet", "items"):
        named = (instance.get(name) for name in ("subnetId", "vpcId", "instanceId", "imageId"))
        ids.put_run((*named, _in(instance, "iamInstanceProfile", "arn")))
        for interface in _maps_in(instance, "networkInterfaceSet", "items"):
            ids.put_run(interface.get(name) for name in ("networkInterfaceId", "vpcId", "subnetId"))
            for group in _maps_in(interface, "groupSet", "items"):
                ids.put(group.get("groupId"))
    for rule in source.maps("requestParameters", "revokedSecurityGroupRuleSet", "items"):
        ids.put_run((rule.get("securityGroupRuleId"), rule.get("groupId")))


def _listed_by_lambda(source: Source, ids: _Ids) -> None:
    for name in ("securityGroupIds", "subnetIds"):
        listed = source.at("responseElements", "vpcConfig", name)
        ids.put_run(listed if isinstance(listed, list) else ())


def _listed_by_rds(source: Source, ids: _Ids) -> None:
    for subnet in source.maps("responseElements", "dBSubnetGroup", "subnets"):
        ids.put(subnet.get("subnetIdentifier"))
    for group in source.maps("responseElements", "vpcSecurityGroups"):
        ids.put(group.get("vpcSecurityGroupId"))


def _in(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _maps_in(value: object, *path: str) -> Iterator[dict[str, object]]:
    listed = _in(value, *path)
    if isinstance(listed, list):
        yield from (element for element in listed if isinstance(element, dict))


_PATHS_EVERYWHERE: Final = tuple(map(path_of, _EVERYWHERE.split()))
_PATHS_BY_SERVICE: Final = {service: tuple(map(path_of, places.split())) for service, places in _BY_SERVICE.items()}
_LISTED: Final[dict[str, Callable[[Source, _Ids], None]]] = {
    "ec2": _listed_by_ec2,
    "lambda": _listed_by_lambda,
    "rds": _listed_by_rds,
}
