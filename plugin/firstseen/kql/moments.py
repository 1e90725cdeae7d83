"""Points in time, as Elasticsearch's date fields take them from JSON and from a query, in milliseconds since 1970.

A date that leaves its end out means all of the year, month, day or second that it names; so it has a first and a last
millisecond. A query may also do sums: ``now-30d/d`` is the start, or the end, of the day 30 days ago, and
``2026-05-24||+1M`` is a month later. What ``now`` is, the caller says: nothing here reads a clock.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from firstseen.model import Scalar

_EPOCH = datetime(1970, 1, 1)
_MILLISECOND = timedelta(milliseconds=1)
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_FIRST_OF_YEAR = [1, 1, 1, 0, 0, 0]
_LAST_OF_YEAR = [9999, 12, 0, 23, 59, 59]

_DATE = re.compile(
    r"""(?P<year>\d{4})
        (?:-(?P<month>\d{2})
           (?:-(?P<day>\d{2})
              (?:T(?:(?P<hour>\d{2})
                     (?::(?P<minute>\d{2})
                        (?::(?P<second>\d{2})
                           (?:[.,](?P<fraction>\d{1,9}))?)?)?
                     (?:Z|(?P<sign>[+-])(?P<hours>\d{2})(?::?(?P<minutes>\d{2}))?)?)?)?)?)?""",
    re.ASCII | re.VERBOSE,
)
_EPOCH_MILLISECONDS = re.compile(r"(-?\d{1,18})(?:\.\d{1,6})?", re.ASCII)
_SUM = re.compile(r"(?:[+-]\d{0,9}[yMwdhHms]|/[yMwdhHms])*", re.ASCII)
_STEP = re.compile(r"([+\-/])(\d*)([yMwdhHms])", re.ASCII)
_STEPS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "H": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_MONTHS = {"y": 12, "M": 1}


class Moment(NamedTuple):
    """The first and the last millisecond that a date means."""

    first: int
    last: int


def is_relative(text: str) -> bool:
    """Whether ``text``, in a query on a date field, starts from now."""
    return text.startswith("now")


def moment_of(text: str, now: int) -> Moment | None:
    """What ``text`` means in a query on a date field, where now is ``now``; None where it is no date."""
    if is_relative(text):
        return _sum(now, text[len("now") :])
    start, bars, steps = text.partition("||")
    moment = _date(start)
    if moment is None or not bars:
        return moment
    return _sum(moment.first, steps)


def indexed_moment(value: Scalar) -> int | None:
    """``value`` as a date field holds it; None where it holds no such value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        moment = _date(value)
        return None if moment is None else moment.first
    if isinstance(value, float):
        return math.floor(value) if math.isfinite(value) else None
    return value


def _date(text: str) -> Moment | None:
    if found := _DATE.fullmatch(text):
        return _from_parts({name: part for name, part in found.groupdict().items() if part is not None})
    if found := _EPOCH_MILLISECONDS.fullmatch(text):
        milliseconds = math.floor(float(text)) if "." in text else int(text)
        return Moment(milliseconds, milliseconds)
    return None


def _from_parts(parts: dict[str, str]) -> Moment | None:
    """The moment named by ``parts``, read as far as they go; None where the calendar has no such day or time."""
    named = [int(parts[name]) for name in _PARTS if name in parts]
    offset = timedelta(hours=int(parts.get("hours", 0)), minutes=int(parts.get("minutes", 0)))
    shift = (-offset if parts.get("sign") == "-" else offset) // _MILLISECOND
    fraction = int(parts["fraction"][:3].ljust(3, "0")) if "fraction" in parts else None
    try:
        start = _at(named + _FIRST_OF_YEAR[len(named) :])
        end = _at(named + _LAST_OF_YEAR[len(named) :])
    except ValueError:
        return None
    return Moment(start + (fraction or 0) - shift, end + (999 if fraction is None else fraction) - shift)


def _at(parts: Sequence[int]) -> int:
    """The milliseconds since 1970 of year, month, day, hour, minute and second; a day of 0 is the last of its month."""
    year, month, day, hour, minute, second = parts
    return _ms(datetime(year, month, day or calendar.monthrange(year, month)[1], hour, minute, second))


def _sum(start: int, steps: str) -> Moment | None:
    if not _SUM.fullmatch(steps):
        return None
    try:
        return Moment(_stepped(start, steps, up=False), _stepped(start, steps, up=True))
    except (OverflowError, ValueError):  # out of the calendar
        return None


def _stepped(start: int, steps: str, *, up: bool) -> int:
    at = _EPOCH + start * _MILLISECOND
    for sign, count, unit in _STEP.findall(steps):
        if sign == "/":
            at = _round(at, unit)
            if up:
                at = _later(at, 1, unit) - _MILLISECOND
        else:
            at = _later(at, int(f"{sign}{count or 1}"), unit)
    return _ms(at)


def _round(at: datetime, unit: str) -> datetime:
    """Return the start of the year, month, week, day, hour, minute or second that ``at`` lies in."""
    at = at.replace(microsecond=0)
    if unit == "s":
        return at
    at = at.replace(second=0)
    if unit == "m":
        return at
    at = at.replace(minute=0)
    if unit in "hH":
        return at
    at = at.replace(hour=0)
    if unit == "w":
        return at - timedelta(days=at.weekday())
    if unit == "d":
        return at
    return at.replace(day=1) if unit == "M" else at.replace(month=1, day=1)


def _later(at: datetime, count: int, unit: str) -> datetime:
    if unit in _STEPS:
        return at + count * _STEPS[unit]
    months = at.year * 12 + at.month - 1 + count * _MONTHS[unit]
    year, month = months // 12, months % 12 + 1
    return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND
