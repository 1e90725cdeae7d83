"""What a record does not say itself and a database may: where an address is, and whose network it is in.

The views ask for it through a port, so that nothing here opens a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

Database = Literal["city", "asn"]
"""A database of places, and one of networks, as the settings below ``geoip`` name them."""


class Enrichment(Protocol):
    """Answers of the databases there are; an address they do not know, or do not take, has none."""

    def has(self, database: Database) -> bool:
        """Whether there is such a database."""

    def geo(self, address: str) -> Mapping[str, object]:
        """The fields below ``source.geo``, by their dotted names; empty where nothing is known."""

    def network(self, address: str) -> Mapping[str, object]:
        """The fields below ``source.as``, likewise."""


class _Nothing:
    """No database at all."""

    def has(self, database: Database) -> bool:
        return False

    def geo(self, address: str) -> Mapping[str, object]:
        return {}

    def network(self, address: str) -> Mapping[str, object]:
        return {}


UNENRICHED: Final[Enrichment] = _Nothing()
"""What there is where no database is configured."""
