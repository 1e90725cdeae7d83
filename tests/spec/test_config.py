"""Runs the cases in ``config/*.toml``; each file says at its head what its cases look like."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstseen import config
from firstseen.errors import ConfigError

CASES = Path(__file__).parent / "config"


def cases(name: str) -> list[Any]:
    listed = tomllib.loads((CASES / f"{name}.toml").read_text("utf-8"))["case"]
    return [pytest.param(case, id=case["name"]) for case in listed]


def written(case: dict[str, Any], directory: Path) -> Path:
    path = directory / "firstseen.toml"
    path.write_text(case["file"], "utf-8")
    return path


def shown(value: object, directory: Path) -> object:
    """A setting as the case files write it."""
    if isinstance(value, tuple):
        return [shown(each, directory) for each in value]
    if isinstance(value, Path) and value.is_relative_to(directory):
        return str(value.relative_to(directory))
    return value if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("case", cases("settings"))
def test_settings(case, tmp_path):
    read = config.load(written(case, tmp_path), case.get("env", {}))
    for name, expected in case["settings"].items():
        section, key = name.split(".")
        assert shown(getattr(getattr(read, section), key), tmp_path) == expected, name


@pytest.mark.parametrize("case", cases("problems"))
def test_problems(case, tmp_path):
    path = written(case, tmp_path)
    with pytest.raises(ConfigError) as caught:
        config.load(path, case.get("env", {}))
    assert [str(problem).removeprefix(str(path)) for problem in caught.value.problems] == case["problems"]
