"""The table: where each ECS field of a CloudTrail record comes from, in the order of Elastic's pipeline.

A row says how to read its field, whether the texts it has are texts of the record, and what it needs beside the record:
a database, or the expressions that take user agents apart. What is in no row is not a field of CloudTrail.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from firstseen.record import digest, endpoints, geography, identity, outcome, parameters, useragent
from firstseen.record.enrichment import Database
from firstseen.record.glance import Path
from firstseen.record.javamap import java_text
from firstseen.record.source import Source

if TYPE_CHECKING:
    from firstseen.record.entities import Kind

Reader = Callable[[Source], object]
Need = Database | Literal["user_agent"]


class Field(NamedTuple):
    """One row of the table.

    ``read`` gives the field's value, with the types it has in JSON, or None. ``verbatim`` says that every text in
    that value is a text of the record, or a piece of one. ``needs`` is what it takes beside the record. Below an
    ``open`` one, names are those of the record. ``keys`` lead to the value where it is one of the record's. ``reads``
    are the places of the record that the value hangs on, None where nobody has said.
    """

    name: str
    read: Reader
    verbatim: bool
    needs: Need | None = None
    open: bool = False
    keys: Path = ()
    reads: tuple[Path, ...] | None = None


def _moved(name: str, path: str, *, open: bool = False) -> Field:
    keys = tuple(path.split("."))
    return Field(name, lambda source: source.at(*keys), verbatim=True, open=open, keys=keys, reads=(keys,))


def _taken(name: str, read: Reader, reads: str = "", *, open: bool = False) -> Field:
    """One of several values of the record, or a piece of one."""
    return Field(name, read, verbatim=True, open=open, reads=_paths(reads))


def _made(name: str, read: Reader, reads: str = "", *, needs: Need | None = None) -> Field:
    return Field(name, read, verbatim=False, needs=needs, reads=_paths(reads))


def _constant(name: str, value: str) -> Field:
    return Field(name, lambda _: value, verbatim=False, reads=())


def _paths(names: str) -> tuple[Path, ...] | None:
    return tuple(tuple(name.split(".")) for name in names.split()) or None


def _actor(source: Source, kind: Kind | None = None) -> object:
    from firstseen.record.entities import actor  # like the next two: few rules ask, and the tables take time to load

    return actor(source, kind)


def _targets(source: Source, kind: Kind | None = None) -> object:
    from firstseen.record.entities import targets

    return targets(source, kind)


def _related_entities(source: Source) -> object:
    from firstseen.record.entities import related

    return related(source)


_IDENTITY = "aws.cloudtrail.user_identity"
_SESSION = f"{_IDENTITY}.session_context"
_CONSOLE = "aws.cloudtrail.console_login.additional_eventdata"
_FLATTENED = "aws.cloudtrail.flattened"
_ISSUER = "userIdentity.sessionContext.sessionIssuer"

FIELDS: Final[tuple[Field, ...]] = (
    _taken("actor.entity.id", _actor),
    _taken("user.entity.id", partial(_actor, kind="user")),
    _taken("host.entity.id", partial(_actor, kind="host")),
    _taken("service.entity.id", partial(_actor, kind="service")),
    _taken("entity.id", partial(_actor, kind="generic")),
    _made("target.entity.id", _targets),  # a number may be among them, as text
    _taken("user.target.entity.id", partial(_targets, kind="user")),
    _taken("host.target.entity.id", partial(_targets, kind="host")),
    _taken("service.target.entity.id", partial(_targets, kind="service")),
    _made("entity.target.id", partial(_targets, kind="generic")),  # likewise
    _made("related.entity", _related_entities),  # likewise
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
    _taken(
        "user.name",
        identity.user_name,
        f"eventName additionalEventData.UserName userIdentity.type userIdentity.userName {_ISSUER}.userName",
    ),
    _taken("user.id", identity.user_id, "userIdentity.principalId userIdentity.onBehalfOf.userId"),
    _taken("user.email", identity.user_email),
    _moved(f"{_IDENTITY}.arn", "userIdentity.arn"),
    _taken("cloud.account.id", outcome.account, "userIdentity.accountId recipientAccountId awsAccountId"),
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
        f"{_SESSION}.web_id_federation_data.attributes",
        "userIdentity.sessionContext.webIdFederationData.attributes",
        open=True,
    ),
    _taken("cloud.service.name", outcome.service_name, "eventSource"),
    _moved("event.provider", "eventSource"),
    _moved("event.action", "eventName"),
    _moved("aws.cloudtrail.event_category", "eventCategory"),
    _constant("cloud.provider", "aws"),
    _moved("cloud.region", "awsRegion"),
    _moved("source.address", "sourceIPAddress"),
    _taken("source.ip", endpoints.source_ip, "sourceIPAddress"),
    *(
        _made(f"source.geo.{name}", partial(geography.source_geo, name=name), "sourceIPAddress", needs="city")
        for name in geography.GEO_FIELDS
    ),
    *(
        _made(f"source.as.{name}", partial(geography.source_network, name=name), "sourceIPAddress", needs="asn")
        for name in geography.NETWORK_FIELDS
    ),
    _moved("user_agent.original", "userAgent"),
    *(
        _made(f"user_agent.{name}", partial(useragent.part, name=name), "userAgent", needs="user_agent")
        for name in useragent.FIELDS
    ),
    _moved("aws.cloudtrail.error_code", "errorCode"),
    _moved("aws.cloudtrail.error_message", "errorMessage"),
    _made("aws.cloudtrail.request_parameters", partial(parameters.text, key="requestParameters")),
    _made("aws.cloudtrail.response_elements", partial(parameters.text, key="responseElements")),
    _made("aws.cloudtrail.additional_eventdata", partial(parameters.text, key="additionalEventData")),
    _made("aws.cloudtrail.service_event_details", partial(parameters.text, key="serviceEventDetails")),
    _taken(f"{_FLATTENED}.request_parameters", partial(parameters.flattened, key="requestParameters"), open=True),
    _taken(f"{_FLATTENED}.response_elements", partial(parameters.flattened, key="responseElements"), open=True),
    _taken(f"{_FLATTENED}.additional_eventdata", partial(parameters.flattened, key="additionalEventData"), open=True),
    _taken(f"{_FLATTENED}.service_event_details", partial(parameters.flattened, key="serviceEventDetails"), open=True),
    _moved("aws.cloudtrail.request_id", "requestID"),
    _moved("event.id", "eventID"),
    _moved("aws.cloudtrail.event_type", "eventType"),
    _moved("aws.cloudtrail.api_version", "apiVersion"),
    _made("aws.cloudtrail.management_event", lambda source: java_text(source.raw("managementEvent"))),
    _moved("aws.cloudtrail.read_only", "readOnly"),
    _taken("aws.cloudtrail.resources", parameters.resources, "resources", open=True),
    _moved("aws.cloudtrail.recipient_account_id", "recipientAccountId"),
    _moved("aws.cloudtrail.shared_event_id", "sharedEventID"),
    _moved("aws.cloudtrail.vpc_endpoint_id", "vpcEndpointId"),
    _moved("aws.cloudtrail.vpc_endpoint_account_id", "vpcEndpointAccountId"),
    _moved("aws.cloudtrail.addendum.reason", "addendum.reason"),
    _moved("aws.cloudtrail.addendum.updated_fields", "addendum.updatedFields"),
    _moved("aws.cloudtrail.addendum.original_request_id", "addendum.originalRequestID"),
    _moved("aws.cloudtrail.addendum.original_event_id", "addendum.originalEventID"),
    _made(f"{_CONSOLE}.mobile_version", partial(outcome.console_login_flag, key="MobileVersion")),
    _made(f"{_CONSOLE}.mfa_used", partial(outcome.console_login_flag, key="MFAUsed")),
    _taken(f"{_CONSOLE}.login_to", lambda source: outcome.console_login(source, "additionalEventData", "LoginTo")),
    _made("event.outcome", outcome.outcome, "eventName responseElements.ConsoleLogin errorCode errorMessage"),
    _made("event.category", outcome.category, "eventName"),
    _made("event.type", outcome.types, "eventName"),
    _taken("event.ingested", lambda source: next(iter(source.ingested), None)),
    _moved("group.id", "responseElements.group.groupId"),
    _moved("group.name", "requestParameters.groupName"),
    _moved("user.target.id", "responseElements.user.userId"),
    _moved("user.target.name", "requestParameters.userName"),
    _moved("user.changes.name", "requestParameters.newUserName"),
    _made("tls.version_protocol", endpoints.tls_protocol),
    _taken("tls.version", endpoints.tls_version),
    _taken("tls.cipher", partial(endpoints.tls_detail, key="cipherSuite")),
    _taken(
        "tls.client.server_name",
        partial(endpoints.tls_detail, key="clientProvidedHostHeader"),
        "tlsDetails.tlsVersion tlsDetails.clientProvidedHostHeader",
    ),
    _taken("aws.cloudtrail.tls_details.key_exchange", partial(endpoints.tls_detail, key="keyExchange")),
    _taken("related.user", identity.related_users),
    _taken("related.ip", endpoints.related_addresses),
    _taken("related.hosts", endpoints.related_hosts),
    _moved("file.path", "digestS3Object"),
    _taken("related.hash", digest.previous_hash),
    Field(f"{_FLATTENED}.digest", digest.digest, verbatim=False, open=True),  # its times are printed anew
    _taken(f"{_FLATTENED}.insight_details", parameters.insight, open=True),
)
