"""The cases are in tests/spec/rules; here is what they cannot say."""

from firstseen import toml
from firstseen.rules.rule import Cardinality, Threshold
from firstseen.rules.rulefile import RuleFile
from firstseen.rules.threshold import threshold


def read(text):
    file = RuleFile(toml.parse(text.encode(), "r.toml"))
    return threshold(file), [str(problem) for problem in file.problems]


def test_a_threshold():
    text = '[rule.threshold]\nfield = ["a"]\nvalue = 2\ncardinality = [{field = "b", value = 3}]\n'
    assert read(text) == (Threshold(("a",), 2, Cardinality("b", 3)), [])


def test_fields_need_no_mention():
    assert read("[rule.threshold]\nvalue = 2\n") == (Threshold((), 2, None), [])


def test_a_list_of_different_values_that_is_none():
    _, problems = read('[rule.threshold]\nvalue = 2\ncardinality = {field = "b", value = 3}\n')
    assert problems == ["r.toml:3: rule.threshold.cardinality: expected a list of tables, got a table"]
