import pytest

from firstseen.rules.ruleset import ESCAPE, RuleSet, Scanner
from support.documents import Document
from support.rulefiles import rule_of


def hits(needles, data, start=0, stop=None):
    scanner = Scanner([frozenset(needles)])
    return scanner.hits(data, start, len(data) if stop is None else stop)


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


def test_without_needles_there_are_no_hits():
    assert Scanner([]).hits(rb"\u0041", 0, 6) == []
    assert Scanner([None]).hits(b"abc", 0, 3) == []


def test_always():
    assert not Scanner([]).always
    assert not Scanner([frozenset([b"abc"])]).always
    assert Scanner([frozenset([b"abc"]), None]).always


def test_no_needle_can_match_where_the_set_is_empty():
    assert not Scanner([frozenset()]).always
    assert Scanner([frozenset()]).hits(b"abc", 0, 3) == []


@pytest.fixture
def ruleset(tmp_path):
    queries = ('event.action: "GetUser"', "not user.name: root", "event.action: Get*")
    return RuleSet([rule_of(query, tmp_path, number) for number, query in enumerate(queries, start=1)])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"event.action": "GetUser", "user.name": "mary"}, [0, 1, 2]),
        ({"event.action": "GetUser", "user.name": "root"}, [0, 2]),
        ({"event.action": "GetRole"}, [1, 2]),
        ({"event.action": "PutRole", "user.name": "root"}, []),
    ],
)
def test_matches(ruleset, document, expected):
    rules = [ruleset.rules[number] for number in expected]
    assert ruleset.matches(Document(document)) == rules
    assert ruleset.matches_linear(Document(document)) == rules


def test_matches_among_some_rules(ruleset):
    document = Document({"event.action": "GetUser", "user.name": "mary"})
    assert ruleset.matches(document, ruleset.rules[1:]) == list(ruleset.rules[1:])
    assert ruleset.matches(document, []) == []


def test_the_scanner_is_of_all_rules(ruleset, tmp_path):
    assert ruleset.scanner.always
    narrow = RuleSet([rule_of('event.action: "GetUser"', tmp_path)])
    assert not narrow.scanner.always
    assert narrow.scanner.hits(b"GetUser", 0, 7) == [0]


def test_an_empty_set():
    empty = RuleSet([])
    assert (empty.rules, empty.reports, empty.matches(Document({}))) == ((), (), [])
    assert not empty.scanner.always


def test_hits_that_begin_in_a_window_and_end_behind_it():
    scanner = Scanner([frozenset({b"GetCallerIdentity"})])
    data = bytearray(100)
    data[40:57] = b"GetCallerIdentity"
    data[7:11] = ESCAPE

    assert scanner.beginning(data, 0, 41, 100) == [7, 40]
    assert scanner.beginning(data, 8, 40, 100) == []
    assert scanner.beginning(data, 40, 41, 57) == [40]
    assert scanner.beginning(data, 40, 41, 56) == []
