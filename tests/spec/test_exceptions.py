"""Runs the cases in ``exceptions/*.toml``; each file says at its head what its cases look like."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstseen.errors import RuleError
from firstseen.record.ecs import EcsView
from firstseen.record.instant import parse_ms
from firstseen.rules.loader import load_rules
from support.rulefiles import changed

CASES = Path(__file__).parent / "exceptions"
ALL_RECORDS = ("'''\nevent.action: \"CreateUser\"\n'''", '""')
OTHER = [("000000000001", "000000000002"), ("First call of an API by a user", "Other calls: a [b] c")]


def cases(name: str) -> list[Any]:
    listed = tomllib.loads((CASES / f"{name}.toml").read_text("utf-8"))["case"]
    return [pytest.param(case, id=case["name"]) for case in listed]


def load(case: dict[str, Any], folder: Path) -> Any:
    """Two rules that match every record, the first changed by the case, with the exceptions of the case."""
    rules, exceptions = folder / "rules", folder / "exceptions"
    rules.mkdir()
    exceptions.mkdir()
    (rules / "a.toml").write_text(changed([ALL_RECORDS, *case.get("change", [])]))
    (rules / "b.toml").write_text(changed([ALL_RECORDS, *OTHER]))
    for name, text in case["files"].items():
        (exceptions / name).write_text(text)
    return load_rules([rules], [exceptions], now_ms=parse_ms(case.get("now", "2026-05-24T00:00:00Z")))


@pytest.mark.parametrize("case", [*cases("elastic"), *cases("plain"), *cases("entries")])
def test_exceptions(case, tmp_path):
    loaded = load(case, tmp_path)
    first, second = loaded.rules
    for verdict in ("excepted", "kept"):
        for text in case.get(verdict, []):
            assert first.predicate(EcsView(json.loads(text))) == (verdict == "kept"), text
    if "for" in case:
        assert [len(rule.exceptions) for rule in (first, second)] == case["for"]
    if "meaning" in case:
        assert list(first.meaning[1:]) == case["meaning"]
    if "items" in case:
        pairs = zip(first.exceptions, case["items"], strict=True)
        assert [{key: getattr(item, key) for key in wanted} for item, wanted in pairs] == case["items"]
    told = [f"{each.line}: {each.name}: {each.status}: {each.reason}" for each in loaded.exceptions if each.reason]
    assert told == case.get("reports", [])


@pytest.mark.parametrize("case", cases("problems"))
def test_problems(case, tmp_path):
    with pytest.raises(RuleError) as caught:
        load(case, tmp_path)
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == case["problems"]
