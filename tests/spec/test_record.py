"""Runs the cases in ``record/*.toml``."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstseen.geoip import GeoIp
from firstseen.record.view import views
from support.mmdb import write

CASES = Path(__file__).parent / "record"


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
        "entities",
        "geography",
        "identity",
        "outcome",
        "parameters",
        "useragent",
    }


FIELD_CASES = "cloudtrail identity entities outcome parameters endpoints geography useragent ecs"


@pytest.mark.parametrize("case", cases(*FIELD_CASES.split()))
def test_fields(case, tmp_path):
    (view,) = views(json.loads(case["record"]), enrichment=databases(case, tmp_path))
    for field, expected in case.get("values", {}).items():
        found = list(view.values(field))
        assert (found, [*map(type, found)]) == (expected, [*map(type, expected)]), f"{field} of {case['record']}"
        assert not expected or view.exists(field), field
    for field in case.get("exists", []):
        assert view.exists(field), f"{field} of {case['record']}"
    for field in case.get("absent", []):
        assert (list(view.values(field)), view.exists(field)) == ([], False), f"{field} of {case['record']}"


def databases(case: dict[str, Any], folder: Path) -> GeoIp:
    paths = {
        kind: write(folder / kind, database_type, json.loads(case[kind]))
        for kind, database_type in (("city", "GeoLite2-City"), ("asn", "GeoLite2-ASN"))
        if kind in case
    }
    return GeoIp(paths.get("city"), paths.get("asn"))


@pytest.mark.parametrize("case", cases("carriers"))
def test_carriers(case):
    found = views(json.loads(case["record"]), case.get("mode", "auto"))
    assert [view.kind for view in found] == case["kinds"], case["record"]
    assert [action for view in found for action in view.values("event.action")] == case.get("actions", [])
