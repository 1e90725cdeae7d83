"""Who did it: the ``user.*`` fields, from CloudTrail's ``userIdentity`` and what stands beside it.

As the released versions of Elastic's pipeline have it: ``user.id`` is the principal, and the name of a role or
federated session is that of its issuer, the session's own name being kept in ``related.user``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from firstseen.record.source import Source

_NAMED_BY_ISSUER: Final = frozenset({"AssumedRole", "FederatedUser"})
_NAMED_SESSIONS: Final = frozenset({"AssumedRole", "FederatedUser", "IdentityCenterUser"})


def user_name(source: Source) -> object:
    """``user.name``: the issuer's for roles and federated users, the user's own for all others."""
    if takes_name_from_additional_data(source):
        return source.at("additionalEventData", "UserName")
    return _identity_name(source)


def takes_name_from_additional_data(source: Source) -> bool:
    """Whether ``additionalEventData.UserName`` becomes ``user.name``, which removes it from the additional data."""
    return source.text("eventName") == "UserAuthentication" and _identity_name(source) is None


def user_id(source: Source) -> object:
    """``user.id``: the principal, else the Identity Center user on whose behalf it acts."""
    principal = source.at("userIdentity", "principalId")
    return source.at("userIdentity", "onBehalfOf", "userId") if principal is None else principal


def user_email(source: Source) -> str | None:
    """``user.email``: the session's name, else the user's, if it is an address."""
    name = user_name(source)
    candidates = (session_name(source), name if isinstance(name, str) else None)
    return next((text for text in candidates if text is not None and "@" in text), None)


def session_name(source: Source) -> str | None:
    """The name a session was given: the end of its STS ARN."""
    arn = source.text("userIdentity", "arn")
    if arn is None or source.text("userIdentity", "type") not in _NAMED_SESSIONS:
        return None
    match arn.split(":", 3):
        case ["arn", _, "sts", rest] if "/" in rest:
            return rest.rpartition("/")[2] or None
    return None


def related_users(source: Source) -> list[object] | None:
    """``related.user``: everyone the event names, each once."""
    session = session_name(source)
    return distinct(
        (
            session,
            session.partition("@")[0] if session is not None and "@" in session else None,
            source.at("requestParameters", "userName"),
            source.at("requestParameters", "newUserName"),
            source.at("responseElements", "user", "userId"),
            user_id(source),
            user_name(source),
            source.at("userIdentity", "onBehalfOf", "userId"),
        )
    )


def distinct(values: Iterable[object]) -> list[object] | None:
    """The scalars among ``values``, each once, in order; None where there are none."""
    found: dict[tuple[type, object], object] = {
        (type(value), value): value for value in values if isinstance(value, (str, int, float)) and value != ""
    }
    return list(found.values()) or None


def _identity_name(source: Source) -> object:
    issuer = source.at("userIdentity", "sessionContext", "sessionIssuer", "userName")
    if issuer is not None and source.text("userIdentity", "type") in _NAMED_BY_ISSUER:
        return issuer
    return source.at("userIdentity", "userName")
