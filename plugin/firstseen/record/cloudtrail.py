"""A raw CloudTrail record under the names that Elastic's ``aws.cloudtrail`` ingest pipeline gives its parts.

One table says where each field comes from. It holds every field that the record alone decides; what needs a
database (``source.geo.*``, ``source.as.*``, the parts of a user agent) and the actor and target of an action
are not fields of this view. Management, data, digest and insight records are read alike: what a kind of record
does not have is simply absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, Literal

from firstseen.model import Fields, Scalar
from firstseen.record import digest, endpoints, identity, parameters
from firstseen.record.category import category_of
from firstseen.record.ecs import first_instant
from firstseen.record.element import elements
from firstseen.record.fields import has_indexed, indexed_values
from firstseen.record.javamap import java_text
from firstseen.record.source import Source
from firstseen.record.tree import Node, find, merge, names_of

Reader = Callable[[Source], object]


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the table.

    ``read`` gives the field's value, with the types it has in JSON, or None. ``verbatim`` says that every text in
    that value is a text of the record, or a piece of one.
    """

    name: str
    read: Reader
    verbatim: bool


def _moved(name: str, path: str) -> Field:
    keys = path.split(".")
    return Field(name, lambda source: source.at(*keys), verbatim=True)


def _taken(name: str, read: Reader) -> Field:
    """One of several values of the record, or a piece of one."""
    return Field(name, read, verbatim=True)


def _made(name: str, read: Reader) -> Field:
    return Field(name, read, verbatim=False)


def _constant(name: str, value: str) -> Field:
    return Field(name, lambda _: value, verbatim=False)


def _account(source: Source) -> object:
    accounts = (source.at("userIdentity", "accountId"), source.at("recipientAccountId"), source.at("awsAccountId"))
    return next((account for account in accounts if account is not None), None)


def _service_name(source: Source) -> str | None:
    provider = source.text("eventSource") or ""
    name = provider.removesuffix(".amazonaws.com")
    return name or None if name != provider else None


def _console_login(source: Source, *path: str) -> object:
    return source.at(*path) if source.text("eventName") == "ConsoleLogin" else None


def _console_login_flag(source: Source, key: str) -> bool | None:
    value = _console_login(source, "additionalEventData", key)
    return None if value is None else value != "No"


def _outcome(source: Source) -> str:
    """Errors make a failure; a console login says itself how it went."""
    login = _console_login(source, "responseElements", "ConsoleLogin")
    if isinstance(login, str):
        return login.lower()
    failed = source.at("errorCode") is not None or source.at("errorMessage") is not None
    return "failure" if failed else "success"


def _category(source: Source) -> list[str] | None:
    category = category_of(source.text("eventName")).category
    return None if category is None else [category]


def _types(source: Source) -> list[str]:
    return list(category_of(source.text("eventName")).types)


_IDENTITY = "aws.cloudtrail.user_identity"
_SESSION = f"{_IDENTITY}.session_context"
_CONSOLE = "aws.cloudtrail.console_login.additional_eventdata"
_FLATTENED = "aws.cloudtrail.flattened"

FIELDS: Final[tuple[Field, ...]] = (
    _made("@timestamp", digest.timestamp),
    _constant("ecs.version", "8.11.0"),
    _constant("data_stream.type", "logs"),
    _constant("data_stream.dataset", "aws.cloudtrail"),
    _constant("data_stream.namespace", "default"),
    _constant("event.dataset", "aws.cloudtrail"),
    _constant("event.module", "aws"),
    _constant("event.kind", "event"),
    _moved("aws.cloudtrail.event_version", "eventVersion"),
    _moved(f"{_IDENTITY}.type", "userIdentity.type"),
    _taken("user.name", identity.user_name),
    _taken("user.id", identity.user_id),
    _taken("user.email", identity.user_email),
    _moved(f"{_IDENTITY}.arn", "userIdentity.arn"),
    _taken("cloud.account.id", _account),
    _moved(f"{_IDENTITY}.access_key_id", "userIdentity.accessKeyId"),
    _moved(f"{_SESSION}.mfa_authenticated", "userIdentity.sessionContext.attributes.mfaAuthenticated"),
    _made(
        f"{_SESSION}.creation_date",
        lambda source: digest.printed_date(source, "userIdentity", "sessionContext", "attributes", "creationDate"),
    ),
    _moved(f"{_SESSION}.session_issuer.type", "userIdentity.sessionContext.sessionIssuer.type"),
    _moved(f"{_SESSION}.session_issuer.principal_id", "userIdentity.sessionContext.sessionIssuer.principalId"),
    _moved(f"{_SESSION}.session_issuer.arn", "userIdentity.sessionContext.sessionIssuer.arn"),
    _moved(f"{_SESSION}.session_issuer.account_id", "userIdentity.sessionContext.sessionIssuer.accountId"),
    _moved(f"{_IDENTITY}.on_behalf_of.user_id", "userIdentity.onBehalfOf.userId"),
    _moved(f"{_IDENTITY}.on_behalf_of.identity_store_arn", "userIdentity.onBehalfOf.identityStoreArn"),
    _moved("aws.cloudtrail.session_credential_from_console", "sessionCredentialFromConsole"),
    _moved(f"{_IDENTITY}.invoked_by", "userIdentity.invokedBy"),
    _moved(f"{_IDENTITY}.invoked_by_delegate.account_id", "userIdentity.invokedByDelegate.accountId"),
    _moved(f"{_IDENTITY}.credential_id", "userIdentity.credentialId"),
    _moved(f"{_IDENTITY}.identity_provider", "userIdentity.identityProvider"),
    _moved(f"{_IDENTITY}.in_scope_of.issuer_type", "userIdentity.inScopeOf.issuerType"),
    _moved(f"{_IDENTITY}.in_scope_of.credentials_issued_to", "userIdentity.inScopeOf.credentialsIssuedTo"),
    _moved(f"{_IDENTITY}.in_scope_of.source_arn", "userIdentity.inScopeOf.sourceArn"),
    _moved(f"{_IDENTITY}.in_scope_of.source_account", "userIdentity.inScopeOf.sourceAccount"),
    _moved(f"{_SESSION}.ec2_role_delivery", "userIdentity.sessionContext.ec2RoleDelivery"),
    _moved(f"{_SESSION}.source_identity", "userIdentity.sessionContext.sourceIdentity"),
    _moved(f"{_SESSION}.assumed_root", "userIdentity.sessionContext.assumedRoot"),
    _moved(f"{_SESSION}.sign_in_session_arn", "userIdentity.sessionContext.signInSessionArn"),
    _moved(
        f"{_SESSION}.web_id_federation_data.federated_provider",
        "userIdentity.sessionContext.webIdFederationData.federatedProvider",
    ),
    _moved(
        f"{_SESSION}.web_id_federation_data.attributes", "userIdentity.sessionContext.webIdFederationData.attributes"
    ),
    _taken("cloud.service.name", _service_name),
    _moved("event.provider", "eventSource"),
    _moved("event.action", "eventName"),
    _moved("aws.cloudtrail.event_category", "eventCategory"),
    _constant("cloud.provider", "aws"),
    _moved("cloud.region", "awsRegion"),
    _moved("source.address", "sourceIPAddress"),
    _taken("source.ip", endpoints.source_ip),
    _moved("user_agent.original", "userAgent"),
    _moved("aws.cloudtrail.error_code", "errorCode"),
    _moved("aws.cloudtrail.error_message", "errorMessage"),
    _made("aws.cloudtrail.request_parameters", partial(parameters.text, key="requestParameters")),
    _made("aws.cloudtrail.response_elements", partial(parameters.text, key="responseElements")),
    _made("aws.cloudtrail.additional_eventdata", partial(parameters.text, key="additionalEventData")),
    _made("aws.cloudtrail.service_event_details", partial(parameters.text, key="serviceEventDetails")),
    _taken(f"{_FLATTENED}.request_parameters", partial(parameters.flattened, key="requestParameters")),
    _taken(f"{_FLATTENED}.response_elements", partial(parameters.flattened, key="responseElements")),
    _taken(f"{_FLATTENED}.additional_eventdata", partial(parameters.flattened, key="additionalEventData")),
    _taken(f"{_FLATTENED}.service_event_details", partial(parameters.flattened, key="serviceEventDetails")),
    _moved("aws.cloudtrail.request_id", "requestID"),
    _moved("event.id", "eventID"),
    _moved("aws.cloudtrail.event_type", "eventType"),
    _moved("aws.cloudtrail.api_version", "apiVersion"),
    _made("aws.cloudtrail.management_event", lambda source: java_text(source.raw("managementEvent"))),
    _moved("aws.cloudtrail.read_only", "readOnly"),
    _taken("aws.cloudtrail.resources", parameters.resources),
    _moved("aws.cloudtrail.recipient_account_id", "recipientAccountId"),
    _moved("aws.cloudtrail.shared_event_id", "sharedEventID"),
    _moved("aws.cloudtrail.vpc_endpoint_id", "vpcEndpointId"),
    _moved("aws.cloudtrail.vpc_endpoint_account_id", "vpcEndpointAccountId"),
    _moved("aws.cloudtrail.addendum.reason", "addendum.reason"),
    _moved("aws.cloudtrail.addendum.updated_fields", "addendum.updatedFields"),
    _moved("aws.cloudtrail.addendum.original_request_id", "addendum.originalRequestID"),
    _moved("aws.cloudtrail.addendum.original_event_id", "addendum.originalEventID"),
    _made(f"{_CONSOLE}.mobile_version", partial(_console_login_flag, key="MobileVersion")),
    _made(f"{_CONSOLE}.mfa_used", partial(_console_login_flag, key="MFAUsed")),
    _taken(f"{_CONSOLE}.login_to", lambda source: _console_login(source, "additionalEventData", "LoginTo")),
    _made("event.outcome", _outcome),
    _made("event.category", _category),
    _made("event.type", _types),
    _taken("event.ingested", lambda source: next(iter(source.added("event.ingested")), None)),
    _moved("group.id", "responseElements.group.groupId"),
    _moved("group.name", "requestParameters.groupName"),
    _moved("user.target.id", "responseElements.user.userId"),
    _moved("user.target.name", "requestParameters.userName"),
    _moved("user.changes.name", "requestParameters.newUserName"),
    _made("tls.version_protocol", endpoints.tls_protocol),
    _taken("tls.version", endpoints.tls_version),
    _taken("tls.cipher", partial(endpoints.tls_detail, key="cipherSuite")),
    _taken("tls.client.server_name", partial(endpoints.tls_detail, key="clientProvidedHostHeader")),
    _taken("aws.cloudtrail.tls_details.key_exchange", partial(endpoints.tls_detail, key="keyExchange")),
    _taken("related.user", identity.related_users),
    _taken("related.ip", endpoints.related_addresses),
    _taken("related.hosts", endpoints.related_hosts),
    _moved("file.path", "digestS3Object"),
    _taken("related.hash", digest.previous_hash),
    _made(f"{_FLATTENED}.digest", digest.digest),  # its times are printed anew
    _taken(f"{_FLATTENED}.insight_details", parameters.insight),
)

_BY_NAME: Final = {field.name: field for field in FIELDS}


_INGESTED_KEYS = frozenset(("event", "event.ingested", b"event", b"event.ingested"))

_SHORT = 500
"""Characters that no ``ignore_above`` leaves out, whatever they take in UTF-16."""


class CloudTrailView:
    """A CloudTrail record read through ECS names. Every field is worked out when first asked for, and once."""

    __slots__ = ("_exists", "_names", "_read", "_source", "_values")

    kind: Final[Literal["cloudtrail", "ecs"]] = "cloudtrail"

    def __init__(self, record: Mapping[object, object]) -> None:
        self._source = Source(record)
        self._read: dict[str, object] = {}
        self._values: dict[str, tuple[Scalar, ...]] = {}
        self._exists: dict[str, bool] = {}
        self._names: list[str] | None = None

    def values(self, field: str) -> Sequence[Scalar]:
        """The searchable values of ``field``; none for a field that is not in the table."""
        values = self._values.get(field)
        if values is None:
            values = self._values[field] = self._indexed(field)
        return values

    def _indexed(self, field: str) -> tuple[Scalar, ...]:
        row = _BY_NAME.get(field)
        value = None if row is None else self._value(row)
        if type(value) is str and len(value) <= _SHORT:
            return (value,)  # nearly always; the rest goes the long way
        return indexed_values(field, self._nodes)

    def exists(self, field: str) -> bool:
        """Whether ``field`` or a field below it has a searchable value."""
        if field not in self._exists:
            self._exists[field] = has_indexed(field, self._nodes)
        return self._exists[field]

    def nested(self, path: str) -> Sequence[Fields]:
        """The objects at ``path``, in record order."""
        return elements(path, self._nodes(path, beyond=True))

    def names(self) -> Iterable[str]:
        """The names of the leaves of every field of the table that has a value."""
        if self._names is None:
            found = [(field.name, self._value(field)) for field in FIELDS]
            self._names = [name for row, value in found if value is not None for name in names_of(row, Node(value, 0))]
        return self._names

    @property
    def event_id(self) -> str | None:
        """``eventID``."""
        return self._source.text("eventID")

    @property
    def timestamp_ms(self) -> int | None:
        """``eventTime``, or a digest's end, in milliseconds since 1970."""
        return digest.timestamp_ms(self._source)

    @property
    def ingested_ms(self) -> int | None:
        """``event.ingested``, where a shipper added it, in milliseconds since 1970."""
        if self._source.has_any(_INGESTED_KEYS):
            return first_instant(self._source.added("event.ingested"))
        return None  # nearly always: CloudTrail has no such key

    def document(self) -> dict[str, object]:
        """The ECS document: every field of the table that has a value; nothing is left out for its length."""
        document: dict[str, object] = {}
        for field in FIELDS:
            value = self._value(field)
            if value is not None:
                merge(document, field.name, value)
        return document

    def _value(self, field: Field) -> object:
        if field.name not in self._read:
            self._read[field.name] = field.read(self._source)
        return self._read[field.name]

    def _nodes(self, name: str, *, beyond: bool) -> Iterable[Node]:
        field, rest = _owner(name)
        if field is None:
            return [Node({below: self._value(_BY_NAME[f"{name}.{below}"]) for below in _names_below(name)}, 0)]
        value = self._value(field)
        return [Node(value, 0)] if rest is None else find(value, rest, beyond=beyond)


def is_verbatim(name: str) -> bool:
    """Whether the texts under ``name`` in a `CloudTrailView`, if any, are texts of the record or pieces of them."""
    field, _ = _owner(name)
    return field is None or field.verbatim


@lru_cache(maxsize=4096)
def _owner(name: str) -> tuple[Field | None, str | None]:
    """The row of the table that ``name`` belongs to, and the rest of the name where it goes on below the row."""
    owner = name
    while owner and owner not in _BY_NAME:
        owner = owner.rpartition(".")[0]
    return _BY_NAME.get(owner), None if owner == name else name[len(owner) + 1 :]


@lru_cache(maxsize=4096)
def _names_below(name: str) -> tuple[str, ...]:
    return tuple(field.name[len(name) + 1 :] for field in FIELDS if field.name.startswith(f"{name}."))
