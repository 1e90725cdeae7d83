"""Addresses, networks and ranges of addresses, as numbers: an IPv4 address is the IPv6 address that maps it.

Spelt as Elasticsearch takes them: no octet starts with a superfluous zero, no IPv6 address has a zone, and a network
is not spelt with an IPv6 address that maps an IPv4 address, whose prefix could be meant in two ways. The bits of a
network behind its prefix are passed over.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache

_MAPPED = 0xFFFF << 32
_BITS = 128
_LAST_OCTET = 255
_QUAD = re.compile(r"\.".join([r"(0|[1-9][0-9]{0,2})"] * 4), re.ASCII)
_LONGEST = 45
_IPV6 = re.compile(rf"[0-9a-fA-F:.]{{2,{_LONGEST}}}", re.ASCII)
_PREFIX = re.compile(r"[0-9]{1,3}", re.ASCII)

Range = tuple[int, int]
"""The first and the last address."""


def address_of(text: str) -> int | None:
    """The address that ``text`` is; None where it is none."""
    return _address_of(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=16_384)
def _address_of(text: str) -> int | None:
    if quad := _QUAD.fullmatch(text):  # nearly always
        first, second, third, fourth = map(int, quad.groups())
        if max(first, second, third, fourth) > _LAST_OCTET:
            return None
        return _MAPPED | first << 24 | second << 16 | third << 8 | fourth
    if not _IPV6.fullmatch(text):
        return None
    try:
        return int(ipaddress.IPv6Address(text))
    except ValueError:
        return None


def spelt(address: int) -> str:
    """The one spelling of an address that Elasticsearch shows."""
    if address >> 32 == _MAPPED >> 32:
        return str(ipaddress.IPv4Address(address & 0xFFFFFFFF))
    return str(ipaddress.IPv6Address(address))


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


def operand_of(text: str) -> Range | None:
    """The address or network that ``text`` is; None where it is none."""
    if "/" in text:
        return network_of(text)
    address = address_of(text)
    return None if address is None else (address, address)


def range_of(text: str) -> Range | None:
    """The range that ``text`` is: an address, a network, or two addresses with a dash between; None where it is none.

    Two addresses in descending order are none.
    """
    first, dash, last = text.partition("-")
    if not dash:
        return operand_of(text)
    start, end = address_of(first.strip()), address_of(last.strip())
    return None if start is None or end is None or start > end else (start, end)


class Networks:
    """A set of addresses, made of ranges; None holds nothing. Asking takes few steps however many ranges there are."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[Range | None]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(each for each in ranges if each is not None):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(last, self._lasts[-1])
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __contains__(self, address: int | None) -> bool:
        at = -1 if address is None else bisect_right(self._firsts, address) - 1
        return at >= 0 and address is not None and address <= self._lasts[at]
