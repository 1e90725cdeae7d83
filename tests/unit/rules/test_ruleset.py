import gc
import json

import pytest

from firstseen.rules.ruleset import RuleSet
from support.documents import Document
from support.rulebook import call
from support.rulefiles import rule_of


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
    assert narrow.scanner.hits(b"GetUser", 0, 7) == [(0, (0,))]


def test_rules_of_groups(ruleset):
    assert ruleset.some([(0, 2), (1, 2)]).rules == list(ruleset.rules)
    assert ruleset.some([(2,)]).rules == [ruleset.rules[2]]
    assert ruleset.some([]).rules == []
    assert ruleset.some([(1, 2), (0, 2)]) is ruleset.some([(0, 2), (1, 2), (0, 2)])


def test_what_is_kept_of_groups_stays_small(ruleset, monkeypatch):
    monkeypatch.setattr("firstseen.rules.ruleset._MOST_ASKED", 2)
    first = ruleset.some([(0,)])
    for group in [(1,), (2,), (0,)]:
        assert ruleset.some([group]).rules == [ruleset.rules[group[0]]]
    assert ruleset.some([(0,)]) is not first


def test_many_rules_are_asked_by_the_action_of_the_event(ruleset, monkeypatch):
    monkeypatch.setattr("firstseen.rules.ruleset._MOST_TOGETHER", 2)
    assert ruleset.some([(0, 1)]) is not None
    assert ruleset.some([(0, 1), (2,)]) is None
    assert ruleset.some([(0, 1), (2,)]) is None


def test_the_rules_that_an_action_and_needles_concern(tmp_path, monkeypatch):
    many = " or ".join(f"name{number}" for number in range(9))
    rules = RuleSet(
        [
            rule_of("event.action: GetUser and user.name: *", tmp_path, 0),
            rule_of(f"user.name: ({many})", tmp_path, 1),
            rule_of("event.action: Get*", tmp_path, 2),
        ]
    )
    assert rules.scanner.goes_by_action
    assert rules.concerned("GetUser").rules == [rules.rules[0], rules.rules[2]]
    assert rules.concerned("PutUser").rules == []
    assert rules.concerned("PutUser", frozenset([(1,)])).rules == [rules.rules[1]]
    assert rules.concerned("GetRole", frozenset([(1,)])).rules == [rules.rules[1], rules.rules[2]]
    assert rules.concerned("GetUser") is rules.concerned("GetUser")
    monkeypatch.setattr("firstseen.rules.ruleset._MOST_ACTIONS", 2)
    assert rules.concerned("Other").rules == []
    assert len(rules._concerned) == 1
    assert rules.concerned("GetUser" + "r" * 128).rules == [rules.rules[2]]
    assert list(rules._concerned) == [("Other", None)], "what is long is not kept"


def test_what_is_let_go_of_is_not_kept_by_actions(ruleset, monkeypatch):
    monkeypatch.setattr("firstseen.rules.ruleset._MOST_ASKED", 1)
    before = ruleset.concerned("GetUser")
    ruleset.some([(2,)])
    ruleset.some([(1,)])
    assert ruleset.concerned("GetUser") is not before


def test_one_glance_for_all_rules(tmp_path):
    rules = RuleSet(
        [
            rule_of("user.name: ada", tmp_path, 0),
            rule_of("aws.cloudtrail.flattened.request_parameters.key: a", tmp_path, 1),
            rule_of("cloud.region: *", tmp_path, 2),
        ]
    )
    event = call("arn:aws:iam::111122223333:user/ada", "e-1") | {"awsRegion": "eu-west-1"}
    seen = rules.glances.at(json.dumps(event).encode(), json=True)
    for group in [(0,), (2,), (0, 2)]:
        glances = rules.some([group]).glances
        own = glances.at(json.dumps(event).encode(), json=True)
        assert glances.key(own) == glances.key(seen)
    assert rules.glances is rules.glances


def test_an_empty_set():
    empty = RuleSet([])
    assert (empty.rules, empty.reports, empty.matches(Document({}))) == ((), (), [])
    assert not empty.scanner.always


def test_what_was_found_out_of_rules_stays_with_them(ruleset, tmp_path, monkeypatch):
    ruleset.get_ready()
    same = RuleSet(ruleset.rules, before=ruleset)
    assert same.scanner is ruleset.scanner
    found = []
    monkeypatch.setattr("firstseen.rules.alike.traits_of", found.append)
    added = rule_of("event.action: PutUser", tmp_path, 9)
    more = RuleSet([*ruleset.rules[1:], added], before=same)
    between = []
    more.get_ready(lambda: between.append(None))
    assert found == [added]
    assert len(between) == 3
    assert more.scanner is not ruleset.scanner
    document = Document({"event.action": "PutUser", "user.name": "mary"})
    assert more.matches(document) == more.matches_linear(document) == [ruleset.rules[1], added]


def test_a_set_that_is_let_go_of_leaves_nothing_behind(tmp_path):
    """What refers to itself would stay until all there is was searched, and everything would wait for that."""

    def live():
        rules = RuleSet([rule_of('event.action: "GetUser" and user.name: *', tmp_path)])
        rules.scanner.hits(b'"eventName": "GetUser"', 0, 22)
        asked = rules.some([(0,)])
        asked.within(b'"eventName": "GetUser"', 0, 22)
        seen = asked.glances.at(json.dumps(call("arn:aws:iam::111122223333:user/ada", "e-1")).encode(), json=True)
        asked.likeness(seen).learn([])
        return asked

    live()
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        live()
        gc.collect()
        left = [type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("firstseen.rules")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert left == []
