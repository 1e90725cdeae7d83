"""That nothing can be forged is a property (tests/property/test_keys.py); here are the forms themselves, pinned."""

from __future__ import annotations

import math
import struct

import pytest

from firstseen.detect.keys import (
    RULE_KEY_SIZE,
    TERMS_DIGEST_SIZE,
    alert_id,
    digest_of,
    encode_terms,
    rule_state,
    state_key,
    terms_digest,
)

ARN = "arn:aws:iam::111122223333:user/alice"
LARGEST_KEY = 511  # of LMDB


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("", "s 00000000"),
        ("ab", "s 00000002 6162"),
        ("é", "s 00000002 c3a9"),
        ("\udce9", "s 00000003 edb3a9"),
        ("\ud800", "s 00000003 eda080"),
        (True, "b 00000001 01"),
        (False, "b 00000001 00"),
        (None, "n 00000000"),
        (0, "i 00000001 00"),
        (1, "i 00000001 01"),
        (-1, "i 00000001 ff"),
        (128, "i 00000002 0080"),
        (1 << 64, "i 00000009 010000000000000000"),
        (1.0, "f 00000008 3ff0000000000000"),
        (-0.0, "f 00000008 0000000000000000"),
        (math.inf, "f 00000008 7ff0000000000000"),
        (-math.nan, "f 00000008 7ff8000000000000"),
        (struct.unpack(">d", bytes.fromhex("7ff8000000000001"))[0], "f 00000008 7ff8000000000000"),
    ],
)
def test_one_value(value, encoded):
    tag, hexadecimal = encoded.split(" ", 1)
    assert encode_terms((value,)) == tag.encode() + bytes.fromhex(hexadecimal)


def test_values_follow_each_other():
    assert encode_terms(("a", 1)) == encode_terms(("a",)) + encode_terms((1,))
    assert encode_terms(()) == b""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b"), ("b", "a")),
        (("ab",), ("a", "b")),
        (("a\0b",), ("a", "b")),
        (("1",), (1,)),
        ((1,), (True,)),
        ((1,), (1.0,)),
        (("\udcc3\udca9",), ("é",)),
        (("\ud83d\ude00",), ("\U0001f600",)),
    ],
)
def test_what_must_stay_apart(one, other):
    assert terms_digest(one) != terms_digest(other)


def test_keys_are_short_and_stable():
    rule = rule_state("rule", "event.action : a", ["user.name"])
    assert len(rule) == RULE_KEY_SIZE == 8
    assert len(terms_digest((ARN,))) == TERMS_DIGEST_SIZE == 16
    assert state_key(rule, (ARN,)) == rule + terms_digest((ARN,))
    assert len(state_key(rule, (ARN * 1_000,))) == 24 < LARGEST_KEY


def test_forms_are_pinned_because_state_and_alerts_outlive_versions():
    assert terms_digest((ARN, 7)).hex() == "ee0db436c5edc1d500d6ac83e871780c"
    assert rule_state("rule", "a : b", ["x", "y"], ["not c : d"]).hex() == "8720db4729b816ac"
    assert alert_id("rule", (ARN,), "2f0ce4d1-3d1c-4b7a-9a0d-5a1f0f6f6d11") == "b2720db326031cdf894ea60d47555361"


def test_a_rule_starts_anew_with_whatever_changes_its_meaning():
    states = [
        rule_state("rule", "a : b", ["x", "y"]),
        rule_state("other", "a : b", ["x", "y"]),
        rule_state("rule", "a : c", ["x", "y"]),
        rule_state("rule", "a : b", ["y", "x"]),
        rule_state("rule", "a : b", ["x"]),
        rule_state("rule", "a : b", ["x", "y"], ["c : d"]),
        rule_state("rule", "a : b", ["x", "y", "c : d"]),
        rule_state("rule", "a : b", ["x", "y"], law=["threshold", ""]),
        rule_state("rule", "a : b", ["x", "y"], law=["threshold", "z"]),
        rule_state("rule", "a : b", ["x", "y"], law=["suppression"]),
    ]
    assert len(set(states)) == len(states)


def test_exceptions_are_a_set():
    one = rule_state("rule", "a : b", ["x"], ["c : d", "e : f"])
    assert one == rule_state("rule", "a : b", ["x"], ["e : f", "c : d", "e : f"])


def test_an_alert_has_32_hex_digits_of_its_own():
    ids = [
        alert_id("rule", (ARN,), "e1"),
        alert_id("rule", (ARN,), b"e1"),
        alert_id("rule", (ARN, "e1"), ""),
        alert_id("rule", (ARN,), "e2"),
        alert_id("rule2", (ARN,), "e1"),
    ]
    assert len(set(ids)) == len(ids)
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in ids)


def test_one_purpose_cannot_pass_for_another():
    assert not alert_id("", (), "").startswith(terms_digest(()).hex()[:8])


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_the_identity_of_an_event_that_has_none(kind: type) -> None:
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180-2

    assert digest_of(kind(b"abc")) == f"sha256:{sha256}"
