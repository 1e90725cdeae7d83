"""The tests mirror the source, and no file grows beyond what can be read at one sitting."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "plugin/firstseen"
UNIT = ROOT / "tests/unit"

MAX_LINES = 400

ELSEWHERE = {
    "__main__.py": "tests/project/test_packaging.py",
    "daemon.py": "tests/e2e/test_run.py",
}
"""Modules whose tests need a process, and where those are."""

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
TESTS = sorted(path.relative_to(UNIT) for path in UNIT.rglob("test_*.py"))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_its_test_file(module: Path) -> None:
    elsewhere = ELSEWHERE.get(module.as_posix())
    expected = ROOT / elsewhere if elsewhere else UNIT / module.parent / f"test_{module.name}"

    assert expected.is_file()


@pytest.mark.parametrize("name", sorted({module.parts[0] for module in MODULES} - {"__main__.py"}))
def test_it_is_said_of_everything_at_the_top_what_belongs_there(name: str) -> None:
    layers = [line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| `")]

    assert any(f"`{name}`" in line or f"`{name}/`" in line for line in layers)


@pytest.mark.parametrize("test", TESTS, ids=str)
def test_every_test_file_has_its_module(test: Path) -> None:
    assert (PACKAGE / test.parent / test.name.removeprefix("test_")).is_file()


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_modules_are_of_readable_size(module: Path) -> None:
    assert len((PACKAGE / module).read_text().splitlines()) <= MAX_LINES
