from __future__ import annotations

import math

import pytest

from firstseen.kql.numbers import double_of, indexed_double, indexed_whole, number_of, whole_around


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("1.0", 1), ("-0", 0), ("+5", 5), (".5", 0.5), ("1.", 1), ("1e3", 1000), ("1.5", 1.5), ("1e-3", 0.001)],
)
def test_numbers(text, number):
    assert number_of(text) == number
    assert double_of(text) == number


@pytest.mark.parametrize(
    "text", ["", "x", "1x", "0x10", "1_000", " 1", "1 ", "nan", "Infinity", "٣", "1e", "--1", "1e999"]
)
def test_what_is_no_number(text):
    assert number_of(text) is None
    assert double_of(text) is None


def test_a_number_as_long_as_a_book_is_none():
    assert number_of("1" * 401) is None


@pytest.mark.parametrize(
    ("text", "around"),
    [
        ("5", (5, 5)),
        ("5.0", (5, 5)),
        ("5.5", (5, 6)),
        ("-5.5", (-6, -5)),
        ("1e-9", (0, 1)),
        ("9007199254740993", (9007199254740993, 9007199254740993)),
        ("1e999999999", (2**64, 2**64)),
        ("-1e30", (-(2**63) - 1, -(2**63) - 1)),
    ],
)
def test_whole_numbers_around(text, around):
    assert whole_around(text) == around


@pytest.mark.parametrize(
    ("value", "whole"),
    [(5, 5), (5.9, 5), (-5.9, -5), ("5", 5), ("5.9", 5), (2**64 - 1, 2**64 - 1), (-(2**63), -(2**63))],
)
def test_what_a_field_of_whole_numbers_holds(value, whole):
    assert indexed_whole(value) == whole


@pytest.mark.parametrize(
    "value", [True, "x", "", 2**64, -(2**63) - 1, math.inf, math.nan, 1e300, "1e300", "1e999999999"]
)
def test_what_a_field_of_whole_numbers_does_not_hold(value):
    assert indexed_whole(value) is None


@pytest.mark.parametrize(("value", "double"), [(5, 5.0), ("0.1", 0.1), (0.1, 0.1), (2**70, 2.0**70)])
def test_what_a_field_of_fractions_holds(value, double):
    assert indexed_double(value) == double


@pytest.mark.parametrize("value", [True, "x", math.inf, math.nan, 10**400])
def test_what_a_field_of_fractions_does_not_hold(value):
    assert indexed_double(value) is None
