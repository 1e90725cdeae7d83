"""The forms are cases in tests/spec/rules; here is that they are asked of records."""

from firstseen import toml
from firstseen.kql.ast import Exists, Glob, Is, Not
from firstseen.rules.filters import filters
from firstseen.rules.loader import load_rules
from firstseen.rules.rulefile import RuleFile
from support.documents import Document
from support.rulefiles import QUERY, changed

FILTER = r"""
[[rule.filters]]
meta = {negate = true}
[rule.filters.query.wildcard."file.path"]
case_insensitive = true
value = '?:\\Program Files\\*'
"""


def test_a_filter_is_a_node():
    file = RuleFile(toml.parse((FILTER + '[[rule.filters]]\nexists = {field = "a"}\n').encode(), "r.toml"))
    assert filters(file) == (
        Not(Is("file.path", Glob(r"?:\\Program Files\\*", caseless=True))),
        Exists("a"),
    )
    assert (file.problems, file.reasons) == ([], [])


def test_a_filter_narrows_the_query(tmp_path):
    path = tmp_path / "rule.toml"
    path.write_text(changed([], QUERY) + FILTER)
    (rule,) = load_rules([path]).rules
    event = {"event.action": "CreateUser"}
    assert rule.predicate(Document(event))
    assert rule.predicate(Document({**event, "file.path": r"C:\Users\a"}))
    assert not rule.predicate(Document({**event, "file.path": r"c:\PROGRAM files\a"}))
    assert not rule.predicate(Document({"event.action": "DeleteUser"}))
