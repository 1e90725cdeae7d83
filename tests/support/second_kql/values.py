"""How single values compare: addresses, numbers, dates, words, wildcards; with the standard library's own classes."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

_WHOLE = ("long", "integer")
_DATE_SHAPES = ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f")
_SPELT = tuple(
    re.compile(shape, re.ASCII)
    for shape in (
        *(r"\d{4}", r"\d{4}-\d\d", r"\d{4}-\d\d-\d\d", r"\d{4}-\d\d-\d\dT\d\d", r"\d{4}-\d\d-\d\dT\d\d:\d\d"),
        *(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}"),
    )
)


def fits(chunks: list[str], text: str) -> bool:
    """Whether ``text`` is the chunks with anything between them: the places that can be reached, chunk by chunk."""
    places = {0} if text.startswith(chunks[0]) else set()
    places = {len(chunks[0]) for _ in places}
    for chunk in chunks[1:]:
        least = min(places, default=len(text) + 1)
        starts = [at for at in range(least, len(text) + 1) if text[at : at + len(chunk)] == chunk]
        places = {at + len(chunk) for at in starts}
    return len(text) in places


def words_of_pattern(chunks: list[str]) -> list[list[str]]:
    """The words of a wildcard, cut at blanks."""
    words: list[list[str]] = [[""]]
    for number, chunk in enumerate(chunks):
        if number:
            words[-1].append("")
        for character in chunk:
            if character in " \t\n\r\u3000":
                words.append([""])
            else:
                words[-1][-1] += character
    return [word for word in words if word != [""]]


def takes(es_type: str, text: str) -> bool:
    """Whether a field of this type takes ``text`` as its operand."""
    if es_type == "ip":
        return network(text) is not None or address(text) is not None
    if es_type == "date":
        return date_span(text, 0) is not None
    if es_type == "boolean":
        return text in ("true", "false")
    if es_type in (*_WHOLE, "double", "float", "scaled_float"):
        return operand_number(text, es_type) is not None
    return es_type != "geo_point"


def compare(have: Any, sign: str, limit: Any) -> bool:
    if isinstance(have, str):
        have, limit = have.encode("utf-8", "surrogatepass"), limit.encode("utf-8", "surrogatepass")
    return {"<": have < limit, "<=": have <= limit, ">": have > limit, ">=": have >= limit}[sign]


def address(text: Any) -> ipaddress.IPv6Address | None:
    """An address, as one of version 6."""
    if not isinstance(text, str) or "%" in text:
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found if isinstance(found, ipaddress.IPv6Address) else ipaddress.IPv6Address(f"::ffff:{found}")


def network(text: str) -> ipaddress.IPv6Network | None:
    host, slash, prefix = text.partition("/")
    start = address(host)
    if start is None or not slash or not re.fullmatch("[0-9]{1,3}", prefix):
        return None
    length = int(prefix)
    if ":" not in host:
        length += 96
    elif start.ipv4_mapped:
        return None
    return ipaddress.IPv6Network((start, length), strict=False) if length <= 128 else None


def address_in(value: Any, operand: str) -> bool:
    have, net, one = address(value), network(operand), address(operand)
    return have is not None and ((net is not None and have in net) or have == one)


def number(text: str) -> Fraction | None:
    """A number, exactly; none beyond what JSON gives as a number."""
    if len(text) > 400 or not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", text, re.ASCII):
        return None
    exact = Fraction(text)
    if abs(exact) >= Fraction(10) ** 401:
        return None
    if exact.denominator == 1:
        return exact
    return Fraction(float(exact))


def operand_number(text: str, es_type: str) -> Fraction | None:
    exact = number(text)
    if exact is None or es_type in _WHOLE:
        return None if exact is None else Fraction(text)
    return Fraction(float(exact)) if abs(exact) < Fraction(2) ** 1024 else None


def stored_number(value: Any, es_type: str) -> Fraction | None:
    if isinstance(value, bool) or value in (float("inf"), float("-inf")) or value != value:
        return None
    exact = number(value) if isinstance(value, str) else Fraction(value)
    if exact is None:
        return None
    if es_type in _WHOLE:
        whole = int(exact)
        return Fraction(whole) if -(2**63) <= whole < 2**64 else None
    return Fraction(float(exact)) if abs(exact) < Fraction(2) ** 1024 else None


def stored_date(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        span = _date(value)
        return None if span is None else span[0]
    return None if value != value or value in (float("inf"), float("-inf")) else int(value // 1)


def date_span(text: str, now: int | None) -> tuple[int, int] | None:
    """The first and last millisecond that a date in a query means."""
    if text.startswith("now"):
        return None if now is None else _moved(now, text[3:])
    start, bars, steps = text.partition("||")
    span = _date(start)
    return _moved(span[0], steps) if span and bars else span


def _date(text: str) -> tuple[int, int] | None:
    zone = re.search(r"(?<=T)(.*)(Z|[+-]\d\d:\d\d)\Z", text, re.ASCII)
    plain, shift = text, timedelta()
    if zone:
        plain = text[: zone.start(2)]
        if zone[2] != "Z":
            shift = timedelta(hours=int(zone[2][1:3]), minutes=int(zone[2][4:])) * (-1 if zone[2][0] == "-" else 1)
    for number_, (shape, spelt) in enumerate(zip(_DATE_SHAPES, _SPELT, strict=True)):
        if spelt.fullmatch(plain):
            try:
                start = datetime.strptime(plain, shape).replace(tzinfo=UTC)
            except ValueError:
                return None
            after = _plus(start, 1, "yMdhms"[number_]) if number_ < 6 else start + timedelta(milliseconds=1)
            first = _milliseconds(start - shift)
            return first, max(first, _milliseconds(after - shift) - 1)
    if re.fullmatch(r"-?\d{1,18}(\.\d{1,6})?", text, re.ASCII):
        return int(Fraction(text) // 1), int(Fraction(text) // 1)
    return None


def _moved(start: int, steps: str) -> tuple[int, int] | None:
    if not re.fullmatch(r"([+-]\d{0,5}[yMwdhHms]|/[yMwdhHms])*", steps, re.ASCII):
        return None
    ends = []
    for up in (False, True):
        try:
            at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=start)
            for sign, count, unit in re.findall(r"([+/-])(\d*)(.)", steps):
                if sign == "/":
                    at = _start_of(at, unit)
                    at = _plus(at, 1, unit) - timedelta(milliseconds=1) if up else at
                else:
                    at = _plus(at, int(count or 1) * (1 if sign == "+" else -1), unit)
            ends.append(_milliseconds(at))
        except (OverflowError, ValueError):
            return None
    return ends[0], ends[1]


def _start_of(at: datetime, unit: str) -> datetime:
    if unit == "w":
        return _start_of(at, "d") - timedelta(days=at.isoweekday() - 1)
    kept = {"y": 1, "M": 2, "d": 3, "h": 4, "H": 4, "m": 5, "s": 6}[unit]
    parts = [at.year, at.month, at.day, at.hour, at.minute, at.second][:kept]
    return datetime(*(parts + [1, 1, 1][kept:]), tzinfo=UTC) if kept < 3 else datetime(*parts, tzinfo=UTC)


def _plus(at: datetime, count: int, unit: str) -> datetime:
    if unit not in "yM":
        names = {"w": "weeks", "d": "days", "h": "hours", "H": "hours", "m": "minutes", "s": "seconds"}
        return at + timedelta(**{names[unit]: count})
    month = at.month - 1 + count * (12 if unit == "y" else 1)
    year, month = at.year + month // 12, month % 12 + 1
    for day in range(at.day, at.day - 4, -1):
        try:
            return at.replace(year=year, month=month, day=day)
        except ValueError:
            if not 1 <= year <= 9999:
                raise
    raise ValueError(at)


def _milliseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def tokens(text: str) -> list[str]:
    """The words of a text, character by character."""
    lowered = text.lower()
    words = [""]
    for at, character in enumerate(lowered):
        before, after = lowered[at - 1 : at], lowered[at + 1 : at + 2]
        between_letters = before.isalpha() and after.isalpha()
        between_digits = before.isdecimal() and after.isdecimal()
        inside = (character in ".':" and between_letters) or (character in ".',;" and between_digits)
        if character.isalnum() or character == "_" or (inside and words[-1]):
            words[-1] += character
        else:
            words.append("")
    return [word for word in words if word]


def in_order(have: list[str], wanted: list[str], *, adjacent: bool) -> bool:
    if not adjacent:
        return bool(set(have) & set(wanted))
    return bool(wanted) and any(have[at : at + len(wanted)] == wanted for at in range(len(have)))
