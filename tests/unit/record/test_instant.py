from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstseen.record.instant import iso, parse_ms

NOON = 1_779_624_000_000  # 2026-05-24T12:00:00Z


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("2026-05-24T12:00:00Z", NOON),
        ("2026-05-24T12:00:00", NOON),
        (" 2026-05-24 12:00 ", NOON),
        ("20260524T120000Z", NOON),
        ("2026-05-24T14:00:00.5+02:00", NOON + 500),
        ("2026-05-24T12:00:00.123999999Z", NOON + 123),
        ("2026-05-24", NOON - 43_200_000),
        ("1969-12-31T23:59:59.9999Z", -1),
        (NOON, NOON),
        (NOON + 0.9, NOON),
        (NOON // 1000, NOON),
        (NOON / 1000 + 0.29, NOON + 290),
        (str(NOON), NOON),
        (f"{NOON // 1000}.25", NOON + 250),
        (0, 0),
        (-0.0015, -2),
    ],
)
def test_read(value, ms):
    assert parse_ms(value) == ms


@pytest.mark.parametrize(
    "value",
    [
        *("", "now", "2026-13-01", "2026-05-24T25:00:00Z", "\ud800", "2" * 65, "1" * 15),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        *(True, None, [], {}, b"2026-05-24", float("nan"), float("inf"), 10**14, 10**400, -99_999_999_999),
    ],
)
def test_not_a_point_in_time(value):
    assert parse_ms(value) is None


@pytest.mark.parametrize(
    ("ms", "printed"),
    [
        (NOON + 7, "2026-05-24T12:00:00.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (parse_ms("0001-01-01"), "0001-01-01T00:00:00.000Z"),
        (parse_ms("9999-12-31T23:59:59.999Z"), "9999-12-31T23:59:59.999Z"),
    ],
)
def test_printed(ms, printed):
    assert iso(ms) == printed
    assert parse_ms(printed) == ms


@given(st.from_regex(r"\A.{4}.[0-9W]{2}.[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9.]{2}Z\Z"))
def test_the_usual_form_is_read_as_it_is_with_blanks_around(text):
    assert parse_ms(text) == parse_ms(f" {text} ")


@given(st.datetimes(timezones=st.just(UTC)))
def test_any_second_in_the_usual_form(moment):
    text = f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}Z"
    assert parse_ms(text) == parse_ms(f" {text}") == int(moment.replace(microsecond=0).timestamp()) * 1000
