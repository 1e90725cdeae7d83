"""Rules for tests: a rule file's text from a query, and a rule set from some of them."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from firstseen.model import Fields
from firstseen.rules.loader import load_rules
from firstseen.rules.rule import Rule
from firstseen.rules.ruleset import RuleSet

ARN = "aws.cloudtrail.user_identity.arn"
GET_CALLER_IDENTITY = 'event.provider: "sts.amazonaws.com" and event.action: "GetCallerIdentity"'


def rule_text(
    query: str = GET_CALLER_IDENTITY,
    fields: Sequence[str] = (ARN,),
    *,
    rule_id: str = "5f1c7f0e-0000-4000-8000-000000000001",
    window: str = "now-10d",
    look_back: str = "now-60m",
) -> str:
    """A new_terms rule in the flat form."""
    return f"""
[rule]
type = "new_terms"
language = "kuery"
rule_id = {json.dumps(rule_id)}
name = "A rule for tests"
description = "Alerts on what was not seen before."
severity = "medium"
risk_score = 47
index = ["logs-*"]
timestamp_override = "event.ingested"
from = {json.dumps(look_back)}
new_terms_fields = {json.dumps(list(fields))}
history_window_start = {json.dumps(window)}
query = {json.dumps(query)}
"""


def rule_set(*texts: str) -> RuleSet:
    """The rules of these files, loaded."""
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(texts):
            Path(folder, f"{number}.toml").write_text(text)
        return load_rules([Path(folder)])


def rule_id(number: int) -> str:
    """A different id for each number."""
    return str(uuid.UUID(int=number))


def call(arn: str, event_id: str, action: str = "GetCallerIdentity") -> dict[str, Any]:
    """A CloudTrail record of STS, by default one that `GET_CALLER_IDENTITY` matches."""
    return {
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "arn": arn},
        "eventTime": "2026-09-21T08:00:00Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": action,
        "eventID": event_id,
    }


def with_predicate(rule: Rule, predicate: Callable[[Fields], bool]) -> Rule:
    """The same rule with another test than its query is."""
    other = replace(rule)
    vars(other)["predicate"] = predicate  # where `Rule.predicate` keeps it
    return other
