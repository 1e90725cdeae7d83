"""Runs the cases in ``config/*.toml``; each file says at its head what its cases look like."""

from __future__ import annotations

import operator
import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstseen import config
from firstseen.config import Server
from firstseen.config.secret import SecretFile
from firstseen.errors import ConfigError
from firstseen.notation import Endpoint

CASES = Path(__file__).parent / "config"


def cases(name: str) -> list[Any]:
    listed = tomllib.loads((CASES / f"{name}.toml").read_text("utf-8"))["case"]
    return [pytest.param(case, id=case["name"]) for case in listed]


def written(case: dict[str, Any], directory: Path) -> Path:
    for name, text in case.get("files", {}).items():
        (directory / name).write_text(text, "utf-8")
    path = directory / "firstseen.toml"
    path.write_text(case["file"], "utf-8")
    return path


def shown(value: object, directory: Path) -> object:
    """A setting as the case files write it."""
    if isinstance(value, tuple):
        return [shown(each, directory) for each in value]
    if isinstance(value, Path) and value.is_relative_to(directory):
        return str(value.relative_to(directory))
    if value is None:
        return ""
    text = value if isinstance(value, bool | int) else str(value)
    return text.replace(f"{directory}/", "") if isinstance(value, Endpoint | Server | SecretFile) else text


@pytest.mark.parametrize("case", cases("settings"))
def test_settings(case, tmp_path):
    read = config.load(written(case, tmp_path), case.get("env", {}))
    for name, expected in case["settings"].items():
        assert shown(operator.attrgetter(name)(read), tmp_path) == expected, name


PROBLEMS = ("problems", "problems_forward", "problems_http", "problems_log")


@pytest.mark.parametrize("case", [case for name in PROBLEMS for case in cases(name)])
def test_problems(case, tmp_path):
    path = written(case, tmp_path)
    with pytest.raises(ConfigError) as caught:
        config.load(path, case.get("env", {}))
    shortened = [str(problem).removeprefix(str(path)).replace(str(tmp_path), "") for problem in caught.value.problems]
    assert shortened == case["problems"]
