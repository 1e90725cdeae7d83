"""What came of a call, what kind of call it is, and for whom: what is read off the event as a whole."""

from __future__ import annotations

from firstseen.record.category import category_of
from firstseen.record.source import Source


def outcome(source: Source) -> str:
    """``event.outcome``: errors make a failure; a console login says itself how it went."""
    login = console_login(source, "responseElements", "ConsoleLogin")
    if isinstance(login, str):
        return login.lower()
    if source.lacks("errorCode", "errorMessage"):
        return "success"  # nearly always
    failed = source.at("errorCode") is not None or source.at("errorMessage") is not None
    return "failure" if failed else "success"


def console_login(source: Source, *path: str) -> object:
    """What the path of keys leads to, in a console login."""
    return source.at(*path) if source.text("eventName") == "ConsoleLogin" else None


def console_login_flag(source: Source, key: str) -> bool | None:
    """Whether a console login's additional data say anything but "No" under this key."""
    value = console_login(source, "additionalEventData", key)
    return None if value is None else value != "No"


def category(source: Source) -> list[str] | None:
    """``event.category``."""
    found = category_of(source.text("eventName")).category
    return None if found is None else [found]


def types(source: Source) -> list[str]:
    """``event.type``."""
    return list(category_of(source.text("eventName")).types)


def account(source: Source) -> object:
    """``cloud.account.id``: the caller's, else the one that got the event."""
    accounts = (source.at("userIdentity", "accountId"), source.at("recipientAccountId"), source.at("awsAccountId"))
    return next((account for account in accounts if account is not None), None)


def service_name(source: Source) -> str | None:
    """``cloud.service.name``: ``sts`` of ``sts.amazonaws.com``."""
    provider = source.text("eventSource") or ""
    name = provider.removesuffix(".amazonaws.com")
    return name or None if name != provider else None
