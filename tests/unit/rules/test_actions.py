"""That no match is missed is a property (tests/property/test_ruleset.py); here is what is told apart."""

import json

import msgpack
import pytest

from firstseen.kql import ast
from firstseen.kql.demands import demanded
from firstseen.kql.parser import parse
from firstseen.rules.actions import ACTION, WINDOW, Actions

LONG = "DescribeThingsWithANameThatIsLongerThanAnyWindow"
QUERIES = ("GetUser", "(GetUser or PutUser)", "Get*", f"{LONG}", "34", "true", "Na\u00efve", f"{LONG}Indeed")


def actions_of(*values):
    demands = {number: demanded(parse(f"event.action: {each}"), ACTION) for number, each in enumerate(values)}
    return Actions(demands)


ACTIONS = actions_of(*QUERIES)


@pytest.mark.parametrize(
    ("action", "rules"),
    [
        ("GetUser", (0, 1, 2)),
        ("PutUser", (1,)),
        ("GetRole", (2,)),
        ("PutRole", ()),
        ("", ()),
        ("34", (4,)),
        ("true", (5,)),
        (LONG, (3,)),
    ],
)
def test_the_rules_of_an_action(action, rules):
    assert ACTIONS.of(action) == rules


def test_a_list_is_told_by_its_members():
    actions = Actions({4: [ast.Is(ACTION, ast.Members("l", frozenset(("A", "B"))))], 7: demanded(parse(""), "x") or []})

    assert (actions.of("A"), actions.of("C"), actions.all) == ((4,), (), (4, 7))


def test_the_rules_of_all_actions_that_begin_so():
    assert ACTIONS.beginning("Describe") == (2, 3, 7)
    assert ACTIONS.beginning("") == ACTIONS.all
    assert ACTIONS.beginning("Put") == (1, 2)


BEHIND = b"\xa9awsRegion\xa9us-east-1"


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        (msgpack.packb("GetUser"), (0, 1, 2)),
        (b"\xd9\x07GetUser", (0, 1, 2)),
        (b"\xdb\x00\x00\x00\x07GetUser", (0, 1, 2)),
        (b"\xc4\x07PutUser", (1,)),
        (msgpack.packb("PutRole"), ()),
        (msgpack.packb("Na\u00efve"), (6,)),
        (msgpack.packb("\u00e9" * 40), ACTIONS.all),
        (msgpack.packb(LONG), (2, 3, 7)),
        (msgpack.packb(LONG.lower()), (2,)),
        (msgpack.packb(True), (5,)),
        (msgpack.packb(340), ()),
        (msgpack.packb(3400000), ()),
        (msgpack.packb(1.5), ()),
        (msgpack.packb(None), ACTIONS.all),
        (msgpack.packb(["PutRole"]), ACTIONS.all),
        (msgpack.packb({"a": 1}), ACTIONS.all),
        (b"sId", ()),
    ],
)
def test_what_stands_behind_a_key(value, rules):
    assert ACTIONS.behind((value + BEHIND)[:WINDOW]) == rules


WITHOUT_NUMBERS = actions_of(*(each for each in QUERIES if each != "34"))


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        (b'":"GetUser",', (0, 1, 2)),
        (b'" :\n "PutUser"}', (1,)),
        (b'": "PutRole"', ()),
        (rb"\":\"GetUser\",", (0, 1, 2)),
        (rb"\": \"PutRole\",", ()),
        (rb'":"PutUser\",', (1, 2)),
        (rb'":"Put\u0055ser",', (1, 2)),
        (rb'":"Put\/",', (1, 2)),
        (b'":"' + LONG.encode(), (2, 3, 6)),
        (b'": 34,', WITHOUT_NUMBERS.all),
        (b'": null', WITHOUT_NUMBERS.all),
        (b'": ["PutRole"]', WITHOUT_NUMBERS.all),
        (b'"' + b" " * WINDOW, WITHOUT_NUMBERS.all),
    ],
)
def test_what_stands_behind_a_key_in_json(value, rules):
    assert WITHOUT_NUMBERS.behind((value + b',"awsRegion":"us-east-1"')[:WINDOW]) == rules


def test_numbers_that_look_like_a_quotation_mark_or_a_backslash():
    assert ACTIONS.behind(msgpack.packb(ord('"')) + BEHIND) == ACTIONS.all
    assert ACTIONS.behind(b'":"PutRole"') == (4,)


def test_nothing_behind_a_key_tells_nothing():
    assert ACTIONS.behind(b"") == ACTIONS.all
    assert ACTIONS.behind(b"\xda\x01") == ACTIONS.all


@pytest.mark.parametrize("buffer", [bytes, bytearray])
@pytest.mark.parametrize("room", [0, 2 * WINDOW])
def test_hits_are_where_a_key_begins(buffer, room):
    data = buffer(b"." + msgpack.packb({"eventName": "GetUser", "event.action": "PutUser"}) + bytes(room))

    assert sorted(ACTIONS.hits(data, 1, len(data))) == [(3, (0, 1, 2)), (27, (1,))]
    assert sorted(ACTIONS.hits(data, 4, len(data))) == [(27, (1,))]
    assert sorted(ACTIONS.hits(data, 1, 20)) == [(3, (0, 1, 2))]


def test_a_key_at_the_end_of_all_bytes_is_of_interest_to_all():
    assert ACTIONS.hits(b"eventName", 0, 9) == [(0, ACTIONS.all)]


def test_without_demands_there_are_no_hits():
    assert Actions({}).hits(json.dumps({"eventName": "GetUser"}).encode(), 0, 24) == []
    assert Actions({}).longest == 0


def test_what_is_known_of_windows_stays_small(monkeypatch):
    monkeypatch.setattr("firstseen.rules.actions._KEPT", 10)
    actions = actions_of("GetUser")
    for number in range(40):
        data = msgpack.packb({"eventName": f"GetUser{number}"}) + bytes(WINDOW)
        assert actions.hits(data, 0, len(data)) == []
    assert actions.hits(msgpack.packb({"eventName": "GetUser"}) + bytes(WINDOW), 0, 20) == [(2, (0,))]
