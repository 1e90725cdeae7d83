"""What the actors of `support.corpus` call: requests, responses and resources, as CloudTrail writes them down."""

from __future__ import annotations

import base64
import datetime
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

T = TypeVar("T")

ROLES = ("web-instance", "order-worker", "thumbnailer", "ci-deploy", "inventory-scanner", "quarterly-report")


class Draw:
    """Names for one event, drawn when first asked for and the same ever after: in request, response and resources."""

    def __init__(self, rng: random.Random, account: str, region: str, arn: str, time: datetime.datetime) -> None:
        self._rng = rng
        self.account = account
        self.region = region
        self.caller = arn
        self.time = time

    def pick(self, choices: Sequence[T]) -> T:
        return self._rng.choice(choices)

    def number(self, low: int, high: int) -> int:
        return self._rng.randint(low, high)

    def hex(self, digits: int) -> str:
        return f"{self._rng.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        digits = self.hex(32)
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{self.pick('89ab')}{digits[17:20]}-{digits[20:]}"

    def token(self, size: int) -> str:
        """Base64 of so many bytes that mean nothing."""
        return base64.b64encode(self._rng.getrandbits(8 * size).to_bytes(size)).decode()

    def after(self, **delta: int) -> str:
        """A time after the event's, as in responses."""
        moment = self.time + datetime.timedelta(**delta)
        return f"{moment:%b} {moment.day}, {moment:%Y, %-I:%M:%S %p}"

    @cached_property
    def bucket(self) -> str:
        return f"example-{self.pick(['orders', 'media', 'reports', 'backups', 'logs'])}-{self.account}"

    @cached_property
    def object(self) -> str:
        folder = self.pick(["incoming", "processed", "thumbnails/256", "daily", "archive"])
        return f"{folder}/{self.time:%Y/%m/%d}/{self.hex(16)}.{self.pick(['json', 'parquet', 'jpg', 'csv.gz'])}"

    @cached_property
    def instance(self) -> str:
        """The one that calls, if it is one."""
        session = self.caller.rpartition("/")[2]
        return session if session.startswith("i-") else f"i-0{self.own('instance', 8)[:16]}"

    @cached_property
    def key(self) -> str:
        digits = self.own("key", 4)
        return self.arn("kms", f"key/{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:30]}")

    def own(self, kind: str, many: int) -> str:
        """Hex digits that name one of the few things of this kind that the account has."""
        return hashlib.sha256(f"{kind} {self.account} {self.number(1, many)}".encode()).hexdigest()

    @cached_property
    def role(self) -> str:
        return self.pick(ROLES)

    @cached_property
    def function(self) -> str:
        return self.pick(["thumbnailer", "order-events", "rotate-secrets", "invoice-mailer"])

    @cached_property
    def table(self) -> str:
        return self.pick(["orders", "sessions", "inventory"])

    @cached_property
    def parameter(self) -> str:
        return f"/shop/{self.pick(['prod', 'stage'])}/{self.pick(['db-host', 'features', 'endpoint', 'log-level'])}"

    @cached_property
    def secret(self) -> str:
        return self.arn("secretsmanager", f"secret:shop/database-{self.pick(['AbCdEf', 'GhIjKl', 'MnOpQr'])}")

    @cached_property
    def target_group(self) -> str:
        return self.arn("elasticloadbalancing", f"targetgroup/web/{self.own('group', 3)[:16]}")

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    def role_arn(self) -> str:
        return f"arn:aws:iam::{self.account}:role/{self.role}"


Part = Callable[[Draw], Any]


def nothing(_: Draw) -> None:
    return None


@dataclass(frozen=True)
class Call:
    """One API call of one service: ``data`` is a data event; an ``ungated`` call is never refused."""

    service: str
    name: str
    request: Part = nothing
    response: Part = nothing
    resources: Part | None = None
    additional: Part | None = None
    read_only: bool = True
    data: bool = False
    ungated: bool = False
    event_type: str = "AwsApiCall"
    api_version: str = ""
    refusal: str = "AccessDenied"

    @property
    def source(self) -> str:
        return f"{self.service}.amazonaws.com"

    def resource(self, draw: Draw) -> str:
        """What a refusal names."""
        found = self.resources(draw) if self.resources else []
        return found[0].get("ARN", "*") if found else f"arn:aws:{self.service}:{draw.region}:{draw.account}:*"


def hostname(call: Call, draw: Draw) -> str:
    """The ``Host`` that the client asked for."""
    match call.service, call.resources:
        case "iam", _:
            return "iam.amazonaws.com"
        case "signin", _:
            return f"{draw.region}.signin.aws.amazon.com"
        case "s3", resources if resources is not None:
            return bucket_host(draw)
        case service, _:
            return f"{service}.{draw.region}.amazonaws.com"


def bucket_host(draw: Draw) -> str:
    return f"{draw.bucket}.s3.{draw.region}.amazonaws.com"


def s3_extra(draw: Draw) -> dict[str, Any]:
    return {
        "SignatureVersion": "SigV4",
        "CipherSuite": "TLS_AES_128_GCM_SHA256",
        "bytesTransferredIn": draw.pick([0, 0, 0, 2048, 183_422]),
        "AuthenticationMethod": "AuthHeader",
        "x-amz-id-2": draw.token(56),
        "bytesTransferredOut": draw.number(0, 90_000),
    }


def bucket_of(draw: Draw) -> list[dict[str, str]]:
    return [{"accountId": draw.account, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{draw.bucket}"}]


def object_of(draw: Draw) -> list[dict[str, str]]:
    return [{"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{draw.bucket}/{draw.object}"}, *bucket_of(draw)]


def key_of(draw: Draw) -> list[dict[str, str]]:
    return [{"accountId": draw.account, "type": "AWS::KMS::Key", "ARN": draw.key}]


def table_of(draw: Draw) -> list[dict[str, str]]:
    arn = draw.arn("dynamodb", f"table/{draw.table}")
    return [{"accountId": draw.account, "type": "AWS::DynamoDB::Table", "ARN": arn}]


def function_of(draw: Draw) -> list[dict[str, str]]:
    arn = draw.arn("lambda", f"function:{draw.function}")
    return [{"accountId": draw.account, "type": "AWS::Lambda::Function", "ARN": arn}]


def role_of(draw: Draw) -> list[dict[str, str]]:
    return [{"accountId": draw.account, "type": "AWS::IAM::Role", "ARN": draw.role_arn()}]


def get_object(draw: Draw) -> dict[str, Any]:
    return {"bucketName": draw.bucket, "Host": bucket_host(draw), "key": draw.object}


def bucket_request(operation: str) -> Part:
    return lambda draw: {"bucketName": draw.bucket, "Host": bucket_host(draw), operation: ""}


def items(name: str, key: str, value: Callable[[Draw], str]) -> Part:
    """How EC2 writes lists."""
    return lambda draw: {name: {"items": [{key: value(draw)}]}, "filterSet": {}}


def filtered(draw: Draw) -> dict[str, Any]:
    tag = {"name": "tag:Environment", "valueSet": {"items": [{"value": draw.pick(["prod", "stage", "dev"])}]}}
    return {"maxResults": 100, "filterSet": {"items": [tag]}}


def session_credentials(draw: Draw) -> dict[str, Any]:
    return {
        "accessKeyId": f"ASIA{draw.hex(9).upper()}EXAMPLE",
        "sessionToken": draw.token(48),
        "expiration": draw.after(hours=1),
    }


def issued(draw: Draw) -> dict[str, Any]:
    return {"credentials": session_credentials(draw), "packedPolicySize": 6}


def assumed(draw: Draw) -> dict[str, Any]:
    name = f"{draw.role}-{draw.hex(8)}"
    arn = f"arn:aws:sts::{draw.account}:assumed-role/{draw.role}/{name}"
    role_id = f"AROA{draw.hex(10).upper()}EXAMPLE"
    return {
        "credentials": session_credentials(draw),
        "assumedRoleUser": {"assumedRoleId": f"{role_id}:{name}", "arn": arn},
    }


def run_instances(draw: Draw) -> dict[str, Any]:
    return {
        "instancesSet": {"items": [{"imageId": f"ami-{draw.hex(17)}", "minCount": 1, "maxCount": 1}]},
        "instanceType": draw.pick(["t3.medium", "m7g.large"]),
        "blockDeviceMapping": {},
        "monitoring": {"enabled": False},
        "subnetId": f"subnet-{draw.hex(17)}",
        "disableApiTermination": False,
        "clientToken": draw.uuid(),
    }


def started(draw: Draw) -> dict[str, Any]:
    state = {"code": 0, "name": "pending"}
    instance = {"instanceId": draw.instance, "instanceState": state, "privateIpAddress": "192.0.2.114"}
    return {"requestId": draw.uuid(), "ownerId": draw.account, "instancesSet": {"items": [instance]}}


def login_extra(draw: Draw) -> dict[str, Any]:
    url = f"https://console.aws.amazon.com/console/home?hashArgs=%23&isauthcode=true&state={draw.hex(16)}"
    return {
        "LoginTo": url,
        "MobileVersion": "No",
        "MFAIdentifier": f"arn:aws:iam::{draw.account}:mfa/keyring",
        "MFAUsed": "Yes",
    }


def decryption(draw: Draw) -> dict[str, Any]:
    context = {"aws:s3:arn": f"arn:aws:s3:::{draw.bucket}/{draw.object}"}
    return {"keyId": draw.key, "encryptionAlgorithm": "SYMMETRIC_DEFAULT", "encryptionContext": context}


def code(draw: Draw) -> dict[str, Any]:
    place = {"s3Bucket": draw.bucket, "s3Key": draw.object}
    return {"functionName": draw.function, **place, "publish": True, "dryRun": False}


def updated_function(draw: Draw) -> dict[str, Any]:
    return {
        "functionName": draw.function,
        "functionArn": draw.arn("lambda", f"function:{draw.function}"),
        "runtime": "python3.13",
        "role": f"arn:aws:iam::{draw.account}:role/{draw.function}",
        "codeSize": draw.number(10_000, 900_000),
        "codeSha256": draw.token(32),
        "lastModified": f"{draw.time:%Y-%m-%dT%H:%M:%S}.000+0000",
    }


def snapshot(draw: Draw) -> dict[str, Any]:
    return {"dBSnapshotIdentifier": f"nightly-{draw.time:%Y%m%d%H%M}", "dBInstanceIdentifier": "shop-prod"}


def instance_information(draw: Draw) -> dict[str, Any]:
    return {
        "instanceId": draw.instance,
        "agentVersion": "3.3.3050.0",
        "agentStatus": "Active",
        "platformType": "Linux",
        "platformName": "Amazon Linux",
        "platformVersion": "2023",
        "iPAddress": f"192.0.2.{draw.number(10, 200)}",
        "agentName": "amazon-ssm-agent",
    }


def log_stream(draw: Draw) -> dict[str, Any]:
    stream = f"{draw.time:%Y/%m/%d}/[$LATEST]{draw.hex(32)}"
    return {"logGroupName": f"/aws/lambda/{draw.function}", "logStreamName": stream}


def image(draw: Draw) -> dict[str, Any]:
    tags = [{"imageTag": f"1.{draw.number(0, 90)}.0"}]
    return {"registryId": draw.account, "repositoryName": "shop/web", "imageIds": tags}


def new_service(draw: Draw) -> dict[str, Any]:
    return {"service": "web", "cluster": "shop-prod", "taskDefinition": f"web:{draw.number(100, 400)}"}


def role_request(draw: Draw) -> dict[str, Any]:
    return {"roleArn": draw.role_arn(), "roleSessionName": draw.role, "durationSeconds": 3600}


def pipeline_response(draw: Draw) -> dict[str, Any]:
    return {"credentials": session_credentials(draw), "provider": "ci.example.com", "audience": "sts.amazonaws.com"}


def query(draw: Draw) -> dict[str, Any]:
    return {"queryString": "***OMITTED***", "clientRequestToken": draw.uuid(), "workGroup": "reports"}


def item(draw: Draw) -> dict[str, Any]:
    return {"tableName": draw.table, "key": {"id": draw.hex(24)}}


DATA: dict[str, Any] = {"data": True}
WRITE: dict[str, Any] = {"read_only": False}
S3: dict[str, Any] = {"additional": s3_extra}
DDB: dict[str, Any] = {"api_version": "2012-08-10", "resources": table_of}
LOGS: dict[str, Any] = {"api_version": "20140328"}
LAMBDA: dict[str, Any] = {"api_version": "2015-03-31"}
SIGN_IN: dict[str, Any] = {"additional": login_extra, "event_type": "AwsConsoleSignIn", "ungated": True}
EC2: dict[str, Any] = {"refusal": "Client.UnauthorizedOperation"}

# fmt: off
_TABLE = [
    Call("s3", "GetObject", get_object, resources=object_of, **S3, **DATA),
    Call("s3", "PutObject", get_object, resources=object_of, **S3, **DATA, **WRITE),
    Call("s3", "GetBucketAcl", bucket_request("acl"), resources=bucket_of, **S3),
    Call("s3", "GetBucketLocation", bucket_request("location"), resources=bucket_of, **S3),
    Call("s3", "ListBuckets", lambda d: {"Host": f"s3.{d.region}.amazonaws.com"}, **S3),
    Call("kms", "Decrypt", decryption, resources=key_of),
    Call("kms", "GenerateDataKey", lambda d: {"keyId": d.key, "keySpec": "AES_256"}, resources=key_of),
    Call("kms", "DescribeKey", lambda d: {"keyId": d.key}, resources=key_of),
    Call("sts", "GetCallerIdentity", ungated=True),
    Call("sts", "AssumeRole", role_request, assumed, role_of),
    Call("sts", "AssumeRoleWithWebIdentity", role_request, pipeline_response),
    Call("sts", "GetFederationToken", lambda _: {"name": "quarterly-report"}, issued),
    Call("iam", "GetRole", lambda d: {"roleName": d.role}),
    Call("iam", "GetUser"),
    Call("iam", "ListUsers", lambda d: {"maxItems": 100}),
    Call("iam", "ListRoles", lambda d: {"maxItems": 100}),
    Call("iam", "ListAttachedRolePolicies", lambda d: {"roleName": d.role}),
    Call("iam", "ListAccessKeys", lambda d: {"userName": d.pick(["terraform", "legacy-report", "report-issuer"])}),
    Call("iam", "GetAccountAuthorizationDetails", lambda d: {"maxItems": 1000}),
    Call("iam", "CreateUser", lambda d: {"userName": "support-2"}, **WRITE),
    Call("ec2", "DescribeInstances", items("instancesSet", "instanceId", lambda d: d.instance), **EC2),
    Call("ec2", "DescribeSecurityGroups", filtered, **EC2),
    Call("ec2", "DescribeVolumes", filtered, **EC2),
    Call("ec2", "DescribeSubnets", filtered, **EC2),
    Call("ec2", "DescribeRegions", lambda d: {"regionSet": {}}, **EC2),
    Call("ec2", "RunInstances", run_instances, started, **EC2, **WRITE),
    Call("lambda", "Invoke", lambda d: {"functionName": d.function}, resources=function_of, **DATA, **WRITE),
    Call("lambda", "GetFunction20150331v2", lambda d: {"functionName": d.function}, **LAMBDA),
    Call("lambda", "ListFunctions20150331", lambda d: {"maxItems": 50}, **LAMBDA),
    Call("lambda", "UpdateFunctionCode20150331v2", code, updated_function, **LAMBDA, **WRITE),
    Call("dynamodb", "DescribeTable", lambda d: {"tableName": d.table}, **DDB),
    Call("dynamodb", "GetItem", item, **DDB, **DATA),
    Call("dynamodb", "UpdateItem", item, **DDB, **DATA, **WRITE),
    Call("rds", "DescribeDBInstances", lambda d: {"dBInstanceIdentifier": d.pick(["shop-prod", "shop-stage"])}),
    Call("rds", "CreateDBSnapshot", snapshot, lambda d: {**snapshot(d), "kmsKeyId": d.key}, **WRITE),
    Call("ssm", "GetParameter", lambda d: {"name": d.parameter, "withDecryption": True}),
    Call("ssm", "DescribeParameters", lambda d: {"maxResults": 50}),
    Call("ssm", "UpdateInstanceInformation", instance_information, **WRITE),
    Call("secretsmanager", "GetSecretValue", lambda d: {"secretId": d.secret}),
    Call("logs", "DescribeLogGroups", lambda d: {"logGroupNamePrefix": f"/aws/lambda/{d.function}"}, **LOGS),
    Call("logs", "CreateLogStream", log_stream, **LOGS, **WRITE),
    Call("ecr", "GetAuthorizationToken"),
    Call("ecr", "BatchGetImage", image),
    Call("ecs", "DescribeServices", lambda d: {"services": [d.pick(["web", "worker"])], "cluster": "shop-prod"}),
    Call("ecs", "UpdateService", new_service, lambda _: {"service": {"status": "ACTIVE"}}, **WRITE),
    Call("cloudformation", "DescribeStacks", lambda d: {"stackName": d.pick(["network", "shop-web", "shop-data"])}),
    Call("autoscaling", "DescribeAutoScalingGroups", lambda d: {"maxRecords": 100}),
    Call("elasticloadbalancing", "DescribeTargetHealth", lambda d: {"targetGroupArn": d.target_group}),
    Call("monitoring", "DescribeAlarms", lambda d: {"maxRecords": 100, "stateValue": "ALARM"}),
    Call("cloudtrail", "LookupEvents", lambda d: {"maxResults": 50}),
    Call("ses", "GetSendQuota"),
    Call("athena", "StartQueryExecution", query, lambda d: {"queryExecutionId": d.uuid()}, **WRITE),
    Call("athena", "GetQueryResults", lambda d: {"queryExecutionId": d.uuid(), "maxResults": 1000}),
    Call("signin", "ConsoleLogin", nothing, lambda d: {"ConsoleLogin": "Success"}, **SIGN_IN, **WRITE),
]
# fmt: on

CALLS = {f"{call.service}:{call.name}": call for call in _TABLE}
