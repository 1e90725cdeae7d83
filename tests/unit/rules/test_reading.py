from __future__ import annotations

import hashlib

import msgspec
import pytest

from firstseen import toml
from firstseen.errors import RuleError
from firstseen.rules.reading import Reading, digest_of, reading
from support.rulefiles import BASES


def read(text: str) -> Reading:
    return reading(toml.parse(text.encode(), "r.toml"))


@pytest.mark.parametrize("base", BASES)
def test_a_file_says_what_its_rule_is(base: str) -> None:
    said = read(BASES[base])
    assert said.rule is not None
    assert (said.id, said.name, said.type, said.file) == (said.rule.id, said.rule.name, base, "r.toml")
    assert said.digest == digest_of(BASES[base].encode()) == hashlib.sha256(BASES[base].encode()).digest()
    assert said.rule.hash == said.digest.hex()
    assert said.rule.exceptions == said.rule.holding == ()
    assert (said.unwanted, list(said.reasons), list(said.lists)) == ("", [], [])


@pytest.mark.parametrize("base", BASES)
def test_it_is_the_same_when_it_was_written_down(base: str) -> None:
    said = read(BASES[base])
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(said), type=Reading)
    assert said.rule is not None
    assert again.rule is not None
    assert msgspec.to_builtins(again) == msgspec.to_builtins(said)
    assert again.rule.node == said.rule.node
    assert type(again.rule.kind) is type(said.rule.kind)


@pytest.mark.parametrize(
    ("written", "unwanted", "reason"),
    [
        ("[rule]\nenabled = false", "turned off (rule.enabled)", None),
        ('[metadata]\nmaturity = "deprecated"\n[rule]', "deprecated (metadata.maturity)", None),
        ('[rule]\nlanguage = "lucene"', "", "query language lucene is not supported by this version"),
        ('[rule]\ntype = "machine_learning"', "", "rule type machine_learning is not supported by this version"),
    ],
)
def test_what_does_not_run_says_why(written: str, unwanted: str, reason: str | None) -> None:
    head, _, rest = BASES["query"].partition("[rule]")
    key = written.rpartition("\n")[2].partition(" = ")[0]
    kept = "\n".join(line for line in rest.splitlines() if not line.startswith(f"{key} ="))
    head = head if "[metadata]" not in written else ""
    said = read(f"{head}{written}{kept}")
    assert said.rule is None
    assert (said.unwanted, list(said.reasons)) == (unwanted, [] if reason is None else [reason])


def test_the_lists_that_it_wants() -> None:
    said = read(BASES["query"].replace("[rule]", '[rule]\nexceptions_list = [{list_id = "a"}, {list_id = "b"}]'))
    assert said.lists == ["a", "b"]


def test_all_that_is_wrong_is_told_in_order() -> None:
    with pytest.raises(RuleError) as caught:
        read("[rule]\nrule_id = 1\nname = 2\n")
    lines = [problem.line for problem in caught.value.problems]
    assert len(lines) > 2
    assert lines == sorted(lines, key=lambda line: line or 0)
    with pytest.raises(RuleError, match="no \\[rule\\] table"):
        read("[other]\n")
