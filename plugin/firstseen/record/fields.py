"""The type a field has in Elasticsearch, and which of a record's values are searchable under it.

The types are those of the Elastic Common Schema, in a table beside this file, and those of fields that Elastic's
integrations and rules add to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from firstseen.model import Scalar
from firstseen.record.tree import Node, leaves, scalars

NO_LIMIT: Final = 2**31 - 1
"""`ignore_above` of a type that has none."""

_KEYWORD_LIMIT = 1_024
_LONGER_KEYWORDS = {
    "aws.cloudtrail.request_parameters": 8_191,
    "aws.cloudtrail.response_elements": 8_191,
    "url.query": 2_083,
}
FLATTENED_LIMIT: Final = 32_766
"""The longest term Lucene takes."""

_MULTI_FIELDS = ("text", "caseless")
_KEYWORDS_BELOW = "aws.cloudtrail."
"""Where every field is a keyword that is not known as something else."""

_BEYOND_ECS: Final = {
    "constant_keyword": "event.dataset event.module",
    "long": (
        "kibana.alert.risk_score o365.audit.OperationCount network_traffic.memcached.response.status_code"
        " process.pgid process.parent.pgid"
    ),
    "boolean": (
        "aws.cloudtrail.read_only"
        " aws.cloudtrail.console_login.additional_eventdata.mfa_used"
        " aws.cloudtrail.console_login.additional_eventdata.mobile_version"
        " azure.signinlogs.properties.is_interactive beacon_stats.is_beaconing github.repository_public"
        " kubernetes.audit.requestObject.spec.hostIPC kubernetes.audit.requestObject.spec.hostNetwork"
        " kubernetes.audit.requestObject.spec.hostPID"
        " kubernetes.audit.requestObject.spec.containers.securityContext.privileged"
        " kubernetes.audit.requestObject.spec.containers.securityContext.allowPrivilegeEscalation"
        " network_traffic.memcached.request.noreply o365.audit.ParticipantInfo.HasForeignTenantUsers"
        " o365.audit.ParticipantInfo.HasGuestUsers o365.audit.ParticipantInfo.HasOtherGuestUsers"
    ),
    "date": "aws.cloudtrail.user_identity.session_context.creation_date",
    "wildcard": "process.parent.group_leader.command_line",
    "match_only_text": "powershell.file.script_block_text",
    "flattened": (
        "aws.cloudtrail.flattened.request_parameters aws.cloudtrail.flattened.response_elements"
        " aws.cloudtrail.flattened.additional_eventdata aws.cloudtrail.flattened.service_event_details"
        " aws.cloudtrail.flattened.digest aws.cloudtrail.flattened.insight_details"
    ),
}


@lru_cache(maxsize=4096)
def field_type(name: str) -> str:
    """The Elasticsearch type of the field ``name``; ``unknown`` for one of which it is not known.

    ``flattened`` is a whole flattened object, ``flattened_key`` a name below one; ``text`` and ``caseless`` are
    also the types of the multi-fields ``X.text`` and ``X.caseless``. A name that ends in ``.ip`` is an ``ip``.
    """
    types = all_types()
    if name in types:
        return types[name]
    parent, _, last = name.rpartition(".")
    above = parent
    while above:
        if types.get(above) == "flattened":
            return "flattened_key"
        above = above.rpartition(".")[0]
    if last == "ip" or (parent and last in _MULTI_FIELDS):
        return last
    return "keyword" if name.startswith(_KEYWORDS_BELOW) else "unknown"


def base_of(name: str) -> str:
    """The field that ``name`` is a multi-field of, as a rule; else ``name`` itself."""
    parent, _, last = name.rpartition(".")
    return parent if parent and last in _MULTI_FIELDS else name


@cache
def ecs_types() -> Mapping[str, str]:
    """The type of every field of ECS, read when first needed; objects are left out that are there for their fields."""
    types: dict[str, str] = {}
    for line in Path(__file__).with_name("ecs_types.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            es_type, parents, lasts = line.split()
            for parent in parents.split(","):
                start = "" if parent == "." else f"{parent}."
                types.update(dict.fromkeys([start + last for last in lasts.split(",")], es_type))
    return types


@cache
def all_types() -> Mapping[str, str]:
    """The type of every field that is known."""
    types = dict(ecs_types())
    for es_type, names in _BEYOND_ECS.items():
        types.update(dict.fromkeys(names.split(), es_type))
    for parent in {name.rpartition(".")[0] for name in types}:
        above = parent
        while above and above not in types:
            types[above] = "object"
            above = above.rpartition(".")[0]
    return types


@lru_cache(maxsize=4096)
def ignore_above(name: str) -> int:
    """The length, in UTF-16 units, beyond which a string under ``name`` is not indexed."""
    match field_type(name):
        case "keyword" | "caseless" | "unknown":
            return _LONGER_KEYWORDS.get(name, _KEYWORD_LIMIT)
        case "flattened" | "flattened_key":
            return FLATTENED_LIMIT
        case _:
            return NO_LIMIT


class NodesOf(Protocol):
    """Finds the nodes of a name in one record; with ``beyond``, also those under keys that go on after it."""

    def __call__(self, name: str, *, beyond: bool) -> Iterable[Node]:
        """The nodes ``name`` leads to, in record order."""


def indexed_values(field: str, nodes_of: NodesOf) -> tuple[Scalar, ...]:
    """The searchable values of ``field``, in record order, where ``nodes_of`` finds the nodes of a name.

    A flattened object has all its leaves as values; a multi-field has those of the field it belongs to.
    """
    names, whole, limit = _reading(field)
    for name in names:
        values: list[Scalar] = []
        for node in nodes_of(name, beyond=whole):
            if isinstance(node.value, (str, int, float)):
                values.append(node.value)  # nearly always; the rest goes the long way
            else:
                values.extend((value for _, value in leaves(name, node)) if whole else scalars(node))
        if values := [value for value in values if _is_indexed(value, limit)]:
            return tuple(values)
    return ()


def has_indexed(field: str, nodes_of: NodesOf) -> bool:
    """Whether ``field``, or any field below it, has a searchable value."""
    if indexed_values(field, nodes_of):
        return True
    below = (leaf for node in nodes_of(field, beyond=True) for leaf in leaves(field, node))
    return any(_is_indexed(value, ignore_above(name)) for name, value in below)


def utf16_length(text: str) -> int:
    """The length of ``text`` as Java counts it."""
    return len(text) + sum(character > "\uffff" for character in text)


def _is_indexed(value: Scalar, limit: int) -> bool:
    return not isinstance(value, str) or 2 * len(value) <= limit or utf16_length(value) <= limit


class _Reading(NamedTuple):
    names: tuple[str, ...]
    whole: bool
    limit: int


@lru_cache(maxsize=4096)
def _reading(field: str) -> _Reading:
    """The names to look under, whether a map is a value by its leaves, and how long a text may be."""
    parent, _, last = field.rpartition(".")
    is_multi_field = bool(parent) and last in _MULTI_FIELDS and last == field_type(field)
    return _Reading(
        (field, parent) if is_multi_field else (field,), field_type(field) == "flattened", ignore_above(field)
    )
