"""A day of CloudTrail that never happened: synthetic, realistic in shape and size, the same for the same seed.

Four accounts, people and machines with their rhythms, a root login, and credentials in the wrong hands. Accounts,
addresses and domains are those reserved for documentation.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support.corpus_calls import CALLS, Call, Draw, hostname
from support.corpus_cast import CAST, SCENES, Actor

SEED = 20260524
DATE = datetime.date(2026, 5, 24)
FEWEST = 200


def day(date: datetime.date = DATE, records: int = 4000, seed: int = SEED) -> list[dict[str, Any]]:
    """That many records of that day, in the order of their times. Raises `ValueError` for too few to tell the story."""
    if records < FEWEST:
        raise ValueError(f"a day has at least {FEWEST} records, got {records}")
    rng = random.Random(f"{seed} {date}")
    midnight = datetime.datetime.combine(date, datetime.time())
    planned = [
        (
            datetime.datetime.combine(date, scene.start) + datetime.timedelta(seconds=scene.gap_s * number),
            scene.actor,
            name,
        )
        for scene in SCENES
        for number, name in enumerate(scene.calls)
    ]
    for actor in rng.choices(CAST, [actor.share for actor in CAST], k=records - len(planned)):
        (hour,) = rng.choices(range(24), actor.rhythm)
        time = midnight + datetime.timedelta(hours=hour, seconds=rng.randrange(3600))
        (name,) = rng.choices(list(actor.calls), list(actor.calls.values()))
        planned.append((time, actor, name))
    planned.sort(key=lambda plan: plan[0])
    return [_record(rng, time, actor, CALLS[name]) for time, actor, name in planned]


def firsts(records: Iterable[dict[str, Any]]) -> set[str]:
    """The ids of those that are the first GetCallerIdentity of their ARN."""
    found: dict[str, str] = {}
    for record in records:
        if record["eventName"] == "GetCallerIdentity":
            found.setdefault(record["userIdentity"]["arn"], record["eventID"])
    return set(found.values())


def write_day(path: Path, date: datetime.date = DATE, records: int = 4000, seed: int = SEED) -> list[dict[str, Any]]:
    """Write `day` as CloudTrail delivers it, gzipped where ``path`` ends in .gz; returns its records."""
    written = day(date, records, seed)
    data = json.dumps({"Records": written}, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return written


def _record(rng: random.Random, time: datetime.datetime, actor: Actor, call: Call) -> dict[str, Any]:
    """One record, its keys in CloudTrail's order."""
    region = "us-east-1" if call.service == "iam" else actor.region
    draw = Draw(rng, actor.account, region, actor.arn, time)
    service = actor.kind == "AWSService"
    refused = not call.ungated and rng.random() < actor.refused
    record: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": _identity(actor, time),
        "eventTime": f"{time:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": call.source,
        "eventName": call.name,
        "awsRegion": region,
        "sourceIPAddress": rng.choice(actor.addresses),
        "userAgent": actor.agent,
    }
    if refused:
        record |= _refusal(actor, call, draw)
    record |= {"requestParameters": call.request(draw), "responseElements": None if refused else call.response(draw)}
    if call.additional is not None:
        record["additionalEventData"] = call.additional(draw)
    if call.service != "signin":
        record["requestID"] = draw.hex(16).upper() if call.service == "s3" else draw.uuid()
    record |= {"eventID": draw.uuid(), "readOnly": call.read_only}
    if call.resources is not None:
        record["resources"] = call.resources(draw)
    record["eventType"] = call.event_type
    if call.api_version:
        record["apiVersion"] = call.api_version
    record |= {"managementEvent": not call.data, "recipientAccountId": actor.account}
    if service:
        record["sharedEventID"] = draw.uuid()
    if actor.endpoint and call.service in ("s3", "dynamodb", "kms"):
        record |= {"vpcEndpointId": actor.endpoint, "vpcEndpointAccountId": actor.account}
    record["eventCategory"] = "Data" if call.data else "Management"
    if not service and not actor.console:
        record["tlsDetails"] = {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": hostname(call, draw),
        }
    if actor.console:
        record["sessionCredentialFromConsole"] = "true"
    return record


def _refusal(actor: Actor, call: Call, draw: Draw) -> dict[str, str]:
    action = f"{call.service}:{call.name}"
    reason = f"because no identity-based policy allows the {action} action"
    message = f"User: {actor.arn} is not authorized to perform: {action} on resource: {call.resource(draw)} {reason}"
    return {"errorCode": call.refusal, "errorMessage": message}


def _identity(actor: Actor, time: datetime.datetime) -> dict[str, Any]:
    """CloudTrail's ``userIdentity``. Keys of a session last for its hours, those of a user for ever."""
    account = actor.account
    match actor.kind:
        case "AWSService":
            return {"type": "AWSService", "invokedBy": actor.name}
        case "AWSAccount":
            caller = f"{_unique('AROA', 10, actor.issuer, actor.name)}:{actor.session}"
            return {"type": "AWSAccount", "principalId": caller, "accountId": actor.issuer}
        case "WebIdentityUser":
            provider = f"arn:aws:iam::{account}:oidc-provider/{actor.issuer}"
            principal = f"{provider}:sts.amazonaws.com:{actor.name}"
            return {"type": actor.kind, "principalId": principal, "userName": actor.name, "identityProvider": provider}
        case "Root":
            return {"type": "Root", "principalId": account, "arn": actor.arn, "accountId": account, "accessKeyId": ""}
        case "IAMUser":
            return {**_user(actor.kind, account, actor.arn, actor.name), "userName": actor.name}
    return _session(actor, time)


def _session(actor: Actor, time: datetime.datetime) -> dict[str, Any]:
    """A role's session or a federated user: temporary credentials, anew each hour, and who issued them."""
    account = actor.account
    began = time.replace(minute=0, second=0) - datetime.timedelta(seconds=len(actor.arn) * 7)
    access_key = _unique("ASIA", 9, actor.arn, began.isoformat())
    if actor.kind == "FederatedUser":
        user = _user("IAMUser", account, f"arn:aws:iam::{account}:user/{actor.issuer}", actor.issuer)
        issuer = {key: user[key] for key in ("type", "principalId", "arn", "accountId")} | {"userName": actor.issuer}
        principal = f"{account}:{actor.name}"
    else:
        role = f"arn:aws:iam::{account}:role{actor.path}{actor.name}"
        role_id = _unique("AROA", 10, account, actor.name)
        issuer = {"type": "Role", "principalId": role_id, "arn": role, "accountId": account, "userName": actor.name}
        principal = f"{role_id}:{actor.session}"
    context: dict[str, Any] = {"sessionIssuer": issuer}
    if actor.kind == "AssumedRole" and actor.issuer:
        provider = f"arn:aws:iam::{account}:oidc-provider/{actor.issuer}"
        context["webIdFederationData"] = {"federatedProvider": provider, "attributes": {}}
    context["attributes"] = {"creationDate": f"{began:%Y-%m-%dT%H:%M:%SZ}", "mfaAuthenticated": "false"}
    if actor.delivered_by_ec2:
        context["ec2RoleDelivery"] = "2.0"
    return {
        "type": actor.kind,
        "principalId": principal,
        "arn": actor.arn,
        "accountId": account,
        "accessKeyId": access_key,
        "sessionContext": context,
    }


def _user(kind: str, account: str, arn: str, name: str) -> dict[str, str]:
    return {
        "type": kind,
        "principalId": _unique("AIDA", 10, account, name),
        "arn": arn,
        "accountId": account,
        "accessKeyId": _unique("AKIA", 9, account, name),
    }


def _unique(prefix: str, size: int, *of: str) -> str:
    """An identifier that follows from what it is of, and ends so that no scanner takes it for a secret."""
    return prefix + base64.b32encode(hashlib.sha256("\0".join(of).encode()).digest())[:size].decode() + "EXAMPLE"
