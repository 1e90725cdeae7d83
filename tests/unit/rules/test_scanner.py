"""That no match is missed is a property (tests/property/test_ruleset.py); here is what is found, and where."""

import pytest

from firstseen.kql.demands import demanded
from firstseen.kql.parser import parse
from firstseen.rules.actions import ACTION
from firstseen.rules.scanner import ESCAPE, Scanner, Sought


def sought(needles, query=""):
    return Sought(None if needles is None else frozenset(needles), demanded(parse(query), ACTION))


def hits(needles, data, start=0, stop=None):
    scanner = Scanner([sought(needles)])
    found = scanner.hits(data, start, len(data) if stop is None else stop)
    assert {group for _, group in found} <= {(0,)}
    return [at for at, _ in found]


MANY = [f"needle-{number:03}".encode() for number in range(100)]


@pytest.mark.parametrize("needles", [[b"abc"], [b"abc", b"xyz"], [b"abc", b"xyz", *MANY]])
@pytest.mark.parametrize("padding", [0, 100_000])
@pytest.mark.parametrize("buffer", [bytes, bytearray])
def test_hits_are_the_ascending_offsets_in_the_window(needles, padding, buffer):
    data = buffer(b"abc xyz abc" + b"." * padding + b"abc")
    expected = [0, 8, 11 + padding] if len(needles) == 1 else [0, 4, 8, 11 + padding]
    assert hits(needles, data) == expected
    assert hits(needles, data, 1) == expected[1:]
    assert hits(needles, data, 0, len(data) - 1) == expected[:-1]
    assert hits(needles, data, 3, 3) == []


@pytest.mark.parametrize("padding", [0, 100_000])
def test_an_escape_of_json_is_a_hit(padding):
    data = b"." * padding + rb'{"eventName":"\u0047etUser", "path":"a\\b\"c\/d\u20ac"}'
    assert hits([b"GetUser"], data) == [padding + 14]


@pytest.mark.parametrize("padding", [0, 100_000])
def test_a_hit_never_hides_another(padding):
    data = b"." * padding + b"aaaa"
    assert hits([b"aaa"], data) == [padding, padding + 1]
    assert hits([b"aaa", *MANY], data) == [padding, padding + 1]


def test_a_needle_inside_another_is_enough():
    assert hits([b"User", b"GetUser", b"UserUser"], b"GetUser UserUser") == [3, 8, 12]


def test_hits_name_the_rules_that_seek_what_was_found():
    scanner = Scanner([sought([b"abc", b"xyz"]), sought([b"abcdef"]), sought([b"xyz"])])

    assert sorted(scanner.hits(b"xyz abcdef " + ESCAPE, 0, 15)) == [(0, (0, 2)), (4, (0,)), (4, (1,)), (11, (0, 1, 2))]


@pytest.mark.parametrize("others", [[], [sought(MANY)]])
def test_rules_with_many_needles_are_found_by_the_action_they_demand(others):
    rules = [sought([b"GetUser"], "event.action: GetUser"), sought([b"Get"], "event.action: Get*"), *others]
    scanner = Scanner(rules)
    data = b"eventName\xa7GetUser eventName\xa7GetRole eventName\xa7PutUser needle-042"

    by_action = [(0, (0, 1)), (18, (1,)), (54, (2,))]
    by_needle = [(10, (0,)), (10, (1,)), (28, (1,))]
    assert sorted(scanner.hits(data, 0, len(data))) == (by_action if others else by_needle)


def test_a_rule_without_a_needle_may_demand_an_action():
    scanner = Scanner([sought(None, "event.action: ab"), sought([b"xyz"])])

    assert not scanner.always
    assert scanner.hits(b"xyz action\xa2ab", 0, 13) == [(0, (1,)), (4, (0,))]


def test_what_is_found_by_actions_and_what_by_needles():
    scanner = Scanner([sought(None, "event.action: GetUser"), sought([b"xyz"]), sought(MANY)])

    assert scanner.goes_by_action
    assert (scanner.by_action("GetUser"), scanner.by_action("GetRole")) == ((0,), ())
    assert sorted(scanner.needles(b".. GetUser xyz needle-042 .." + ESCAPE, 3, 32)) == [
        (11, (1,)),
        (15, (2,)),
        (28, (0, 1, 2)),
    ]
    assert not Scanner([sought([b"xyz"], "event.action: GetUser")]).goes_by_action
    assert list(Scanner([]).needles(b"xyz", 0, 3)) == []


def test_without_needles_there_are_no_hits():
    assert Scanner([]).hits(rb"\u0041", 0, 6) == []
    assert Scanner([sought(None)]).hits(b"abc", 0, 3) == []


def test_always():
    assert not Scanner([]).always
    assert not Scanner([sought([b"abc"])]).always
    assert Scanner([sought([b"abc"]), sought(None)]).always


def test_no_needle_can_match_where_the_set_is_empty():
    assert not Scanner([sought([])]).always
    assert Scanner([sought([])]).hits(b"abc", 0, 3) == []


@pytest.mark.parametrize("rules", [[sought([b"GetCallerIdentity"])], [sought([], "event.action: GetCallerIdentity")]])
def test_hits_that_begin_in_a_window_and_end_behind_it(rules):
    rules = [*rules, *([sought(MANY)] if not rules[0].needles else [])]
    what = b"GetCallerIdentity" if rules[0].needles else b"eventName"
    scanner = Scanner(rules)
    data = bytearray(100)
    data[40 : 40 + len(what)] = what
    data[40 + len(what) : 40 + len(what) + 18] = b"\xb1GetCallerIdentity"
    data[7:11] = ESCAPE

    def found(*window):
        return [at for at, _ in scanner.beginning(data, *window)]

    assert found(0, 41, 100) == [7, 40]
    assert found(8, 40, 100) == []
    assert found(40, 41, 40 + len(what)) == [40]
    assert found(40, 41, 39 + len(what)) == []
