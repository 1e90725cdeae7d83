from __future__ import annotations

import math

import pytest

from firstseen.kql.scalars import may_be_in_scalar, text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Text", "Text"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (4625, "4625"),
        (-1, "-1"),
        (2**63, "9223372036854775808"),
        (0.1, "0.1"),
        (22.0, "22.0"),
        (1e16, "1e+16"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_a_value_reads_as_its_json_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize("text", ["", "4625", "-1.5e+16", "+", "E", "true", "ru", "als", "Infinity", "nit", "-", "aN"])
def test_what_may_be_part_of_a_scalar(text):
    assert may_be_in_scalar(text)


@pytest.mark.parametrize("text", ["1a", "True", "truefalse", "i-0123", "0x10", "192.0.2.1/24", "12 ", "١"])
def test_what_is_found_in_strings_only(text):
    assert not may_be_in_scalar(text)
