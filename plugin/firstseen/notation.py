"""Durations, sizes and addresses as people write them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import ClassVar

_WRITTEN = re.compile(r"([0-9]{1,18})([A-Za-z]*)")


class _Quantity:
    """A whole number with its unit, never without; prints as it was written, compares by what it means."""

    __slots__ = ("_text", "_value")

    UNITS: ClassVar[Mapping[str, int]]
    EXAMPLE: ClassVar[str]

    def __init__(self, text: str) -> None:
        match = _WRITTEN.fullmatch(text)
        if match is None or match[2] not in self.UNITS:
            units = ", ".join(self.UNITS)
            raise ValueError(f'expected a whole number and one of {units}, such as "{self.EXAMPLE}", got "{text}"')
        self._text = text
        self._value = int(match[1]) * self.UNITS[match[2]]

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _Quantity) and other._value == self._value

    def __hash__(self) -> int:
        return hash((type(self), self._value))


class Duration(_Quantity):
    """A length of time, such as ``60s`` or ``10d``. Raises `ValueError` for a text that is none."""

    __slots__ = ()

    UNITS: ClassVar[Mapping[str, int]] = {
        "ms": 1,
        "s": 1_000,
        "m": 60_000,
        "h": 3_600_000,
        "d": 86_400_000,
        "w": 604_800_000,
    }
    EXAMPLE: ClassVar[str] = "60s"

    @property
    def ms(self) -> int:
        """In milliseconds."""
        return self._value

    @property
    def seconds(self) -> float:
        """In seconds."""
        return self._value / 1_000


class Size(_Quantity):
    """A number of bytes, such as ``16MiB`` or ``500kB``. Raises `ValueError` for a text that is none."""

    __slots__ = ()

    UNITS: ClassVar[Mapping[str, int]] = {
        "B": 1,
        "kB": 1_000,
        "MB": 1_000_000,
        "GB": 1_000_000_000,
        "KiB": 1 << 10,
        "MiB": 1 << 20,
        "GiB": 1 << 30,
    }
    EXAMPLE: ClassVar[str] = "16MiB"

    @property
    def bytes(self) -> int:
        """In bytes."""
        return self._value


class Address:
    """A host name or address, and a port, written ``host:port``, an IPv6 address in brackets.

    Raises `ValueError` for a text that is none.
    """

    __slots__ = ("host", "port")

    _WRITTEN = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[^\s:/@\[\]]+)):(?P<port>[0-9]{1,5})")

    def __init__(self, text: str) -> None:
        match = self._WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError(_no_address(text))
        self.port = int(match["port"])
        if self.port > 65_535:
            raise ValueError(f'a port is at most 65535, got "{text}"')
        if match["v6"] is not None:
            try:
                ipaddress.IPv6Address(match["v6"])
            except ValueError:
                raise ValueError(f'no IPv6 address between the brackets of "{text}"') from None
        else:
            try:
                match["name"].encode("idna")
            except UnicodeError:
                raise ValueError(f'no host name, got "{text}": a part of it is empty or too long') from None
        self.host = match["v6"] or match["name"]

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (other.host, other.port) == (self.host, self.port)

    def __hash__(self) -> int:
        return hash((self.host, self.port))


def _no_address(text: str) -> str:
    for prefix in ("tls:", "unix:"):
        if text.startswith(prefix):
            return f'{prefix.rstrip(":")} is not supported by this version, got "{text}"'
    if text.startswith(":") and text[1:].isdecimal():
        return f'no host, got "{text}": write "0.0.0.0{text}" for every IPv4 address of this machine'
    if text.count(":") > 1 and "[" not in text:
        return f'an IPv6 address stands in brackets, as in "[::1]:24224", got "{text}"'
    return f'expected "host:port", got "{text}"'
