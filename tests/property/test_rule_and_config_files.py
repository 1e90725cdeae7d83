"""Files that people write: whatever is in them, they are read, or every fault has a place and a sentence."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstseen import config
from firstseen.errors import ConfigError, Problem, RuleError
from firstseen.rules.loader import load_rules
from support.rulefiles import BASE, QUERY, THRESHOLD, changed

THREAT = """
[[rule.threat]]
framework = "MITRE ATT&CK"
technique = [{id = "T1087", name = "Account Discovery", subtechnique = [{id = "T1087.004", name = "Cloud Account"}]}]
tactic = {id = "TA0007", name = "Discovery"}
[rule.new_terms]"""
RULE = changed([("[rule.new_terms]", THREAT)])
MORE = """
rule_name_override = "message"
building_block_type = "default"
severity_mapping = [{field = "event.severity", operator = "equals", value = "21", severity = "low"}]
risk_score_mapping = [{field = "event.risk_score", operator = "equals", value = ""}]
alert_suppression = {group_by = ["user.name"], duration = {value = 5, unit = "m"}, missing_fields_strategy = "suppress"}
exceptions_list = [{list_id = "a", type = "detection"}]
filters = [
    {meta = {negate = true, disabled = false}, query = {wildcard = {"a.b" = {value = "a?", case_insensitive = true}}}},
    {query = {exists = {field = "a.b"}}},
]
"""
RULES = (
    RULE,
    changed([("risk_score = 21", f"risk_score = 21{MORE}")], QUERY),
    changed([("value = 5", 'value = 5\ncardinality = [{field = "event.id", value = 3}]')], THRESHOLD),
)
EXCEPTIONS = """
[metadata]
rule_ids = ["a"]
rule_names = ["b"]
[[exceptions]]
container = {list_id = "a"}
[[exceptions.items]]
name = "x"
description = "y"
expire_time = "2027-01-31T00:00:00.000Z"
os_types = ["linux"]
[[exceptions.items.entries]]
field = "user.name"
type = "match_any"
operator = "excluded"
value = ["a", "b"]
[[exceptions.items.entries]]
field = "a"
type = "nested"
entries = [{field = "b", type = "match", operator = "included", value = "c"}]
[[exception]]
name = "x"
rules = ["a*"]
query = "source.ip: 192.0.2.0/24"
owner = "o"
comment = "c"
expires = 2026-05-24T09:12:33Z
[[exception]]
entries = [
    {field = "a", type = "list", operator = "included", list = {id = "list", type = "ip"}},
    {field = "b", type = "wildcard", operator = "included", value = "c?*"},
    {field = "c", type = "exists", operator = "included"},
]
"""

DATE = "2026-05-24T09:12:33Z"
ODD = (1, -1, True, 1.5, DATE, "", "x", [], {}, [1], ["a"], [["a"]], [{}], {"id": "x"}, [{"list_id": 1}])
ODD += ("now-3d", "now-1M", "now-1d/d", "event.action: *", "a: (b", "endpoint_list", "eql")
ODD += ("${UNSET}", "${", "$$", "tls://a:1", "[::1]:3", "a:1", "10MiB", "5s", ["a:1", "a:1"])
ODD += ("tls://", "unix:", "unix:a", {"address": "a:1"}, [{"name": "a", "password": "b"}], "0660", "\0", 64, 10**30)
ODD += ("now", "5m", "doNotSuppress", "keyword", {"field": "a"}, [{"field": "a", "value": 3}], 2026)
KEYS = (
    "threat",
    "threshold",
    "alert_suppression",
    "severity_mapping",
    "rule_name_override",
    "building_block_type",
    "interval",
    "cardinality",
    "entries",
    "expires",
    "filters",
    "to",
    "exceptions_list",
    "new_terms_fields",
    "history_window_start",
    "enabled",
    "path",
    "xyzzy",
)


def disturb(node: object, random: Random) -> None:
    """Change, take out and add here and there."""
    if isinstance(node, dict):
        for key in list(node):
            match random.randrange(25):
                case 0 | 1:
                    node[key] = random.choice(ODD)
                case 2:
                    del node[key]
                case _:
                    disturb(node[key], random)
        if not random.randrange(10):
            node[random.choice(KEYS)] = random.choice(ODD)
    elif isinstance(node, list):
        for number in range(len(node)):
            if random.randrange(10):
                disturb(node[number], random)
            else:
                node[number] = random.choice(ODD)


def toml_text(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    if isinstance(value, datetime):
        return value.isoformat()
    return DATE if value == DATE else json.dumps(value)


def disturbed(text: str, seed: int) -> str:
    data: dict[str, Any] = tomllib.loads(text)
    disturb(data, Random(seed))
    return "".join(f"{json.dumps(key)} = {toml_text(value)}\n" for key, value in data.items())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("files") / "file.toml"


def read(load: Callable[[], Any], faults: type[ConfigError | RuleError]) -> tuple[Any, Sequence[Problem]]:
    """What ``load`` gives, and the problems that it reports instead, of which there is at least one then."""
    try:
        return load(), ()
    except faults as error:
        return None, error.problems


@settings(deadline=None, max_examples=300)
@given(seed=st.integers(0, 2**32), rule=st.sampled_from(RULES))
def test_any_rule_file_is_read_or_faulted(path: Path, seed: int, rule: str):
    """A rule file, however disturbed, gives one report or a list of problems, and nothing else."""
    path.write_text(disturbed(rule, seed), "utf-8")
    loaded, problems = read(lambda: load_rules([path]), RuleError)
    assert (loaded is None) == bool(problems)
    assert all(problem.file == str(path) and problem.what for problem in problems)
    if loaded is not None:
        (report,) = loaded.reports
        assert len(loaded.rules) == (report.status in ("loaded", "flagged"))
        assert bool(report.reason) == (report.status != "loaded")


@settings(deadline=None, max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_any_file_of_exceptions_is_read_or_faulted(path: Path, seed: int):
    """A file of exceptions, however disturbed, gives a report on each, or a list of problems, and nothing else."""
    rule = path.with_name("rule.toml")
    rule.write_text(BASE, "utf-8")
    path.with_name("list.txt").write_text("192.0.2.1\n", "utf-8")
    path.write_text(disturbed(EXCEPTIONS, seed), "utf-8")
    loaded, problems = read(lambda: load_rules([rule], [path], now_ms=1_790_000_000_000), RuleError)
    assert (loaded is None) == bool(problems)
    assert all(problem.file == str(path) and problem.what for problem in problems)
    if loaded is not None:
        (only,) = loaded.rules
        assert sum(item.rules for item in loaded.exceptions) == len(only.exceptions)
        assert all(bool(item.reason) == (item.status != "applied") for item in loaded.exceptions)


@settings(deadline=None, max_examples=300)
@given(text=st.text(st.sampled_from("[]{}=\"'.,# \n\\abrulenamexcptio3"), max_size=60) | st.text(max_size=20))
def test_any_text_is_read_or_faulted(path: Path, text: str):
    """Any text as a rule file, or as a file of exceptions, loads or raises `RuleError`."""
    path.write_text(text, "utf-8")
    for paths in (([path], []), ([], [path])):
        loaded, problems = read(lambda paths=paths: load_rules(*paths), RuleError)
        assert (loaded is None) == bool(problems)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(seed=st.integers(0, 2**32))
def test_any_configuration_is_read_or_faulted(path: Path, seed: int):
    """A configuration, however disturbed, is read or gives a list of problems, and nothing else."""
    path.write_text(disturbed(config.sample(), seed), "utf-8")
    loaded, problems = read(lambda: config.load(path, {}), ConfigError)
    assert (loaded is None) == bool(problems)
    assert all(problem.file == str(path) and problem.line and problem.what for problem in problems)
