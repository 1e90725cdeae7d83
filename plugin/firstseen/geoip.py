"""Where source addresses are, from the operator's databases in MaxMind's format (MMDB).

The reader, ``maxminddb``, is an extra of the package and imported when a database is named. Files are mapped into
memory; whoever has them mapped for long maps copies, see `firstseen.copies`. New ones are taken at the next reload.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from firstseen import config, plainfile
from firstseen.copies import Copies, CopyError
from firstseen.errors import ConfigError, FirstseenError
from firstseen.logs import event
from firstseen.record.enrichment import Database
from firstseen.record.geography import geo_of, network_of

if TYPE_CHECKING:
    from maxminddb.reader import Metadata

log = logging.getLogger(__name__)

CACHED: Final = 8_192
"""Addresses whose answers are remembered, for each database."""

_TYPES: Final[Mapping[Database, tuple[str, ...]]] = {"city": ("City", "Enterprise"), "asn": ("ASN", "ISP")}
"""Words of which the type of a database has one, such as ``GeoLite2-City`` and ``DBIP-ASN-Lite``."""

_READ: Final[Mapping[Database, Callable[[object], Mapping[str, object]]]] = {"city": geo_of, "asn": network_of}
_UNKNOWN: Final[Mapping[str, object]] = {}


class GeoIpError(FirstseenError):
    """A database cannot be used: the name of its ``setting``, and ``what`` is wrong with which file."""

    def __init__(self, setting: str, what: str) -> None:
        super().__init__(f"{setting}: {what}")
        self.setting = setting
        self.what = what


def databases(settings: config.Config, copies: Copies | None = None) -> GeoIp:
    """What the configuration names, opened; raises `ConfigError` with what is wrong, and on which line.

    Where it says so and there are ``copies``, these are opened.
    """
    named = settings.geoip
    if copies is not None:
        copies.keep_only([path for path in (named.city, named.asn) if path is not None and named.copy])
    try:
        return GeoIp(named.city, named.asn, copies if named.copy else None)
    except GeoIpError as error:
        raise ConfigError([config.located(settings, error.setting, error.what)]) from error


class GeoIp:
    """The databases at these paths, of which each may be missing, as `firstseen.record.enrichment.Enrichment`.

    Without ``copies`` they must not be written over. Raises `GeoIpError`. One thread only.
    """

    def __init__(self, city: Path | None = None, asn: Path | None = None, copies: Copies | None = None) -> None:
        paths: dict[Database, Path | None] = {"city": city, "asn": asn}
        named = [(database, path) for database, path in paths.items() if path is not None]
        self._tables = {database: _Table(database, path, copies) for database, path in named}

    def has(self, database: Database) -> bool:
        """Whether there is such a database."""
        return database in self._tables

    def geo(self, address: str) -> Mapping[str, object]:
        """The fields below ``source.geo``."""
        return self._tables["city"].answer(address) if "city" in self._tables else _UNKNOWN

    def network(self, address: str) -> Mapping[str, object]:
        """The fields below ``source.as``."""
        return self._tables["asn"].answer(address) if "asn" in self._tables else _UNKNOWN


class _Table:
    """One open file; `answer` remembers what it was asked last."""

    def __init__(self, database: Database, path: Path, copies: Copies | None) -> None:
        setting = f"geoip.{database}"
        try:
            import maxminddb
        except ImportError as error:
            raise GeoIpError(setting, "needs the package maxminddb: pip install 'firstseen[geoip]'") from error
        self._damage = maxminddb.InvalidDatabaseError
        opened = path
        try:
            plainfile.require(path)
            if copies is not None:
                opened = copies.of(path)
            self._reader = maxminddb.open_database(opened)
        except OSError as error:
            raise GeoIpError(setting, f"{path} cannot be read: {error.strerror or error}") from error
        except CopyError as error:
            remedy = "make room there" if error.is_full else "let the agent write there"
            what = f"{remedy}, or set geoip.copy to false and never write over a database that is in use"
            raise GeoIpError(setting, f"{error}: {what}") from error
        except maxminddb.InvalidDatabaseError as error:
            reason = str(error).replace(str(opened), str(path))
            raise GeoIpError(setting, f"{path} is no database in MaxMind's format: {reason}") from error
        self._path = path
        self._read = _READ[database]
        self._is_whole = True
        self.answer = functools.lru_cache(CACHED)(self._answer)
        self._tell(setting, _TYPES[database], self._reader.metadata())

    def _tell(self, setting: str, types: tuple[str, ...], found: Metadata) -> None:
        if not any(word in found.database_type for word in types):
            expected = " or ".join(types)
            raise GeoIpError(setting, f"{self._path} is of type {found.database_type}; one of {expected} is wanted")
        try:
            built = datetime.fromtimestamp(found.build_epoch, UTC).date().isoformat()
        except (OverflowError, ValueError, OSError):
            what = f"says that it was built at {found.build_epoch}, which is no time: get it anew"
            raise GeoIpError(setting, f"{self._path} {what}") from None
        event(log, logging.INFO, "geoip_opened", file=str(self._path), type=found.database_type, built=built)

    def _answer(self, address: str) -> Mapping[str, object]:
        try:
            return self._read(self._reader.get(address))
        except ValueError:  # an IPv6 address, and a database of IPv4 alone
            return _UNKNOWN
        except self._damage as error:
            if self._is_whole:  # told once: every address may come upon it
                event(log, logging.ERROR, "geoip_damaged", file=str(self._path), address=address, error=str(error))
            self._is_whole = False
            return _UNKNOWN
