"""Runs the cases in ``record/*.toml``, and Elastic's own fixtures where they are beside this checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstseen.record.view import views

CASES = Path(__file__).parent / "record"
SHARED = Path(__file__).parents[2] / "../shared"
SCORER = SHARED / "tools/ecs_check.py"

MAPPER = """
from firstseen.record.view import views
def to_ecs(raw):
    return views(raw)[0].document()
"""


def cases(*names: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{name}: {case['name']}")
        for name in names
        for case in tomllib.loads((CASES / f"{name}.toml").read_text("utf-8"))["case"]
    ]


def test_every_file_of_cases_is_run():
    assert {path.stem for path in CASES.iterdir()} == {
        "carriers",
        "cloudtrail",
        "ecs",
        "endpoints",
        "identity",
        "outcome",
        "parameters",
    }


@pytest.mark.parametrize("case", cases("cloudtrail", "identity", "outcome", "parameters", "endpoints", "ecs"))
def test_fields(case):
    (view,) = views(json.loads(case["record"]))
    for field, expected in case.get("values", {}).items():
        found = list(view.values(field))
        assert (found, [*map(type, found)]) == (expected, [*map(type, expected)]), f"{field} of {case['record']}"
        assert not expected or view.exists(field), field
    for field in case.get("exists", []):
        assert view.exists(field), f"{field} of {case['record']}"
    for field in case.get("absent", []):
        assert (list(view.values(field)), view.exists(field)) == ([], False), f"{field} of {case['record']}"


@pytest.mark.parametrize("case", cases("carriers"))
def test_carriers(case):
    found = views(json.loads(case["record"]), case.get("mode", "auto"))
    assert [view.kind for view in found] == case["kinds"], case["record"]
    assert [action for view in found for action in view.values("event.action")] == case.get("actions", [])


@pytest.mark.skipif(not SCORER.is_file(), reason="Elastic's fixtures are not beside this checkout")
def test_elastics_fixtures_agree_in_every_field_that_rules_use(tmp_path):
    mapper = tmp_path / "mapper.py"
    mapper.write_text(MAPPER, "utf-8")
    scored = subprocess.run(
        [sys.executable, SCORER, mapper, "--dir", SHARED / "data/ecs"],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert "396/396 field values equal" in scored.stdout
