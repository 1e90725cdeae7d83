from __future__ import annotations

import errno
import logging
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from firstseen import config
from firstseen.copies import Copies
from firstseen.errors import ConfigError
from firstseen.geoip import GeoIp, GeoIpError, databases
from support.mmdb import LEEDS, MARK, asn_database, city_database, write

GEO = {
    "continent_name": "Europe",
    "country_name": "United Kingdom",
    "country_iso_code": "GB",
    "region_iso_code": "GB-LDS",
    "region_name": "Leeds",
    "city_name": "Leeds",
    "location.lat": 53.79,
    "location.lon": -1.54,
}


def test_what_the_databases_say(tmp_path: Path) -> None:
    opened = GeoIp(city_database(tmp_path / "city.mmdb"), asn_database(tmp_path / "asn.mmdb"))

    assert (opened.has("city"), opened.has("asn")) == (True, True)
    assert opened.geo("192.0.2.200") == GEO
    assert opened.geo("2001:db8::7") == {"country_iso_code": "FR"}
    assert opened.geo("198.51.100.7") == opened.geo("203.0.113.1") == opened.geo("2001:4::") == {}
    assert opened.network("192.0.2.7") == {"number": 64496, "organization.name": "Example Networks"}
    assert opened.network("192.0.2.200") == {}


def test_without_a_database_nothing_is_known(tmp_path: Path) -> None:
    opened = GeoIp(asn=asn_database(tmp_path / "asn.mmdb"))

    assert (opened.has("city"), opened.has("asn")) == (False, True)
    assert opened.geo("192.0.2.7") == GeoIp().network("192.0.2.7") == {}


def test_a_database_of_ipv4_alone_does_not_know_ipv6(tmp_path: Path) -> None:
    opened = GeoIp(write(tmp_path / "city.mmdb", "DBIP-City-Lite", {"192.0.2.0/24": LEEDS}, ip_version=4))

    assert opened.geo("192.0.2.1") == GEO
    assert opened.geo("2001:db8::1") == {}


def test_what_is_open_stays_as_it_is_where_another_file_takes_its_place(tmp_path: Path) -> None:
    path = city_database(tmp_path / "city.mmdb")
    opened = GeoIp(path)
    assert opened.geo("192.0.2.1") == GEO

    write(tmp_path / "new", "GeoLite2-City", {"192.0.2.0/24": {"city": {"names": {"en": "York"}}}}).replace(path)
    assert opened.geo("192.0.2.2") == GEO
    assert GeoIp(path).geo("192.0.2.1") == {"city_name": "York"}

    path.unlink()
    with pytest.raises(GeoIpError, match=r"^geoip\.city: .*city\.mmdb cannot be read: No such file"):
        GeoIp(path)
    assert opened.geo("192.0.2.1") == GEO


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[Copies]:
    with closing(Copies(tmp_path / "state")) as made:
        yield made


def test_a_copy_is_as_it_was_where_the_file_is_written_over(tmp_path: Path, copies: Copies) -> None:
    path = city_database(tmp_path / "city.mmdb")
    opened = GeoIp(path, copies=copies)
    path.write_bytes(b"")
    assert opened.geo("192.0.2.1") == GEO
    with pytest.raises(
        GeoIpError, match=rf"^geoip\.city: {path} is no database in MaxMind's format: .*{path}"
    ) as raised:
        GeoIp(path, copies=copies)
    assert "/proc" not in str(raised.value)

    write(path, "GeoLite2-City", {"192.0.2.0/24": {"city": {"names": {"en": "York"}}}})
    assert GeoIp(path, copies=copies).geo("192.0.2.1") == {"city_name": "York"}
    assert opened.geo("192.0.2.2") == GEO


def test_where_there_can_be_no_copy_it_is_said_what_to_do(tmp_path: Path, copies: Copies) -> None:
    (tmp_path / "state").write_text("no directory")
    with pytest.raises(
        GeoIpError, match=r"state: .*: let the agent write there, or set geoip\.copy to false and never write over"
    ):
        GeoIp(city_database(tmp_path / "city.mmdb"), copies=copies)


def test_where_there_is_no_room_for_a_copy_it_is_said_to_make_some(
    tmp_path: Path, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(GeoIpError, match=r"state: .*: make room there, or set geoip\.copy to false"):
        GeoIp(city_database(tmp_path / "city.mmdb"), copies=copies)


@pytest.mark.parametrize(("setting", "copied"), [("", True), ("copy = false\n", False)])
def test_databases_are_copied_where_that_is_configured(
    tmp_path: Path, copies: Copies, setting: str, copied: bool
) -> None:
    file = tmp_path / "firstseen.toml"
    file.write_text(f'[geoip]\ncity = "city.mmdb"\n{setting}')
    city_database(tmp_path / "city.mmdb")
    opened = databases(config.load(file), copies)
    assert opened.geo("192.0.2.1") == GEO
    assert (tmp_path / "state").exists() is copied


def test_files_that_are_no_such_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    with pytest.raises(GeoIpError, match=r"^geoip\.asn: .*text is no database in MaxMind's format: "):
        GeoIp(asn=tmp_path / "text")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GeoIpError, match=r"^geoip\.asn: .*pipe cannot be read: it is a named pipe and no file: put a"):
        GeoIp(asn=tmp_path / "pipe")
    with pytest.raises(GeoIpError, match=r"^geoip\.asn: .* is of type GeoLite2-City; one of ASN or ISP is wanted$"):
        GeoIp(asn=city_database(tmp_path / "city.mmdb"))
    with pytest.raises(GeoIpError, match=r"^geoip\.city: .* is of type GeoLite2-ASN; one of City or Enterprise is"):
        GeoIp(city=asn_database(tmp_path / "asn.mmdb"))


def test_a_damaged_database_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = asn_database(tmp_path / "asn.mmdb")
    whole = path.read_bytes()
    first_entry = whole.index(b"\x58autonomous_system_number") - 1
    path.write_bytes(whole[:first_entry] + b"\xff" * (whole.index(MARK) - first_entry) + whole[whole.index(MARK) :])
    opened = GeoIp(asn=path)
    with caplog.at_level(logging.ERROR):
        assert opened.network("192.0.2.7") == opened.network("192.0.2.8") == {}

    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == ["geoip_damaged"]


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(GeoIpError, match=r"^geoip\.city: needs the package maxminddb: pip install 'firstseen\[geoip\]"):
        GeoIp(city_database(tmp_path / "city.mmdb"))


def test_what_is_wrong_with_the_configured_databases_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "firstseen.toml"
    file.write_text('[geoip]\nasn = "asn.mmdb"\ncity = "city.mmdb"\n')
    asn_database(tmp_path / "asn.mmdb")

    with pytest.raises(ConfigError) as raised:
        databases(config.load(file))
    assert str(raised.value) == f"{file}:3: geoip.city: {tmp_path}/city.mmdb cannot be read: No such file or directory"

    city_database(tmp_path / "city.mmdb")
    assert databases(config.load(file)).has("city")


def test_a_database_of_no_time_at_all(tmp_path: Path) -> None:
    path = city_database(tmp_path / "city.mmdb")
    path.write_bytes(path.read_bytes().replace(struct.pack(">Q", 1_767_225_600), b"\xff" * 8))

    with pytest.raises(GeoIpError, match="which is no time: get it anew"):
        GeoIp(path)
