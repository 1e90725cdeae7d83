from firstseen import toml
from firstseen.rules.facts import Facts, facts
from firstseen.rules.rule import Overrides, SeverityMapping
from firstseen.rules.rulefile import RuleFile


def read(text):
    file = RuleFile(toml.parse(text.encode(), "r.toml"))
    return facts(file), [str(problem) for problem in file.problems]


def test_as_little_as_there_can_be():
    assert read('[rule]\nseverity = "low"\nrisk_score = 0\n') == (
        Facts("low", 0, (), (), "", (), Overrides(), False),
        [],
    )


def test_mappings_without_a_field_or_value_are_none():
    about, problems = read("""
[rule]
severity = "low"
risk_score = 0
severity_mapping = [
    {field = "a", value = "1", severity = "high"},
    {field = "", value = "1", severity = "high"},
    {field = "a", severity = "high"},
]
risk_score_mapping = [{field = ""}, {field = "b"}]
""")
    assert about.overrides == Overrides((SeverityMapping("a", "1", "high"),), None, None)
    assert not problems
