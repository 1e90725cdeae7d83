"""The type a field has in Elasticsearch, and which of a record's values are searchable under it.

The types are those of the ECS fields and of the CloudTrail integration that differ from ``keyword``; a field
that is not named here is a ``keyword``, as with Elastic's own dynamic mapping of strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import product
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

_FLATTENED_ROOTS = tuple(
    f"aws.cloudtrail.flattened.{name}"
    for name in (
        "request_parameters",
        "response_elements",
        "additional_eventdata",
        "service_event_details",
        "digest",
        "insight_details",
    )
)
_MULTI_FIELDS = ("text", "caseless")


def _names(prefixes: str, suffixes: str) -> Iterator[str]:
    """Each suffix behind each prefix; words apart, ``.`` for no prefix."""
    return (f"{prefix}.{suffix}".lstrip(".") for prefix, suffix in product(prefixes.split(), suffixes.split()))


_ENDPOINTS = "client destination server source"
_PROCESSES = (
    "process process.parent process.previous process.group_leader process.entry_leader process.session_leader"
    " process.parent.group_leader process.entry_leader.parent process.session_leader.parent"
)
_FILES = "file process dll"
_INDICATORS = "threat.indicator threat.enrichments.indicator"

_TYPES: Final[dict[str, str]] = {
    name: es_type
    for es_type, names in {
        "constant_keyword": [*_names("data_stream", "type dataset namespace"), *_names("event", "dataset module")],
        "ip": _names(".", "network.forwarded_ip dns.resolved_ip"),
        "long": [
            *_names(_ENDPOINTS, "port nat.port bytes packets as.number"),
            *_names("network http.request http.response", "bytes packets body.bytes"),
            *_names(_PROCESSES, "pid pgid args_count exit_code uptime thread.id"),
            *_names("event", "duration sequence severity"),
            *_names("host", "uptime network.egress.bytes network.egress.packets network.ingress.bytes"),
            *_names(".", "host.network.ingress.packets host.disk.read.bytes host.disk.write.bytes"),
            *_names("log", "origin.file.line syslog.priority syslog.facility.code syslog.severity.code"),
            *_names("file package", "size"),
            *_names(".", "http.response.status_code url.port dns.answers.ttl threat.indicator.port"),
            *_names(".", "kibana.alert.risk_score o365.audit.OperationCount"),
            *_names("network_traffic.memcached.response", "status_code"),
        ],
        "float": _names("event vulnerability.score", "risk_score risk_score_norm base environmental temporal"),
        "boolean": [
            *_names(_PROCESSES, "interactive same_as_process"),
            *_names(f"{_FILES} {_PROCESSES}", "code_signature.exists code_signature.trusted code_signature.valid"),
            *_names(".", "tls.established tls.resumed volume.removable faas.coldstart github.repository_public"),
            *_names(".", "azure.signinlogs.properties.is_interactive beacon_stats.is_beaconing"),
            *_names(".", "network_traffic.memcached.request.noreply"),
            *_names("o365.audit.ParticipantInfo", "HasForeignTenantUsers HasGuestUsers HasOtherGuestUsers"),
            *_names("kubernetes.audit.requestObject.spec", "hostIPC hostNetwork hostPID"),
            *_names(
                "kubernetes.audit.requestObject.spec.containers.securityContext",
                "privileged allowPrivilegeEscalation",
            ),
            *_names("aws.cloudtrail", "read_only"),
            *_names("aws.cloudtrail.console_login.additional_eventdata", "mfa_used mobile_version"),
        ],
        "date": [
            *_names(".", "@timestamp aws.cloudtrail.user_identity.session_context.creation_date"),
            *_names("event", "created ingested start end"),
            *_names("file", "accessed created ctime mtime"),
            *_names(_PROCESSES, "start end"),
            *_names(_FILES, "code_signature.timestamp"),
            *_names("tls.client tls.server", "not_after not_before x509.not_after x509.not_before"),
            *_names(_INDICATORS, "first_seen last_seen modified_at"),
            *_names(".", "package.installed"),
        ],
        "wildcard": [
            *_names(
                "process process.parent process.entry_leader process.group_leader process.session_leader"
                " process.parent.group_leader",
                "command_line",
            ),
            *_names(f". {_INDICATORS}", "url.full url.original url.path registry.data.strings"),
            *_names(".", "http.request.body.content http.response.body.content process.io.text error.stack_trace"),
        ],
        "text": _names(".", "message error.message powershell.file.script_block_text"),
        "nested": [
            *_names("elf file.elf process.elf", "sections segments"),
            *_names("macho pe file.macho file.pe process.macho process.pe dll.pe", "sections"),
            *_names(".", "threat.enrichments email.attachments"),
        ],
        "flattened": _FLATTENED_ROOTS,
    }.items()
    for name in names
}


@lru_cache(maxsize=4096)
def field_type(name: str) -> str:
    """The Elasticsearch type of the field ``name``; ``keyword`` for one that is not known to have another.

    ``flattened`` is a whole flattened object, ``flattened_key`` a name below one; ``text`` and ``caseless`` are
    also the types of the multi-fields ``X.text`` and ``X.caseless``. A name that ends in ``.ip`` is an ``ip``.
    """
    if name in _TYPES:
        return _TYPES[name]
    if name.startswith(_FLATTENED_ROOTS) and any(name.startswith(f"{root}.") for root in _FLATTENED_ROOTS):
        return "flattened_key"
    parent, _, last = name.rpartition(".")
    return last if last == "ip" or (parent and last in _MULTI_FIELDS) else "keyword"


@lru_cache(maxsize=4096)
def ignore_above(name: str) -> int:
    """The length, in UTF-16 units, beyond which a string under ``name`` is not indexed."""
    match field_type(name):
        case "keyword" | "caseless":
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
