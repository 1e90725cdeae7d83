from __future__ import annotations

import json
from pathlib import Path

from firstseen import config
from firstseen.changes import Change, Changes, KnownRule, Present, changes, last_known, running_now
from firstseen.running import Policy, Running
from firstseen.store.base import History, RuleState
from support.rulebook import rule_set, rule_text

OLD, NEW = frozenset((b"old",)), frozenset((b"new",))


def present(*rules: tuple[str, KnownRule], **settings: str) -> Present:
    return Present(dict(rules), settings)


def test_rules_that_are_different() -> None:
    before = present(
        ("gone", KnownRule("Gone", OLD, "1")),
        ("same", KnownRule("Same", OLD, "1")),
        ("anew", KnownRule("Anew", OLD, "1")),
        ("noted", KnownRule("Noted", OLD, "1")),
        ("plain", KnownRule("Plain", frozenset(), "1")),
        ("remembers", KnownRule("Remembers", frozenset(), "1")),
    )
    after = present(
        ("fresh", KnownRule("Fresh", NEW, "1")),
        ("same", KnownRule("Same", OLD, "1")),
        ("anew", KnownRule("Anew", NEW, "1")),
        ("noted", KnownRule("Noted better", OLD, "2")),
        ("plain", KnownRule("Plain", frozenset(), "2")),
        ("remembers", KnownRule("Remembers", NEW, "2")),
    )
    found = changes(before, after)
    assert found.added == [Change("fresh", "Fresh")]
    assert found.removed == [Change("gone", "Gone")]
    assert found.changed == [Change("anew", "Anew")]
    assert found.edited == [
        Change("noted", "Noted better"),
        Change("plain", "Plain"),
        Change("remembers", "Remembers"),
    ]
    assert changes(after, after) == Changes(added=[], removed=[], changed=[], edited=[], taken=[], waits=[])


def test_settings_that_are_different() -> None:
    before = {"rules.paths": "a", "output.servers": "b", "http.listen": "c"}
    after = before | {"rules.paths": "z"}
    found = changes(Present({}, before), Present({}, after), after | {"output.servers": "z"})
    assert (found.taken, found.waits) == (["rules.paths"], ["output.servers"])


def test_a_state_knows_the_rules_that_have_a_history_in_it() -> None:
    histories = [
        History(RuleState(b"old", "a", "A", None), 1),
        History(RuleState(b"new", "a", "A", None), 2),
        History(RuleState(b"x", "gone", "Gone", None), 1),
    ]
    after = present(
        ("a", KnownRule("A", NEW, "1")),
        ("b", KnownRule("B", NEW, "1")),
        ("plain", KnownRule("Plain", frozenset(), "1")),
        output="x",
    )
    found = changes(last_known(histories), after)
    assert (found.added, found.removed) == ([Change("b", "B")], [Change("gone", "Gone")])
    assert (found.changed, found.edited, found.taken, found.waits) == ([], [], [], [])
    again = changes(last_known(histories), present(("a", KnownRule("A", frozenset((b"third",)), "1"))))
    assert again.changed == [Change("a", "A")]


def test_what_runs(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[output]\nconnections = 3\n")
    query = rule_text(rule_id="q").replace('"new_terms"', '"query"')
    rules = rule_set(rule_text(rule_id="n"), query)
    shown = running_now(config.load(tmp_path / "a.toml"), [Running(rule) for rule in rules.rules])
    assert [(rule_id, len(rule.histories)) for rule_id, rule in shown.rules.items()] == [("n", 1), ("q", 0)]
    assert shown.settings is not None
    assert shown.settings["output.connections"] == "3"
    learning = [Running(rule, Policy(learning=[("*", 60_000)])) for rule in rules.rules]
    shown = running_now(config.load(tmp_path / "a.toml"), learning)
    assert [len(rule.histories) for rule in shown.rules.values()] == [1, 1]


def test_all_of_it_as_json_and_in_short() -> None:
    found = Changes(added=[Change("a", "A")], waits=["http.listen"])
    assert json.loads(json.dumps(found.as_dict())) == {
        "added": [{"id": "a", "name": "A"}],
        "removed": [],
        "changed": [],
        "edited": [],
        "taken": [],
        "waits": ["http.listen"],
    }
    assert found.counts() == {"added": 1, "removed": 0, "changed": 0, "edited": 0, "taken": 0, "waits": 1}
