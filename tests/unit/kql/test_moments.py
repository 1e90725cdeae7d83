from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from firstseen.kql.moments import indexed_moment, is_relative, moment_of


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2024-03-31T10:20:30.400")  # a Sunday, and the last day of its month


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", "2024-01-01", "2024-12-31T23:59:59.999"),
        ("2024-02", "2024-02-01", "2024-02-29T23:59:59.999"),
        ("2024-02-03", "2024-02-03", "2024-02-03T23:59:59.999"),
        ("2024-02-03T04", "2024-02-03T04:00:00", "2024-02-03T04:59:59.999"),
        ("2024-02-03T04:05", "2024-02-03T04:05:00", "2024-02-03T04:05:59.999"),
        ("2024-02-03T04:05:06Z", "2024-02-03T04:05:06", "2024-02-03T04:05:06.999"),
        ("2024-02-03T04:05:06.7", "2024-02-03T04:05:06.700", "2024-02-03T04:05:06.700"),
        ("2024-02-03T04:05:06.123456789Z", "2024-02-03T04:05:06.123", "2024-02-03T04:05:06.123"),
        ("2024-02-03T04:05:06+02:00", "2024-02-03T02:05:06", "2024-02-03T02:05:06.999"),
        ("2024-02-03T04:05-0130", "2024-02-03T05:35:00", "2024-02-03T05:35:59.999"),
        ("9999", "9999-01-01", "9999-12-31T23:59:59.999"),
        ("now", "2024-03-31T10:20:30.400", "2024-03-31T10:20:30.400"),
        ("now-1d", "2024-03-30T10:20:30.400", "2024-03-30T10:20:30.400"),
        ("now-30d/d", "2024-03-01", "2024-03-01T23:59:59.999"),
        ("now-1M", "2024-02-29T10:20:30.400", "2024-02-29T10:20:30.400"),
        ("now+1y-1h", "2025-03-31T09:20:30.400", "2025-03-31T09:20:30.400"),
        ("now/w", "2024-03-25", "2024-03-31T23:59:59.999"),
        ("now/M", "2024-03-01", "2024-03-31T23:59:59.999"),
        ("now/y", "2024-01-01", "2024-12-31T23:59:59.999"),
        ("now/h", "2024-03-31T10:00:00", "2024-03-31T10:59:59.999"),
        ("now/m+d", "2024-04-01T10:20:00", "2024-04-01T10:20:59.999"),
        ("now/s", "2024-03-31T10:20:30", "2024-03-31T10:20:30.999"),
        ("2024-02||+1M/d", "2024-03-01", "2024-03-01T23:59:59.999"),
        ("2024-01-31||+1M", "2024-02-29", "2024-02-29"),
    ],
)
def test_the_first_and_the_last_millisecond(text, first, last):
    assert moment_of(text, NOW) == (ms(first), ms(last))


def test_a_number_is_milliseconds_unless_it_is_a_year():
    assert moment_of("1700000000000", NOW) == (1_700_000_000_000, 1_700_000_000_000)
    assert moment_of("20240", NOW) == (20_240, 20_240)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "2024-13", "2024-02-30", "0000", "2024-02-03 04:05", "2024-2-3", "2024-02-03T24:00", "2024-02-03Z"),
        *(
            "nowadays",
            "now-",
            "now-1",
            "now/2d",
            "now-1q",
            "now-999999999y",
        ),
        *("now-999999999y", "x||+1d", "2024||1d"),
    ],
)
def test_what_is_no_date(text):
    assert moment_of(text, NOW) is None


def test_what_starts_from_now():
    assert is_relative("now-1d/d")
    assert not is_relative("2024||-1d")


@pytest.mark.parametrize(
    ("value", "moment"),
    [("2024-02", ms("2024-02-01")), (1_700_000_000_000, 1_700_000_000_000), (1.9, 1), (-1.5, -2), (10**400, 10**400)],
)
def test_what_a_date_field_holds(value, moment):
    assert indexed_moment(value) == moment


@pytest.mark.parametrize("value", [True, "x", "now", "", math.nan, math.inf])
def test_what_a_date_field_does_not_hold(value):
    assert indexed_moment(value) is None
