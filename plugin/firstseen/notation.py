"""Durations, sizes, dates, addresses, endpoints, file modes and patterns as people write them, and values as text."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

_WRITTEN = re.compile(r"([0-9]{1,18})([A-Za-z]*)")
_LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


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


def in_units(ms: int) -> str:
    """A length of time in its largest unit and the next, rounded down: ``1d 23h``, ``5m``, ``40ms``, ``0s``.

    Beside days seconds do not matter, and beside seconds no milliseconds.
    """
    if 0 < ms < 1_000:
        return f"{ms}ms"
    parts: list[str] = []
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        number, ms = divmod(ms, length)
        if number or parts:
            parts.append(f"{number}{unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part[0] != "0") or "0s"


def fits(pattern: str, text: str) -> bool:
    """Whether ``pattern`` is the whole of ``text``, ``*`` in it standing for any text and nothing else being special.

    It takes no longer than a search for each of the pattern's parts, whatever text somebody comes up with.
    """
    start, *parts = pattern.split("*")
    if not parts:
        return text == pattern
    if not text.startswith(start):
        return False
    at = len(start)
    *between, end = parts
    for part in between:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return text.endswith(end) and len(text) - len(end) >= at


def spelled(value: str | float | None) -> str:
    """A value as one line of text: a text that can be printed is itself, all else is JSON.

    So nothing that others have written is a command to a terminal.
    """
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)


def spelled_lines(text: str) -> str:
    """A text whose lines are ours, each of them as `spelled` has it."""
    return "\n".join(map(spelled, text.split("\n")))


class Until:
    """Until when something holds: true for ever, a date to its end in UTC, or a moment, which is UTC if not said.

    Raises `ValueError` for a value that is none of these. ``ms`` is since the epoch, None for ever.
    """

    __slots__ = ("ms",)

    EXAMPLE: ClassVar[str] = "2027-01-31"

    def __init__(self, value: object) -> None:
        if value is True:
            self.ms: int | None = None
            return
        if isinstance(value, str):
            value = _moment(value)
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            value = datetime.datetime.combine(value, datetime.time.max)
        if not isinstance(value, datetime.datetime):
            raise ValueError(f"expected true, a date such as {self.EXAMPLE}, or a date and time")  # noqa: TRY004  # of a file
        moment = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        # The end of a day is the first moment of the next, which the last day of the calendar does not have.
        self.ms = min(round(moment.timestamp() * 1_000), _LAST_MS)

    def lasts(self, now_ms: int) -> bool:
        """Whether it still holds."""
        return self.ms is None or now_ms < self.ms

    def __repr__(self) -> str:
        return f"Until({self.ms})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Until) and other.ms == self.ms

    def __hash__(self) -> int:
        return hash(self.ms)


def _moment(text: str) -> object:
    for kind in (datetime.date, datetime.datetime):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    return None


class HostName(str):
    """The name of a host, or an IPv4 address. Raises `ValueError` for a text that is neither."""

    __slots__ = ()

    _WRITTEN = re.compile(r"[^\s:/@\[\]\0]+")

    def __new__(cls, text: str) -> HostName:  # noqa: D102  # a str is made before __init__ could look at it
        if cls._WRITTEN.fullmatch(text) is None:
            raise ValueError(f'expected the name of a host, got "{text}"')
        try:
            text.encode("idna")
        except UnicodeError:
            raise ValueError(f'no host name, got "{text}": a part of it is empty or too long') from None
        return super().__new__(cls, text)


class Address:
    """A host name or address, and a port, written ``host:port``, an IPv6 address in brackets.

    Raises `ValueError` for a text that is none.
    """

    __slots__ = ("host", "port")

    _WRITTEN = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[^\s:/@\[\]\0]+)):(?P<port>[0-9]{1,5})")

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
        self.host: str = match["v6"] or HostName(match["name"])

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (other.host, other.port) == (self.host, self.port)

    def __hash__(self) -> int:
        return hash((self.host, self.port))


def _no_address(text: str) -> str:
    if text.startswith(":") and text[1:].isdecimal():
        return f'no host, got "{text}": write "0.0.0.0{text}" for every IPv4 address of this machine'
    if text.count(":") > 1 and "[" not in text and "/" not in text:
        return f'an IPv6 address stands in brackets, as in "[::1]:24224", got "{text}"'
    return f'expected "host:port", got "{text}"'


class Endpoint:
    """One end of a connection, written ``host:port``, ``tls://host:port`` or ``unix:/path``.

    A Unix socket has a ``path``, and "" and 0 for ``host`` and ``port``; the others have None for ``path``. Raises
    `ValueError` for a text that is none of the three.
    """

    __slots__ = ("host", "path", "port", "tls")

    FORMS: ClassVar[str] = '"host:port", "tls://host:port" or "unix:/path"'
    """What is written, in words."""

    MAX_PATH: ClassVar[int] = 107
    """Most bytes of the path of a Unix socket (unix(7): 108 with the NUL behind it)."""

    def __init__(self, text: str) -> None:
        self.tls = text.startswith("tls://")
        self.path: Path | None = None
        self.host = ""
        self.port = 0
        if text.startswith("unix:"):
            self.path = self._socket(text.removeprefix("unix:"))
            return
        if "@" in text:  # what stands before it is a user or a password, which no message tells
            raise ValueError(f"expected {self.FORMS}: users and passwords are settings of their own")
        if "://" in text and not self.tls:
            raise ValueError(f'expected {self.FORMS}, got "{text}"')
        address = Address(text.removeprefix("tls://"))
        self.host, self.port = address.host, address.port

    @classmethod
    def _socket(cls, path: str) -> Path:
        if not path or "\0" in path:
            raise ValueError(f'expected the path of a socket behind "unix:", got "{path}"')
        if len(os.fsencode(path)) > cls.MAX_PATH:
            raise ValueError(f'the path of a socket has at most {cls.MAX_PATH} bytes, got "{path}"')
        return Path(re.sub("^/+", "/", path))

    def under(self, base: Path) -> Endpoint:
        """This endpoint, with a relative path starting at ``base``; raises `ValueError` where it gets too long."""
        return self if self.path is None else type(self)(f"unix:{base / self.path}")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it: a Unix socket, localhost, or a loopback address."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def place(self) -> tuple[str, int, Path | None]:
        """Where it is, whatever is spoken there: of two endpoints in one place only one can be listened on."""
        return self.host, self.port, self.path

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        address = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"tls://{address}" if self.tls else address

    def __repr__(self) -> str:
        return f"Endpoint({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Endpoint) and (other.tls, other.place) == (self.tls, self.place)

    def __hash__(self) -> int:
        return hash((self.tls, self.place))


class PlainEndpoint(Endpoint):
    """An endpoint at which no TLS is spoken. Raises `ValueError` for one that is written ``tls://host:port``."""

    __slots__ = ()

    FORMS: ClassVar[str] = '"host:port" or "unix:/path"'

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if self.tls:
            raise ValueError(f'expected {self.FORMS}, got "{text}"')


class Mode:
    """Who may read and write a file, in octal digits, such as ``0660``. Raises `ValueError` for a text that is none."""

    __slots__ = ("_text", "bits")

    EXAMPLE: ClassVar[str] = "0660"

    def __init__(self, text: str) -> None:
        if re.fullmatch("0?[0-7]{3}", text) is None:
            raise ValueError(f'expected three octal digits, such as "{self.EXAMPLE}", got "{text}"')
        self._text = text
        self.bits = int(text, 8)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Mode({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mode) and other.bits == self.bits

    def __hash__(self) -> int:
        return hash(self.bits)
