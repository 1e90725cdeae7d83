"""Which comparisons a kind rejects; what those that it takes mean is in ``spec/kql/types_*.toml``."""

from __future__ import annotations

import pytest

from firstseen.kql.ast import Glob, Literal
from firstseen.kql.kinds import kind_of


@pytest.mark.parametrize(
    ("es_type", "taken", "rejected"),
    [
        ("keyword", ["x", ""], []),
        ("unknown", ["x", ""], []),
        ("object", ["x"], []),
        ("text", ["x", ""], []),
        ("ip", ["192.0.2.1", "2001:db8::/32"], ["x", "192.0.2.1-192.0.2.9", "192.0.2.0/33", ""]),
        ("long", ["1", "1.5", "1e99"], ["x", "", "true"]),
        ("float", ["1", "1.5"], ["x", "1e999"]),
        ("boolean", ["true", "false"], ["True", "1", ""]),
        ("date", ["2026", "now-1d"], ["x", "now-1"]),
        ("geo_point", [], ["x", "0,0"]),
    ],
)
def test_operands(es_type, taken, rejected):
    kind = kind_of(es_type)
    assert [text for text in taken + rejected if kind.equal(Literal(text, quoted=True)) is not None] == taken


def test_wildcards_are_for_texts():
    types = ("keyword", "wildcard", "text", "caseless", "flattened", "flattened_key", "unknown", "object")
    assert all(kind_of(es_type).fits(("", "x")) for es_type in types)
    assert not any(kind_of(es_type).fits(("", "x")) for es_type in ("ip", "long", "float", "boolean", "date"))


def test_globs_are_not_for_keys_of_flattened_objects():
    glob = Glob("x*", caseless=False)
    assert kind_of("flattened").globbed(glob)
    assert kind_of("flattened_key").globbed(glob) is None


def test_a_bound_is_no_network():
    assert kind_of("ip").bounded(">", "192.0.2.0/24") is None
    assert kind_of("ip").bounded(">", "192.0.2.0") is not None


def test_a_type_never_heard_of_is_unknown():
    assert kind_of("histogram") is kind_of("unknown")


def test_among_several_a_rejected_one_matches_nothing():
    test = kind_of("long").among([Literal("x", quoted=True), Literal("5", quoted=True)])
    assert [value for value in (5, "5", "x", 6) if test(value)] == [5, "5"]


@pytest.mark.parametrize(
    ("es_type", "values", "held"),
    [
        ("keyword", [4625, "4625", True, 0.1, "a"], ["4625", "4625", "true", "0.1", "a"]),
        ("flattened", [443, "x"], ["443", "x"]),
        ("caseless", ["Ab", True], ["ab", "true"]),
        ("ip", ["192.0.2.7", "::ffff:192.0.2.7", "2001:DB8:0:0::1", "x", 7], ["192.0.2.7"] * 2 + ["2001:db8::1"]),
        ("long", [443, "443", 443.0, "443.7", "x", True, 2**80], [443] * 4),
        ("float", [1, "1", 1.5, "x", True], [1.0, 1.0, 1.5]),
        ("boolean", [True, "true", "false", "True", 1], [True, True, False]),
        ("date", ["2026-01-01", "2026-01-01T00:00:00.000Z", 1767225600000, "x"], [1767225600000] * 3),
        ("unknown", [1, "1", True], [1, "1", True]),
        ("text", ["A b", 5, "5"], ["A b", "5", "5"]),
    ],
)
def test_what_a_field_holds_is_the_same_for_all_spellings_of_a_value(es_type, values, held):
    found = [each for value in values if (each := kind_of(es_type).indexed(value)) is not None]
    assert [(type(each), each) for each in found] == [(type(each), each) for each in held]
