"""Who is in the day of `support.corpus`: people, machines and services with their rhythms, and what happens once.

Accounts, addresses and domains are those reserved for documentation.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

PRODUCTION, DEVELOPMENT, SECURITY, DATA = "111122223333", "444455556666", "123456789012", "210987654321"

CLI = "aws-cli/2.31.13 Python/3.13.7 Linux/6.8.0-86-generic exe/x86_64"
BOTO = "Boto3/1.40.55 md/Botocore#1.40.55 ua/2.1 os/linux lang/python#3.12.11"
PLANNING = "APN/1.0 HashiCorp/1.0 Terraform/1.13.4 terraform-provider-aws/6.17.0 aws-sdk-go-v2/1.39.3"
JAVA = "aws-sdk-java/2.35.8 md/io#async ua/2.1 os/Linux lang/java#21.0.8"
SSM_AGENT = "aws-sdk-go/1.55.5 (go1.24.6; linux; amd64) amazon-ssm-agent/"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
STRANGE = "aws-cli/1.22.34 Python/3.10.12 Linux/6.6.9-amd64 botocore/1.23.34"

OFFICE = (1, 0, 0, 0, 0, 1, 3, 9, 20, 24, 23, 18, 12, 20, 24, 23, 19, 12, 6, 3, 2, 2, 1, 1)
ALWAYS = (4,) * 7 + (5, 6, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 5, 5, 5, 4, 4)
NIGHT = (0, 6, 30, 12, 2) + (0,) * 19


@dataclass(frozen=True)
class Actor:
    """Who calls. ``kind`` is CloudTrail's ``userIdentity.type``, ``name`` the user's, the role's or the service's.

    ``share`` of the day's events, by the weights of ``rhythm`` for its 24 hours; ``calls`` are weighed likewise. A part
    ``refused`` of them fails. ``issuer`` is who stands behind a federated user or a role's session.
    """

    kind: str
    account: str
    name: str
    share: float
    rhythm: Sequence[int]
    addresses: Sequence[str]
    agent: str
    calls: dict[str, int]
    session: str = ""
    region: str = "eu-central-1"
    path: str = "/"
    issuer: str = ""
    delivered_by_ec2: bool = False
    console: bool = False
    endpoint: str = ""
    refused: float = 0.0

    @property
    def arn(self) -> str:
        """As in ``userIdentity.arn``; empty for those of whom CloudTrail writes none."""
        match self.kind:
            case "IAMUser":
                return f"arn:aws:iam::{self.account}:user{self.path}{self.name}"
            case "AssumedRole":
                return f"arn:aws:sts::{self.account}:assumed-role/{self.name}/{self.session}"
            case "FederatedUser":
                return f"arn:aws:sts::{self.account}:federated-user/{self.name}"
            case "Root":
                return f"arn:aws:iam::{self.account}:root"
        return ""


@dataclass(frozen=True)
class Scene:
    """Calls that happen once, from a time of the day on, some seconds apart."""

    actor: Actor
    start: datetime.time
    calls: Sequence[str]
    gap_s: int = 5


# From here on it is a table.
# fmt: off

CONSOLE = {
    "ec2:DescribeInstances": 6, "ec2:DescribeSecurityGroups": 3, "ec2:DescribeVolumes": 2, "s3:ListBuckets": 2,
    "s3:GetBucketLocation": 3, "logs:DescribeLogGroups": 4, "monitoring:DescribeAlarms": 4, "iam:ListRoles": 2,
    "lambda:ListFunctions20150331": 2, "rds:DescribeDBInstances": 2, "dynamodb:DescribeTable": 2,
    "cloudformation:DescribeStacks": 2, "ecs:DescribeServices": 2, "cloudtrail:LookupEvents": 1,
}
PIPELINE = {
    "sts:GetCallerIdentity": 3, "ecr:GetAuthorizationToken": 3, "ecr:BatchGetImage": 4, "ecs:DescribeServices": 6,
    "ecs:UpdateService": 2, "cloudformation:DescribeStacks": 6, "lambda:UpdateFunctionCode20150331v2": 2,
    "lambda:GetFunction20150331v2": 4, "s3:PutObject": 2, "iam:GetRole": 4, "ssm:GetParameter": 3,
}
INSTANCE = {
    "ssm:UpdateInstanceInformation": 8, "s3:GetObject": 4, "s3:PutObject": 2, "dynamodb:GetItem": 3, "kms:Decrypt": 5,
    "secretsmanager:GetSecretValue": 2, "ecr:BatchGetImage": 1, "ssm:GetParameter": 6, "ec2:DescribeInstances": 3,
}
LOOKING_AROUND = (
    "sts:GetCallerIdentity", "iam:GetUser", "s3:ListBuckets", "iam:ListUsers", "iam:ListRoles", "iam:ListAccessKeys",
    "iam:GetAccountAuthorizationDetails", "ec2:DescribeInstances", "ec2:DescribeRegions", "ses:GetSendQuota",
    "lambda:ListFunctions20150331", "ssm:DescribeParameters", "secretsmanager:GetSecretValue", "s3:GetObject",
    "s3:GetObject", "rds:DescribeDBInstances", "cloudtrail:LookupEvents", "iam:CreateUser",
)


def _service(name: str, account: str, share: float, calls: dict[str, int]) -> Actor:
    return Actor("AWSService", account, name, share, ALWAYS, [name], name, calls)


def _person(account: str, name: str, permission_set: str, share: float) -> Actor:
    """Somebody who signs in through IAM Identity Center and uses the console."""
    number = hashlib.sha256(f"{account}{permission_set}".encode()).hexdigest()[:16]
    addresses = ["198.51.100.17", "198.51.100.18", "2001:db8:51:100::17"]
    return Actor(
        "AssumedRole", account, f"AWSReservedSSO_{permission_set}_{number}", share, OFFICE, addresses, BROWSER, CONSOLE,
        session=f"{name}@example.com", path="/aws-reserved/sso.amazonaws.com/eu-central-1/", console=True, refused=0.02,
    )


def _web_instance(name: str, address: str) -> Actor:
    return Actor(
        "AssumedRole", PRODUCTION, "web-instance", 0.04, ALWAYS, [address], SSM_AGENT, INSTANCE, session=name,
        delivered_by_ec2=True, endpoint="vpce-0d5c7a1f93b2e4680",
    )


def _pipeline(account: str, share: float) -> Actor:
    addresses = [f"203.0.113.{last}" for last in range(128, 144)]
    return Actor(
        "AssumedRole", account, "ci-deploy", share, OFFICE, addresses, CLI, PIPELINE, session="pipeline",
        issuer="ci.example.com",
    )


def _at_a_prompt(person: Actor) -> Actor:
    return replace(person, agent=CLI, console=False)


PLANNER = Actor(
    "IAMUser", PRODUCTION, "terraform", 0.12, OFFICE, ["198.51.100.40"], PLANNING,
    {
        "sts:GetCallerIdentity": 1, "ec2:DescribeInstances": 6, "ec2:DescribeSubnets": 5, "ec2:DescribeVolumes": 4,
        "ec2:DescribeSecurityGroups": 5, "iam:GetRole": 8, "iam:ListAttachedRolePolicies": 6, "kms:DescribeKey": 3,
        "s3:GetBucketAcl": 2, "s3:GetBucketLocation": 2, "dynamodb:DescribeTable": 3, "rds:DescribeDBInstances": 3,
        "ec2:RunInstances": 1, "elasticloadbalancing:DescribeTargetHealth": 2,
    }, path="/automation/",
)
MONITOR = Actor(
    "IAMUser", PRODUCTION, "monitoring", 0.2, ALWAYS, ["203.0.113.210", "203.0.113.211"], BOTO,
    {
        "monitoring:DescribeAlarms": 8, "ec2:DescribeInstances": 4, "rds:DescribeDBInstances": 4,
        "autoscaling:DescribeAutoScalingGroups": 5, "logs:DescribeLogGroups": 3, "ecs:DescribeServices": 4,
        "elasticloadbalancing:DescribeTargetHealth": 4, "ses:GetSendQuota": 2,
    },
)
SCANNER = Actor(
    "AssumedRole", SECURITY, "inventory-scanner", 0.04, ALWAYS, ["203.0.113.201"], BOTO,
    {
        "sts:GetCallerIdentity": 2, "ec2:DescribeInstances": 5, "ec2:DescribeSecurityGroups": 5, "iam:ListRoles": 4,
        "iam:ListUsers": 4, "iam:ListAccessKeys": 5, "s3:ListBuckets": 3, "s3:GetBucketAcl": 3, "kms:DescribeKey": 3,
        "lambda:ListFunctions20150331": 3, "rds:DescribeDBInstances": 3, "sts:AssumeRole": 4,
    }, session="inventory",
)
REPORTS = Actor(
    "IAMUser", DATA, "legacy-report", 0.05, NIGHT, ["198.51.100.80"], BOTO,
    {"athena:StartQueryExecution": 5, "athena:GetQueryResults": 9, "s3:GetObject": 3, "s3:PutObject": 1},
)
ISSUER = Actor(
    "IAMUser", DATA, "report-issuer", 0.005, OFFICE, ["198.51.100.81"], BOTO, {"sts:GetFederationToken": 1},
)
READER = Actor(
    "FederatedUser", DATA, "quarterly-report", 0.01, OFFICE, ["198.51.100.82", "2001:db8:51:100::82"], CLI,
    {"s3:GetObject": 2, "s3:ListBuckets": 1, "athena:GetQueryResults": 5}, issuer="report-issuer",
)
WORKER = Actor(
    "AssumedRole", PRODUCTION, "order-worker", 0.05, ALWAYS, ["203.0.113.60", "203.0.113.61"], JAVA,
    {"dynamodb:GetItem": 4, "dynamodb:UpdateItem": 3, "kms:Decrypt": 3, "kms:GenerateDataKey": 2, "s3:PutObject": 1},
    session="7e57c0dea11f00d5beef0123456789ab", refused=0.01,
)
THUMBNAILER = Actor(
    "AssumedRole", PRODUCTION, "thumbnailer", 0.04, ALWAYS, ["203.0.113.90"], BOTO,
    {"s3:GetObject": 2, "s3:PutObject": 2, "logs:CreateLogStream": 4, "kms:Decrypt": 2}, session="thumbnailer",
)
WORKFLOW = Actor(
    "WebIdentityUser", PRODUCTION, "repo:example/shop:ref:refs/heads/main", 0.01, OFFICE, ["203.0.113.130"], CLI,
    {"sts:AssumeRoleWithWebIdentity": 1}, issuer="ci.example.com",
)
NEIGHBOUR = Actor(
    "AWSAccount", PRODUCTION, "inventory-scanner", 0.01, ALWAYS, ["203.0.113.201"], BOTO, {"sts:AssumeRole": 1},
    session="inventory", issuer=SECURITY,
)
SERVICES = [
    _service("ec2.amazonaws.com", PRODUCTION, 0.02, {"sts:AssumeRole": 1}),
    _service("lambda.amazonaws.com", PRODUCTION, 0.03, {"sts:AssumeRole": 3, "lambda:Invoke": 1}),
    _service("ecs-tasks.amazonaws.com", PRODUCTION, 0.02, {"sts:AssumeRole": 1}),
    _service("cloudtrail.amazonaws.com", SECURITY, 0.06, {"s3:GetBucketAcl": 1, "kms:GenerateDataKey": 5}),
    _service("dynamodb.amazonaws.com", PRODUCTION, 0.1, {"kms:Decrypt": 1}),
    _service("rds.amazonaws.com", DATA, 0.02, {"rds:CreateDBSnapshot": 1, "kms:GenerateDataKey": 6}),
]
WEB = [
    _web_instance("i-05eb00a127c3f9d14", "203.0.113.20"),
    _web_instance("i-0c41d87e2a90b6f35", "203.0.113.21"),
    _web_instance("i-0f7b3e6d5190a2c48", "203.0.113.22"),
]
DEVELOPER = _person(DEVELOPMENT, "richard.roe", "PowerUserAccess", 0.05)
ADMINISTRATOR = _person(SECURITY, "jane.doe", "AdministratorAccess", 0.03)
AUDITOR = _person(PRODUCTION, "mary.major", "ReadOnlyAccess", 0.03)
ROOT = Actor("Root", SECURITY, "root", 0, OFFICE, ["198.51.100.17"], BROWSER, {}, region="us-east-1")

CAST = [
    *WEB, *SERVICES, PLANNER, MONITOR, SCANNER, REPORTS, ISSUER, READER, WORKER, THUMBNAILER, WORKFLOW, NEIGHBOUR,
    DEVELOPER, ADMINISTRATOR, AUDITOR, _pipeline(PRODUCTION, 0.05), _pipeline(DEVELOPMENT, 0.04),
]

STOLEN_KEY = replace(REPORTS, addresses=["192.0.2.66"], agent=STRANGE, refused=0.85, region="us-east-1")
STOLEN_SESSION = replace(WEB[1], addresses=["2001:db8:bad::66"], agent=STRANGE, refused=0.7, endpoint="")

SCENES = [
    Scene(ROOT, datetime.time(7, 58, 12), ["signin:ConsoleLogin"]),
    Scene(_at_a_prompt(DEVELOPER), datetime.time(9, 17, 45), ["sts:GetCallerIdentity", "s3:ListBuckets"]),
    Scene(READER, datetime.time(10, 33, 9), ["sts:GetCallerIdentity"]),
    Scene(_at_a_prompt(ADMINISTRATOR), datetime.time(11, 5, 50), ["sts:GetCallerIdentity", "iam:ListUsers"]),
    Scene(STOLEN_KEY, datetime.time(13, 41, 7), LOOKING_AROUND, gap_s=4),
    Scene(STOLEN_SESSION, datetime.time(20, 26, 38), LOOKING_AROUND[:9], gap_s=11),
]
