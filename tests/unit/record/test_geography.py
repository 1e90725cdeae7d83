from __future__ import annotations

from collections.abc import Mapping

import pytest

from firstseen.record.enrichment import Database
from firstseen.record.geography import GEO_FIELDS, NETWORK_FIELDS, geo_of, network_of, source_geo, source_network
from firstseen.record.source import Source
from support.mmdb import EXAMPLE_NET, LEEDS


class Known:
    """Knows one thing of every address, and which ones it was asked for."""

    def __init__(self, *databases: Database) -> None:
        self.databases = databases
        self.asked: list[str] = []

    def has(self, database: Database) -> bool:
        return database in self.databases

    def geo(self, address: str) -> Mapping[str, object]:
        self.asked.append(address)
        return {"city_name": "Leeds"}

    def network(self, address: str) -> Mapping[str, object]:
        self.asked.append(address)
        return {"number": 64496}


def test_a_place_and_a_network():
    assert geo_of(LEEDS) == {
        "continent_name": "Europe",
        "country_name": "United Kingdom",
        "country_iso_code": "GB",
        "region_iso_code": "GB-LDS",
        "region_name": "Leeds",
        "city_name": "Leeds",
        "location.lat": 53.79,
        "location.lon": -1.54,
    }
    assert tuple(geo_of(LEEDS)) == GEO_FIELDS
    assert network_of(EXAMPLE_NET) == {"number": 64496, "organization.name": "Example Networks"}
    assert tuple(network_of(EXAMPLE_NET)) == NETWORK_FIELDS


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        (None, {}),
        ("text", {}),
        ({"country": "GB", "subdivisions": [], "location": {"latitude": 1.0}}, {}),
        ({"subdivisions": [{"iso_code": "ENG"}], "city": {"names": {"de": "Köln"}}}, {}),
        ({"country": {"iso_code": "GB"}, "subdivisions": "ENG"}, {"country_iso_code": "GB"}),
        ({"location": {"latitude": 0, "longitude": 0}}, {"location.lat": 0, "location.lon": 0}),
        ({"continent": {"names": {"en": ""}}}, {}),
    ],
)
def test_what_an_entry_does_not_have_is_left_out(entry, known):
    assert geo_of(entry) == known
    assert network_of(entry) == {}


def test_only_addresses_are_asked_for_and_only_once():
    known = Known("city")
    source = Source({"sourceIPAddress": "192.0.2.1"}, known)
    assert [source_geo(source, "city_name"), source_geo(source, "country_name")] == ["Leeds", None]
    assert source_network(source, "number") is None
    assert known.asked == ["192.0.2.1"]
    assert source_geo(Source({"sourceIPAddress": "sts.amazonaws.com"}, known), "city_name") is None
    assert source_geo(Source({}, known), "city_name") is None
    assert known.asked == ["192.0.2.1"]
    assert source_network(Source({"sourceIPAddress": "192.0.2.1"}, Known("asn")), "number") == 64496
