"""Rule files for tests: a small rule that runs, with lines changed, taken out or put in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firstseen.rules.loader import load_rules
from firstseen.rules.rule import Rule

BASE = """\
[metadata]
maturity = "production"

[rule]
rule_id = "5f0c4a0e-0000-4000-8000-000000000001"
name = "First call of an API by a user"
type = "new_terms"
language = "kuery"
severity = "low"
risk_score = 21
from = "now-9m"
timestamp_override = "event.ingested"
query = '''
event.action: "CreateUser"
'''

[rule.new_terms]
field = "new_terms_fields"
value = ["user.name"]
[[rule.new_terms.history_window_start]]
field = "history_window_start"
value = "now-5d"
"""
"""The rule most tests start from; its lines are counted in the cases."""

HEAD = BASE.partition("[rule.new_terms]")[0]
QUERY = HEAD.replace('"new_terms"', '"query"')
"""The same as a rule of type query: the same lines, as far as it goes."""
THRESHOLD = (
    HEAD.replace('"new_terms"', '"threshold"')
    + """\
[rule.threshold]
field = ["user.name"]
value = 5
"""
)
BASES = {"new_terms": BASE, "query": QUERY, "threshold": THRESHOLD}


def changed(changes: Sequence[Sequence[str]], base: str = BASE) -> str:
    """``base`` with the first text of each pair, which must be in it once, replaced by the second."""
    for old, new in changes:
        assert base.count(old) == 1, f"{old!r} is in the rule {base.count(old)} times"
        base = base.replace(old, new)
    return base


def rule_of(query: str, directory: Path, number: int = 1) -> Rule:
    """The rule with this query, through a file in ``directory``."""
    path = directory / f"{number}.toml"
    quoted = query.replace("\\", "\\\\").replace('"', '\\"')
    text = changed([("'''\nevent.action: \"CreateUser\"\n'''", f'"{quoted}"'), ("000000000001", f"{number:012}")])
    path.write_text(text, "utf-8")
    (rule,) = load_rules([path]).rules
    return rule
