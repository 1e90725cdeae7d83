from pathlib import Path
from typing import Any

import click

from firstseen.cli.explained import LONGEST, MOST_ALTERNATIVES, MOST_VALUES, lines
from firstseen.detect.matches import Moment
from firstseen.eventfiles import Event, encode_object
from firstseen.explanation import Explainer
from firstseen.record.enrichment import UNENRICHED
from firstseen.rules.loader import load_rules
from support.rulebook import rule_set, rule_text


def shown(query: str, event: dict[str, Any], fields: tuple[str, ...] = ("user.name",)) -> list[str]:
    """The lines below the rule's own, without colours, and without the indentation of all of them."""
    rules = rule_set(rule_text(query, fields)).rules
    (explanation,) = Explainer(rules, None, UNENRICHED, 1).explain(Event(encode_object(event), "f", 1), Moment(None, 0))
    return [click.unstyle(line).removeprefix("    ") for line in lines(explanation)][3:]


def test_the_tree_is_indented_and_every_line_has_its_verdict_and_values() -> None:
    told = shown("event.action: Look and not user.name: (a or b)", {"event": {"action": "Look"}, "user": {"name": "c"}})

    assert told == [
        '✔ needle "Look" is in the event',
        "✔ and",
        "  ✔ event.action: Look  → Look",
        "  ✔ not",
        "    ✘ or",
        "      ✘ user.name: a  → c",
        "      ✘ user.name: b",
        "state: no state given, as if nothing was ever seen",
        "  alert  user.name c: never seen",
    ]


def test_alternatives_that_do_not_hold_are_cut_and_those_that_do_are_shown() -> None:
    names = " or ".join(f"n{number}" for number in range(40))

    told = shown(f"user.name: ({names})", {"user": {"name": "n39"}})

    alternatives = [line.strip() for line in told if "user.name: n" in line]
    assert len(alternatives) == MOST_ALTERNATIVES + 1
    assert alternatives[-1].startswith("✔ user.name: n39")
    assert f"  ✘ and {39 - MOST_ALTERNATIVES} more" in told


def test_many_values_and_long_ones_are_cut_and_say_by_how_much() -> None:
    told = shown("event.action: *", {"event": {"action": ["x" * 1_000, *map(str, range(10))]}}, ("event.action",))

    (comparison,) = (line for line in told if line.startswith("✔ event.action: *"))
    assert f"{'x' * LONGEST}… (1,000 characters), 0, 1, 2, 3 and {11 - MOST_VALUES} more" in comparison
    assert told[-1] == f"  and {11 - MOST_VALUES} more, of which 6 alert"


def test_no_event_sends_commands_to_the_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\u202eLook"
    event = {"event": {"action": hostile, "id": hostile}, "user": {"name": hostile}}
    rules = rule_set(rule_text("user.name: *", ("user.name",))).rules
    told = Explainer(rules, None, UNENRICHED, 1).explain(Event(encode_object(event), "f", 1), Moment(None, 0))

    shown = "".join(click.unstyle(line) for explanation in told for line in lines(explanation))

    assert shown.count("\\u001b]0;owned") >= 3
    assert shown.isprintable()


def test_what_is_missing_and_what_only_has_fields_below_is_said() -> None:
    told = shown("user: * and host.name: x", {"user": {"name": "a"}})

    assert told[1:] == ["✘ and", "  ✔ user: *  → has fields below it", "  ✘ host.name: x  → is not there"]


def test_nested_objects_are_numbered() -> None:
    told = shown("weird: { name: x }", {"weird": [{"name": "y"}, {"name": "x"}]})

    assert told[1:6] == [
        "✔ weird: one of 2 objects",
        "  ✘ object 1",
        "    ✘ name: x  → y",
        "  ✔ object 2",
        "    ✔ name: x  → x",
    ]


def test_a_missing_value_to_remember_by_is_named() -> None:
    told = shown("event.action: Look", {"event": {"action": "Look"}}, ("user.name", "host.name"))

    assert told[-1] == "state: not asked, because a value is missing in user.name, host.name"


def test_an_exception_is_shown_with_its_place_and_its_tree(tmp_path: Path) -> None:
    (tmp_path / "rule.toml").write_text(rule_text("event.action: Look", ["user.name"]))
    (tmp_path / "x.toml").write_text('[[exception]]\nname = "known"\nquery = "user.name: ada"\n')
    rules = load_rules([tmp_path / "rule.toml"], [tmp_path / "x.toml"], now_ms=1).rules
    event = Event(encode_object({"event": {"action": "Look"}, "user": {"name": "ada"}}), "f", 1)
    (explanation,) = Explainer(rules, None, UNENRICHED, 1).explain(event, Moment(None, 0))

    told = [click.unstyle(line) for line in lines(explanation)]

    assert told[1] == "  ✘ A rule for tests (new_terms): excepted"
    assert told[-2:] == [
        f"    ✔ exception known applies  ({tmp_path / 'x.toml'}:1)",
        "      ✔ user.name: ada  → ada",
    ]
