"""Places and networks: entries of MMDB databases under the names Elasticsearch's ``geoip`` processor gives them.

An entry has the shape that MaxMind's City and ASN databases have, and those of others that follow them. Names are
the English ones; a region is the smallest that the entry knows. What an entry does not have is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from firstseen.record.endpoints import source_ip
from firstseen.record.source import Source

GEO_FIELDS: Final = (
    "continent_name",
    "country_name",
    "country_iso_code",
    "region_iso_code",
    "region_name",
    "city_name",
    "location.lat",
    "location.lon",
)
"""The fields below ``source.geo``."""

NETWORK_FIELDS: Final = ("number", "organization.name")
"""The fields below ``source.as``."""

_LANGUAGE: Final = "en"


def geo_of(entry: object) -> dict[str, object]:
    """What an entry of a city database, or of a country database, says of a place: some of `GEO_FIELDS`."""
    regions = _member(entry, "subdivisions")
    region = regions[-1] if isinstance(regions, (list, tuple)) and regions else None
    country_code, region_code = _text(entry, "country", "iso_code"), _text(region, "iso_code")
    found: dict[str, object] = {
        "continent_name": _text(entry, "continent", "names", _LANGUAGE),
        "country_name": _text(entry, "country", "names", _LANGUAGE),
        "country_iso_code": country_code,
        "region_iso_code": f"{country_code}-{region_code}" if country_code and region_code else None,
        "region_name": _text(region, "names", _LANGUAGE),
        "city_name": _text(entry, "city", "names", _LANGUAGE),
    }
    latitude, longitude = (_member(entry, "location", name) for name in ("latitude", "longitude"))
    if isinstance(latitude, (int, float)) and isinstance(longitude, (int, float)):
        found |= {"location.lat": latitude, "location.lon": longitude}
    return {name: value for name, value in found.items() if value is not None}


def network_of(entry: object) -> dict[str, object]:
    """What an entry of an ASN database says of a network: some of `NETWORK_FIELDS`."""
    number = _member(entry, "autonomous_system_number")
    found = {
        "number": number if isinstance(number, int) else None,
        "organization.name": _text(entry, "autonomous_system_organization"),
    }
    return {name: value for name, value in found.items() if value is not None}


def source_geo(source: Source, name: str) -> object:
    """The field ``name`` below ``source.geo``."""
    return source.once(_geo).get(name)


def source_network(source: Source, name: str) -> object:
    """The field ``name`` below ``source.as``."""
    return source.once(_network).get(name)


def _geo(source: Source) -> Mapping[str, object]:
    address = source_ip(source) if source.enrichment.has("city") else None
    return {} if address is None else source.enrichment.geo(address)


def _network(source: Source) -> Mapping[str, object]:
    address = source_ip(source) if source.enrichment.has("asn") else None
    return {} if address is None else source.enrichment.network(address)


def _member(entry: object, *path: str) -> object:
    for name in path:
        if not isinstance(entry, Mapping):
            return None
        entry = entry.get(name)
    return entry


def _text(entry: object, *path: str) -> str | None:
    value = _member(entry, *path)
    return value if isinstance(value, str) and value else None
