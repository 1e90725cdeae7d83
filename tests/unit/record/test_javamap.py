from __future__ import annotations

import pytest
from msgpack import ExtType

from firstseen.record.javamap import _spread_hash, _spread_hash_of_usual, double_text, hash_order, java_text
from firstseen.record.tree import MAX_ENTERED_DEPTH


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1, "b": [True, "x", b"y", None]}, "{a=1, b=[true, x, y]}"),
        ({"a": {"b": {"c": ""}}, "d": False}, "{d=false}"),
        ({"p": '{"Effect": "Allow"}\n'}, '{p={"Effect": "Allow"}\n}'),
        ((1, 2.5), "[1, 2.5]"),
        ("plain", "plain"),
        (18_446_744_073_709_551_616, "18446744073709551616"),
        ({}, None),
        ([[], {}], None),
        ("-", None),
        (None, None),
        (ExtType(1, b"x"), None),
        ({5: 1, b"a": 2}, "{a=2}"),
    ],
)
def test_text(value, text):
    assert java_text(value) == text


@pytest.mark.parametrize("key", ["", "a", "é" * 300, "\ud83d" + "k" * 256, "😀" * 400, "x" * 128, "y" * 129, "z" * 512])
def test_the_hash_is_java_s_of_keys_of_any_length(key):
    value = 0
    for unit in memoryview(key.encode("utf-16-le", "surrogatepass")).cast("H") if key else ():
        value = (31 * value + unit) & 0xFFFFFFFF
    assert _spread_hash(key) == value ^ value >> 16


def test_no_long_key_is_kept():
    before = _spread_hash_of_usual.cache_info().currsize
    hash_order(["k" * 100_000 + str(number) for number in range(5)])
    assert _spread_hash_of_usual.cache_info().currsize == before


def test_keys_are_in_the_order_of_their_hashes():
    # one letter's hash is its code: p is 112, bucket 0 of 16; q, a, A and Q are all in bucket 1, in order of arrival
    assert hash_order("qaAQp") == ["p", "q", "a", "A", "Q"]
    # the classic pair of words with one hash
    assert hash_order(["BB", "Aa"]) == ["BB", "Aa"]
    assert hash_order(["Aa", "BB"]) == ["Aa", "BB"]


def test_the_table_grows_when_three_quarters_full():
    letters = (
        "pqrstuvwxyz{"  # codes from 112 on: buckets from 0 on of 16, from 16 on of 32; the backtick's is 0 of both
    )
    assert hash_order(letters[:11] + "`")[:2] == ["p", "`"]
    assert hash_order(letters + "`")[:2] == ["`", "p"]


def test_pruned_keys_count_for_the_size_of_the_table():
    kept = {"p": 1, "`": 2}
    assert java_text(kept) == "{p=1, `=2}"
    assert java_text(kept | {chr(code): "" for code in range(65, 76)}) == "{`=2, p=1}"


def test_hashes_go_over_utf16_units():
    # U+10000 is D800 DC00: 31 * 0xd800 + 0xdc00; its upper half is folded in
    spread = (31 * 0xD800 + 0xDC00) ^ (31 * 0xD800 + 0xDC00) >> 16
    letters = [chr(ord("p") + bucket) for bucket in range(11)]
    position = hash_order(["\U00010000", *letters]).index("\U00010000")
    assert position == min(spread & 15, 11)
    assert hash_order(["\udcff"]) == ["\udcff"]


def test_too_deep_is_left_out():
    value: object = 1
    for _ in range(MAX_ENTERED_DEPTH):
        value = [value]
    assert java_text(value) == "[" * MAX_ENTERED_DEPTH + "1" + "]" * MAX_ENTERED_DEPTH
    assert java_text([value]) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2.0, "2.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (-1.5e-5, "-1.5E-5"),
        (123_456_789.125, "1.23456789125E8"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_doubles(number, text):
    assert double_text(number) == java_text(number) == text
