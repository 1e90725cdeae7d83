"""Runs the cases in ``rules/*.toml``, each file says at its head what its cases look like, and Elastic's own rules."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firstseen.errors import RuleError
from firstseen.record.strays import foreign, stray
from firstseen.rules.loader import load_rules
from firstseen.rules.rule import Status
from support.rulefiles import BASES, changed

CASES = Path(__file__).parent / "rules"
ROOT = Path(__file__).parents[2]
SHARED_RULES = ROOT / "../shared/rules"
SEED = ROOT / "../shared/seed"


def cases(name: str) -> list[Any]:
    listed = tomllib.loads((CASES / f"{name}.toml").read_text("utf-8"))["case"]
    return [pytest.param(case, id=case["name"]) for case in listed]


def written(case: dict[str, Any], directory: Path) -> Path:
    path = directory / "rule.toml"
    text = case["file"] if "file" in case else changed(case["change"], BASES[case.get("base", "new_terms")])
    path.write_text(text, "utf-8")
    return path


def shown(value: object) -> object:
    """A property of a rule as the case files write it."""
    match value:
        case None:
            return "none"
        case frozenset():
            return sorted(needle.decode() for needle in value)
        case tuple():
            return [shown(each) for each in value]
        case msgspec.Struct():
            return {name: shown(each) for name, each in msgspec.structs.asdict(value).items()}
        case _:
            return value


def said(rule, key):
    """What the rule says under ``key``, or what it says of its kind."""
    return getattr(rule if hasattr(rule, key) else rule.kind, key)


@pytest.mark.parametrize("case", cases("rules"))
def test_rules(case, tmp_path):
    path = written(case, tmp_path)
    loaded = load_rules([path])
    (rule,), (report,) = loaded.rules, loaded.reports
    assert {key: shown(said(rule, key)) for key in case["rule"]} == case["rule"]
    assert (report.status, report.reason) == (case.get("status", "loaded"), case.get("reason", ""))
    assert (report.id, report.name, report.type, report.file) == (rule.id, rule.name, rule.type, str(path))
    assert list(report.needles) == ([] if rule.needles is None else shown(rule.needles))


@pytest.mark.parametrize("case", cases("not_run"))
def test_rules_that_do_not_run(case, tmp_path):
    loaded = load_rules([written(case, tmp_path)])
    (report,) = loaded.reports
    assert (report.status, report.reason) == (case["status"], case["reason"])
    assert (loaded.rules, report.needles) == ((), ())


@pytest.mark.parametrize("case", cases("problems"))
def test_problems(case, tmp_path):
    path = written(case, tmp_path)
    with pytest.raises(RuleError) as caught:
        load_rules([path])
    assert [str(problem).removeprefix(str(path)) for problem in caught.value.problems] == case["problems"]


@pytest.mark.skipif(not SEED.is_dir(), reason="needs the rule of a user beside the checkout")
def test_the_rule_of_a_user_loads_as_it_is():
    (rule,) = load_rules([SEED]).rules
    assert rule.id == "30fbf4db-c502-4e68-a239-2e99af0f70da"
    assert rule.kind.fields == ("aws.cloudtrail.user_identity.arn",)
    assert rule.kind.silence_ms == (10 * 24 * 60 - 60) * 60_000
    assert rule.needles == {b"GetCallerIdentity"}
    assert rule.threat[0]["technique"][0]["subtechnique"] == [{"id": "T1087.004", "name": "Cloud Account"}]


@pytest.mark.skipif(not SHARED_RULES.is_dir(), reason="needs Elastic's rules beside the checkout")
def test_every_rule_of_elastic_s_loads_or_says_why_not():
    """All that KQL can say run; where words are compared, that is told."""
    loaded = load_rules([SHARED_RULES], unknown=stray)
    files = {str(path) for path in SHARED_RULES.rglob("*.toml")}
    assert {report.file for report in loaded.reports} == files
    for report in loaded.reports:
        assert (report.status is Status.LOADED) == (not report.reason), report
    running = [report for report in loaded.reports if report.status in (Status.LOADED, Status.FLAGGED)]
    assert [report.id for report in running] == [rule.id for rule in loaded.rules]
    others = {report.file: report for report in loaded.reports if report not in running}
    in_kql = [file for file in files if 'language = "kuery"' in Path(file).read_text("utf-8")]
    assert len(in_kql) == 120
    assert sorted(others[file].reason for file in in_kql if file in others) == [
        "rule type threat_match is not supported by this version",
        "turned off (rule.enabled)",
    ]
    flags = {report.reason for report in running if report.status is Status.FLAGGED}
    assert flags == {
        "no needle: every record is looked at",
        "rule.query: powershell.file.script_block_text is compared by its words, which are found approximately",
    }


def test_every_shipped_rule_asks_for_fields_of_cloudtrail():
    reports = load_rules([ROOT / "rules"], unknown=foreign).reports
    assert {report.status for report in reports} == {Status.LOADED}
