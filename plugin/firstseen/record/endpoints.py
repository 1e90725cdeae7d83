"""Where a call came from and which hosts it names: ``source.*``, ``tls.*``, ``related.ip`` and ``related.hosts``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from firstseen.record.identity import distinct
from firstseen.record.source import Source

_LONGEST_ADDRESS: Final = 45
_AWS_DOMAIN: Final = "amazonaws.com"
_HOST_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+\.?", re.ASCII)
_INSTANCE_ARN: Final = ":instance/"
_INSTANCE_PREFIX: Final = "i-"
_SHORTEST_INSTANCE_ID: Final = 10
_TLS_PLACEHOLDER: Final = "tlsVersion"
"""What Grafana's own events have where the version should be; the rest of their TLS details is no better."""


def source_ip(source: Source) -> str | None:
    """``source.ip``: the source address, unless AWS put a service's name or something else there."""
    return _address(source.at("sourceIPAddress"))


def tls_detail(source: Source, key: str) -> object:
    """The member ``key`` of ``tlsDetails``."""
    return None if source.at("tlsDetails", "tlsVersion") == _TLS_PLACEHOLDER else source.at("tlsDetails", key)


def tls_protocol(source: Source) -> str | None:
    """``tls.version_protocol``: ``tls`` of ``TLSv1.3``."""
    protocol, found, _ = _tls_version(source).partition("v")
    return protocol.lower() or None if found else None


def tls_version(source: Source) -> str | None:
    """``tls.version``: ``1.3`` of ``TLSv1.3``, or all of it."""
    protocol, found, number = _tls_version(source).partition("v")
    return (number if found else protocol) or None


def related_addresses(source: Source) -> list[object] | None:
    """``related.ip``: every IP address the event names, each once."""
    return distinct((source_ip(source), _address(source.at("serviceEventDetails", "sourceIpAddress"))))


def related_hosts(source: Source) -> list[object] | None:
    """``related.hosts``: every host and instance the event names, each once."""
    return distinct(_hosts(source))


def _hosts(source: Source) -> Iterator[object]:
    yield from filter(_is_foreign_host, (tls_detail(source, "clientProvidedHostHeader"), source.at("sourceIPAddress")))
    yield source.at("requestParameters", "computerName")
    yield from filter(_is_instance_id, _instance_candidates(source))


def _instance_candidates(source: Source) -> Iterator[object]:
    for resource in source.maps("resources"):
        arn = resource.get("ARN", resource.get("arn"))
        if isinstance(arn, str) and _INSTANCE_ARN in arn:
            yield arn.partition(_INSTANCE_ARN)[2]
    for key in ("requestParameters", "responseElements"):
        yield from (source.at(key, name) for name in ("instanceId", "target", "resourceId"))
        listed = source.at(key, "instanceIds")
        yield from listed if isinstance(listed, list) else ()
        yield from (item.get("instanceId") for item in source.maps(key, "instancesSet", "items"))


def _is_instance_id(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_INSTANCE_PREFIX) and len(value) >= _SHORTEST_INSTANCE_ID


def _is_foreign_host(value: object) -> bool:
    if not isinstance(value, str) or _HOST_NAME.fullmatch(value) is None or _address(value) is not None:
        return False
    domain = value.rstrip(".").lower()
    return domain != _AWS_DOMAIN and not domain.endswith(f".{_AWS_DOMAIN}")


def _address(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= _LONGEST_ADDRESS and _is_address(value) else None


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    if "%" in text:  # a zone index is not part of an address
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _tls_version(source: Source) -> str:
    version = tls_detail(source, "tlsVersion")
    return version if isinstance(version, str) else ""
