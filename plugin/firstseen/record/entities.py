"""Who acted, on what, and what else took part: ``*.entity.id``, ``entity.target.id`` and ``related.entity``.

Elastic's integration adds them where its setting ``actor_target_mapping`` is on; here they are always there to be asked
for. An actor or a target is put under the field that its kind has, user, host or service, or under ``entity`` where it
has none of them: a bare name, an account. Who acted and which targets an event has is a matter of its name
(``targets``); what takes part is found by the service.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from firstseen.record import participants
from firstseen.record.source import Source
from firstseen.record.targets import targets_of

Kind = Literal["user", "host", "service", "generic"]

_ACCESS_KEY: Final = ("AKIA", 20)
_ARN_PARTS: Final = 6
_HOST_PREFIX: Final = "i-"
_LINKED_ROLE: Final = ("/AWSServiceRoleFor", "/aws-service-role/")

_USER_IDENTITIES: Final = frozenset({"AssumedRole", "IAMUser", "Root"})
_USERS: Final = frozenset({"assumed-role", "federated-user", "role", "user"})
_HOSTS: Final = frozenset({"instance"})
_USER_TARGETS: Final = _USERS | {"instance-profile", "mfa", "serialNumber"}
_SERVICES: Final = (
    "alarm cluster configuration-recorder db detector dhcp-options document file-system function global-cluster group"
    " ipset key loadbalancer log-group log-stream model mount-target network-acl network-interface parameter policy"
    " resolver-query-log-config rule rulegroup secret security-group session stack stack-set subnet table topic trail"
    " trust-anchor vpc webacl"
)
"""Types of resources, as ARNs name them."""
_SERVICE_IDS: Final = "sg- sgr- eni- vpc- subnet- acl- rtb- igw- nat- vpce- tgw- pcx-"
_SERVICE_TARGETS: Final = frozenset(_SERVICES.split())
_SERVICE_PREFIXES: Final = tuple(_SERVICE_IDS.split())


class Entities(NamedTuple):
    """What is known of one event; targets and related entities sorted, each once."""

    actor: str | None
    actor_kind: Kind
    targets: Sequence[str]
    by_kind: dict[Kind, list[str]]
    related: Sequence[str]


def actor(source: Source, kind: Kind | None = None) -> list[str] | None:
    """``actor.entity.id``; with ``kind``, only an actor of this kind."""
    found = source.once(_entities)
    return None if found.actor is None or kind not in (None, found.actor_kind) else [found.actor]


def targets(source: Source, kind: Kind | None = None) -> list[str] | None:
    """``target.entity.id``, every target; with ``kind``, those of this kind."""
    found = source.once(_entities)
    return list(found.targets if kind is None else found.by_kind.get(kind, ())) or None


def related(source: Source) -> list[str] | None:
    """``related.entity``: everything that takes part, the targets among it."""
    return list(source.once(_entities).related) or None


def kind_of_target(target: str) -> Kind:
    """What a target is, by its ARN or by how its id begins."""
    parts = target.split(":")
    if parts[0] != "arn":
        return _kind_of_id(target)
    if len(parts) < _ARN_PARTS:
        return "generic"
    resource_type = _resource_type(parts)
    if _is_linked_role(target):
        return "service"
    if resource_type in _USER_TARGETS:
        return "user"
    if resource_type in _HOSTS:
        return "host"
    return "service" if resource_type in _SERVICE_TARGETS or parts[2] == "s3" else "generic"


def kind_of_actor(actor: str, identity_type: str | None) -> Kind:
    """What an actor is, by the type of its identity, or else by its ARN or id."""
    if identity_type == "AWSService" or _is_linked_role(actor):
        return "service"
    if identity_type in _USER_IDENTITIES:
        return "user"
    parts = actor.split(":")
    if parts[0] == "arn" and len(parts) >= _ARN_PARTS:
        resource_type = _resource_type(parts)
        if resource_type in _USERS:
            return "user"
        if resource_type in _HOSTS:
            return "host"
    return "host" if actor.startswith(_HOST_PREFIX) else "generic"


def _entities(source: Source) -> Entities:
    acting = _actor(source)
    found = targets_of(source)
    by_kind: dict[Kind, list[str]] = defaultdict(list)
    for target in sorted(found):
        by_kind[kind_of_target(target)].append(target)
    kind: Kind = "generic" if acting is None else kind_of_actor(acting, source.text("userIdentity", "type"))
    return Entities(acting, kind, sorted(found), by_kind, sorted(participants.of(source) | found))


def _actor(source: Source) -> str | None:
    """The identity itself; for a role that is assumed, who assumes it."""
    if (source.text("eventSource"), source.text("eventName")) == ("sts.amazonaws.com", "AssumeRole"):
        match source.text("userIdentity", "type"):
            case "AWSService":
                return source.text("userIdentity", "invokedBy")
            case "AssumedRole":
                return source.text("userIdentity", "sessionContext", "sessionIssuer", "arn")
            case _:
                return source.text("userIdentity", "arn")
    return source.text("userIdentity", "arn") or source.text("userIdentity", "onBehalfOf", "userId")


def _kind_of_id(target: str) -> Kind:
    start, length = _ACCESS_KEY
    if target.startswith(start) and len(target) == length:
        return "user"
    if target.startswith(_HOST_PREFIX):
        return "host"
    return "service" if target.startswith(_SERVICE_PREFIXES) else "generic"


def _resource_type(arn: Sequence[str]) -> str:
    return arn[_ARN_PARTS - 1].partition("/")[0]


def _is_linked_role(name: str) -> bool:
    return any(mark in name for mark in _LINKED_ROLE)
