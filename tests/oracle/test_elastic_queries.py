"""What the queries of Elastic's rules say of real CloudTrail logs, where both lie beside the checkout."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from firstseen.kql import compile_query, faults_of, limits_of, naive, needles, parse
from firstseen.record.fields import field_type
from firstseen.record.view import is_verbatim, views
from support.second_kql import grammar
from support.second_kql.matching import Second

SHARED = Path(__file__).parents[2] / "../shared"
EVERY = 23
"""One event of so many is looked at with all rules by all evaluators, of which two take their time."""

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared beside the checkout")


@pytest.fixture(scope="module")
def queries() -> dict[str, str]:
    rules = {path.stem: tomllib.loads(path.read_text("utf-8"))["rule"] for path in (SHARED / "rules").rglob("*.toml")}
    return {name: rule["query"] for name, rule in rules.items() if rule.get("language") == "kuery"}


def test_every_query_runs_and_none_asks_in_vain(queries: dict[str, str]) -> None:
    trees = {name: parse(query) for name, query in queries.items()}
    for name, tree in trees.items():
        compile_query(tree, queries[name], field_type)

    assert len(trees) == 120
    assert not [name for name, tree in trees.items() if faults_of(tree, field_type)]
    limited = [name for name, tree in trees.items() if limits_of(tree, field_type)]
    assert len(limited) == 7
    assert all("powershell.file.script_block_text" in queries[name] for name in limited)
    unfiltered = sorted(name for name, tree in trees.items() if needles(tree, is_verbatim, field_type) is None)
    assert unfiltered == [
        "command_and_control_beaconing",
        "credential_access_icmp_redirect_message_observed",
        "crowdstrike_external_alerts",
        "threat_intel_indicator_match_hash",
    ]


@pytest.mark.parametrize("folder", ["invictus", "stratus"])
def test_all_evaluators_agree_on_real_events(queries: dict[str, str], folder: str) -> None:
    files = [json.loads(path.read_bytes()) for path in sorted((SHARED / "data/cloudtrail" / folder).rglob("*.json"))]
    records = [record for file in files for record in (file["Records"] if isinstance(file, dict) else file)]
    events = [view for record in records[::EVERY] for view in views(record)]
    second = Second(field_type)
    matched = 0
    for name, query in queries.items():
        tree, other_tree = parse(query), grammar.parse(query)
        assert other_tree is not None
        predicate = compile_query(tree, query, field_type)
        for view in events:
            verdict = predicate(view)
            assert naive.evaluate(tree, view, field_type) is verdict, (name, view.event_id)
            assert second.matches(other_tree, view.document()) is verdict, (name, view.event_id)
            matched += verdict

    assert events
    assert matched
