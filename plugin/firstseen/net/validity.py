"""From when until when the certificates that a configuration names are valid: nobody takes one beyond that.

Neither OpenSSL nor Python's part of it looks at that when a file is loaded, and of certificates that are no roots
Python does not say it at all. It stands at a fixed place of each (RFC 5280, 4.1), and is read there.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import NamedTuple

from firstseen import plainfile
from firstseen.config import Config

_OWN = ("input.tls.cert", "output.tls.cert", "http.tls.cert", "state.tls.cert")
_ROOTS = ("input.tls.client_ca", "output.tls.ca", "http.tls.client_ca", "state.tls.ca")

_PEM = re.compile(
    rb"^(?:\xef\xbb\xbf)?-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[ \t\r]*$(.+?)^-----END",
    re.DOTALL | re.MULTILINE,
)
"""As OpenSSL reads it: only at the start of a line, which may have nothing else."""

_UTC_TIME, _VERSION = 0x17, 0xA0
"""Tags: of a time with two digits for the year, and of the version, which may be left out."""


class Overdue(NamedTuple):
    """A certificate of this ``setting`` is not valid now: ``what`` is to be said of its file."""

    setting: str
    what: str


class Validity(NamedTuple):
    """The first and the last second of a certificate."""

    first: datetime
    last: datetime


def overdue(settings: Config, now_ms: int) -> Iterator[Overdue]:
    """The certificates that are not valid at ``now_ms``, in files that OpenSSL takes.

    Of those that are shown all count, as they lead to one another; of roots one that is valid is enough.
    """
    now = datetime.fromtimestamp(now_ms / 1_000, UTC)
    for setting in (*_OWN, *_ROOTS):
        file = attrgetter(setting)(settings)
        if file is None:
            continue
        try:
            found = validities(plainfile.read(file))
        except OSError:  # it went this moment: whoever needs it next says so
            continue
        wrong = [each for each in found if not each.first <= now <= each.last]
        if wrong and (setting in _OWN or len(wrong) == len(found)):
            which = max(wrong, key=attrgetter("last")) if setting in _ROOTS else wrong[0]
            which_of = f", certificate {found.index(which) + 1} of {len(found)}," if len(found) > 1 else ""
            yield Overdue(setting, f"{file}{which_of} {_told(which, now)}")


def _told(validity: Validity, now: datetime) -> str:
    if now < validity.first:
        return f"is not valid yet: it will be from {_shown(validity.first)}"
    return f"has expired: it was valid until {_shown(validity.last)}"


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def validities(pem: bytes) -> Sequence[Validity]:
    """Of each certificate in ``pem``, in order, but for those that OpenSSL may take and the RFC does not allow."""
    found = (_validity(each[1]) for each in _PEM.finditer(pem))
    return [each for each in found if each is not None]


def _validity(text: bytes) -> Validity | None:
    try:
        (_, certificate), *_ = _values(b64decode(text))
        (_, to_be_signed), *_ = _values(certificate)
        _serial, _algorithm, _issuer, validity, *_ = (each for tag, each in _values(to_be_signed) if tag != _VERSION)
        first, last = (_moment(tag, each) for tag, each in _values(validity))
    except (ValueError, IndexError):
        return None
    return Validity(first, last)


def _values(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The values that stand in ``der`` one behind the other, each with its tag."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            at, length = at + (length & 0x7F), int.from_bytes(der[at : at + (length & 0x7F)])
        yield tag, der[at : at + length]
        at += length


def _moment(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
