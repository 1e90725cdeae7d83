"""Whatever the agent logs is in ``docs/logs.md`` with its level, and nothing else is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstseen.detect.label import Standing
from firstseen.rules.exceptions import ItemStatus
from firstseen.rules.rule import Status

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/logs.md").read_text()

SAYS = ("event", "complain", "_complain", "tell", "_tell", "Notice")
"""What writes a line, or has it written: the name is the first text that it is given."""

COMPOSED = {
    "rule_{report.status}": [f"rule_{status}" for status in Status if status is not Status.LOADED],
    "rule_{self._phase.value}": [f"rule_{standing}" for standing in (Standing.LEARNING, Standing.SHADOW)],
    "rule_{before.value}_ended": [f"rule_{standing}_ended" for standing in (Standing.LEARNING, Standing.SHADOW)],
    "exception_{item.status}": [f"exception_{status}" for status in ItemStatus if status is not ItemStatus.APPLIED],
}
"""Names that are put together, and what they come to."""


def said() -> Iterator[tuple[str, str]]:
    """Each name that is logged somewhere, and its place."""
    for path in sorted((ROOT / "plugin").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            function = node.func if isinstance(node, ast.Call) else None
            called = getattr(function, "attr", getattr(function, "id", ""))
            if isinstance(node, ast.Call) and called in SAYS:
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield from ((name, place) for argument in node.args[:3] for name in names(argument))


def names(argument: ast.expr) -> Iterator[str]:
    match argument:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from names(body)
            yield from names(other)
        case ast.JoinedStr():
            yield from COMPOSED[ast.unparse(argument)[2:-1]]


LOGGED = dict(said()) | dict.fromkeys(["quarantine_full", "quarantine_failed"], "plugin/firstseen/agent.py")
ROWS = [
    (name, level)
    for cell, level in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (\w+) \| ", PAGE, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", cell)
]


def test_names_are_found() -> None:
    assert {"ready", "reading_resumed", "rule_shadow_ended", "connection_refused", "breaker_tripped"} <= set(LOGGED)
    assert {'"quarantine_full"', '"quarantine_failed"'} <= set(
        re.findall(r'"quarantine_\w+"', (ROOT / "plugin/firstseen/agent.py").read_text())
    )


@pytest.mark.parametrize("name", sorted(LOGGED))
def test_whatever_is_logged_is_documented(name: str) -> None:
    assert name in dict(ROWS), LOGGED[name]


@pytest.mark.parametrize(("name", "level"), ROWS)
def test_whatever_is_documented_is_logged_at_that_level(name: str, level: str) -> None:
    path = ROOT / LOGGED[name].partition(":")[0]

    assert f"logging.{level.upper()}" in path.read_text()


def test_no_name_stands_there_twice() -> None:
    assert len(dict(ROWS)) == len(ROWS)
