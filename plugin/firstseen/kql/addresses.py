"""Addresses, networks and ranges of addresses, as numbers: an IPv4 address is the IPv6 address that maps it.

Spelt as Elasticsearch takes them: no octet starts with a superfluous zero, no IPv6 address has a zone, and a network
is not spelt with an IPv6 address that maps an IPv4 address, whose prefix could be meant in two ways. The bits of a
network behind its prefix are passed over.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

_MAPPED = 0xFFFF << 32
_BITS = 128
_ADDRESS = re.compile(r"[0-9a-fA-F:.]{2,45}")
_PREFIX = re.compile(r"[0-9]{1,3}", re.ASCII)

Range = tuple[int, int]
"""The first and the last address."""


@lru_cache(maxsize=16_384)
def address_of(text: str) -> int | None:
    """The address that ``text`` is; None where it is none."""
    if not _ADDRESS.fullmatch(text):
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return int(address) if address.version == 6 else _MAPPED | int(address)


def network_of(text: str) -> Range | None:
    """The network that ``text`` is, as address, slash and length of the prefix; None where it is none."""
    spelt, slash, prefix = text.partition("/")
    address = address_of(spelt)
    if address is None or not slash or not _PREFIX.fullmatch(prefix):
        return None
    if ":" in spelt:
        length = int(prefix)
        is_mapped = address >> 32 == _MAPPED >> 32
    else:
        length = _BITS - 32 + int(prefix)
        is_mapped = False
    if is_mapped or length > _BITS:
        return None
    rest = (1 << (_BITS - length)) - 1
    return address & ~rest, address | rest


def range_of(text: str) -> Range | None:
    """The range that ``text`` is: an address, a network, or two addresses with a dash between; None where it is none.

    Two addresses in descending order are none.
    """
    first, dash, last = text.partition("-")
    start = address_of(first.strip())
    if dash:
        end = address_of(last.strip())
        return None if start is None or end is None or start > end else (start, end)
    return network_of(text) if start is None else (start, start)


def in_ranges(text: str, ranges: Iterable[str]) -> bool:
    """Whether ``text`` is an address inside one of ``ranges``; a range that is none holds nothing."""
    address = address_of(text)
    if address is None:
        return False
    return any(each[0] <= address <= each[1] for each in map(range_of, ranges) if each is not None)
