"""The cases are in tests/spec/rules; here is what they cannot say."""

import pytest

from firstseen import toml
from firstseen.rules.rule import EveryMatch, NewTerms, Suppression, Threshold
from firstseen.rules.rulefile import RuleFile
from firstseen.rules.suppression import suppression

TEXT = '[rule.alert_suppression]\ngroup_by = ["a"]\nduration = {value = 1, unit = "s"}\n'


def read(text, kind):
    file = RuleFile(toml.parse(text.encode(), "r.toml"))
    return suppression(file, kind, 300_000), file


def test_without_a_table_nothing_is_suppressed():
    told, file = read("[rule]\n", EveryMatch())
    assert (told, file.problems, file.reasons) == (None, [], [])


def test_a_group():
    told, file = read(TEXT, EveryMatch())
    assert (told, file.problems) == (Suppression(("a",), 1_000, missing_alone=False), [])


@pytest.mark.parametrize("kind", [NewTerms(("b",), "1d", 2, 1)])
def test_new_terms_are_not_suppressed(kind):
    told, file = read(TEXT, kind)
    assert (told, len(file.reasons)) == (None, 1)


def test_a_threshold_groups_by_its_own_fields():
    told, file = read('[rule.alert_suppression]\nduration = {value = 1, unit = "h"}\n', Threshold(("b",), 2, None))
    assert (told, file.problems) == (Suppression(("b",), 3_600_000, missing_alone=False), [])
