"""Databases in MaxMind's format, version 2, written on the spot: a tree over address bits, and a data section."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Uint(NamedTuple):
    """A number as wide as the reader insists on."""

    bits: int
    value: int


UINTS = {16: 5, 32: 6, 64: 9}
MARK = b"\xab\xcd\xefMaxMind.com"
BETWEEN = bytes(16)

LEEDS: dict[str, Any] = {
    "continent": {"names": {"en": "Europe", "de": "Europa"}},
    "country": {"iso_code": "GB", "names": {"en": "United Kingdom"}},
    "subdivisions": [
        {"iso_code": "ENG", "names": {"en": "England"}},
        {"iso_code": "LDS", "names": {"en": "Leeds"}},
    ],
    "city": {"names": {"en": "Leeds"}},
    "location": {"latitude": 53.79, "longitude": -1.54, "time_zone": "Europe/London"},
}
OCEAN: dict[str, Any] = {"location": {"latitude": 0.5}, "city": {"names": {"de": "Meer"}}}
EXAMPLE_NET: dict[str, Any] = {"autonomous_system_number": 64496, "autonomous_system_organization": "Example Networks"}


def city_database(path: Path) -> Path:
    entries = {"192.0.2.0/24": LEEDS, "198.51.100.7/32": OCEAN, "2001:db8::/32": {"country": {"iso_code": "FR"}}}
    return write(path, "GeoLite2-City", entries)


def asn_database(path: Path) -> Path:
    return write(path, "GeoLite2-ASN", {"192.0.2.0/25": EXAMPLE_NET, "2001:db8::/32": {"autonomous_system_number": 1}})


def write(path: Path, database_type: str, entries: Mapping[str, Any], ip_version: int = 6) -> Path:
    data = b""
    tree: list[list[Any]] = [[None, None]]
    for text, entry in entries.items():
        bits = _bits(ipaddress.ip_network(text), ip_version)
        node = tree[0]
        for bit in bits[:-1]:
            if node[bit] is None:
                tree.append([None, None])
                node[bit] = tree[-1]
            node = node[bit]
        node[bits[-1]] = len(data)
        data += encoded(entry)
    numbers = {id(node): number for number, node in enumerate(tree)}

    def record(side: Any) -> int:
        if side is None:
            return len(tree)
        return len(tree) + len(BETWEEN) + side if isinstance(side, int) else numbers[id(side)]

    metadata = {
        "binary_format_major_version": Uint(16, 2),
        "binary_format_minor_version": Uint(16, 0),
        "build_epoch": Uint(64, 1_767_225_600),
        "database_type": database_type,
        "description": {"en": "made up"},
        "ip_version": Uint(16, ip_version),
        "languages": ["en"],
        "node_count": len(tree),
        "record_size": Uint(16, 32),
    }
    nodes = b"".join(struct.pack(">II", *map(record, node)) for node in tree)
    path.write_bytes(nodes + BETWEEN + data + MARK + encoded(metadata))
    return path


def encoded(value: Any) -> bytes:
    match value:
        case str():
            return _head(2, len(value.encode())) + value.encode()
        case float():
            return _head(3, 8) + struct.pack(">d", value)
        case Uint(bits, number):
            return _head(UINTS[bits], bits // 8) + number.to_bytes(bits // 8)
        case int():
            return encoded(Uint(32, value))
        case dict():
            return _head(7, len(value)) + b"".join(encoded(k) + encoded(v) for k, v in value.items())
        case list():
            return _head(11, len(value)) + b"".join(map(encoded, value))
    raise TypeError(value)


def _head(kind: int, size: int) -> bytes:
    """The control byte, the kind if it did not fit in, and a size from 29 to 284 in a byte of its own."""
    first, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    return bytes([kind << 5 | first]) + more if kind < 8 else bytes([first, kind - 7]) + more


def _bits(network: ipaddress.IPv4Network | ipaddress.IPv6Network, ip_version: int) -> list[int]:
    bits = [int(bit) for bit in f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]]
    return [0] * 96 + bits if network.version == 4 and ip_version == 6 else bits
