"""The page on the protocol maps every point of conformance to tests that exist, and no test of a point is left out."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SPEC = TESTS / "spec/forward"

POINTS = range(1, 65)

ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
NUMBERED = re.compile(r"^(?:async )?def (test_point_(\d+(?:_(?:and_)?\d+)*)_\w+)", re.MULTILINE)


def table() -> list[tuple[int, str, list[str]]]:
    """(point, what it asks for, where it is tested) of each row."""
    page = (ROOT / "docs/protocol.md").read_text().partition("## Point by point")[2]
    return [(int(point), what, re.findall(r"`([^`]+)`", tests)) for point, what, tests in ROW.findall(page)]


def numbered() -> Iterator[tuple[int, str]]:
    """(point, where) of everything that is numbered: files of cases, and functions."""
    for file in sorted(SPEC.glob("*.toml")):
        for point in sorted({case["point"] for case in tomllib.loads(file.read_text("utf-8"))["case"]}):
            yield point, f"spec/forward/{file.name}"
    for file in sorted(SPEC.glob("test_*.py")):
        for name, points in NUMBERED.findall(file.read_text()):
            for point in re.findall(r"\d+", points):
                yield int(point), f"spec/forward/{file.name}::{name}"


def test_every_point_is_there_once_and_in_order() -> None:
    assert [point for point, _, _ in table()] == list(POINTS)


@pytest.mark.parametrize(("point", "what", "tests"), table(), ids=lambda value: str(value) if value in POINTS else "")
def test_every_test_of_a_point_exists(point: int, what: str, tests: list[str]) -> None:
    assert tests
    for test in tests:
        path, _, name = test.partition("::")
        text = (TESTS / path).read_text("utf-8")
        if name:
            assert re.search(rf"^(?:async )?def {re.escape(name)}\(", text, re.MULTILINE), test
        else:
            assert point in {case["point"] for case in tomllib.loads(text)["case"]}, test


def test_every_point_has_a_case_of_its_own() -> None:
    assert {point for point, _ in numbered()} == set(POINTS)


def test_everything_that_is_numbered_is_in_the_table() -> None:
    named = {(point, test) for point, _, tests in table() for test in tests}

    assert set(numbered()) <= named
