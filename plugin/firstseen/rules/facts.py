"""What is told of a rule's alerts, from the values in its file: nothing here decides whether there is one."""

from __future__ import annotations

from typing import NamedTuple

from firstseen.rules.rule import SEVERITIES, Named, Overrides, SeverityMapping, Technique, Threat
from firstseen.rules.rulefile import RuleFile
from firstseen.toml import KeyPath


class Facts(NamedTuple):
    """The facts of a rule, as `firstseen.rules.rule.Rule` names them."""

    severity: str
    risk_score: int
    tags: tuple[str, ...]
    references: tuple[str, ...]
    license: str
    threat: tuple[Threat, ...]
    overrides: Overrides
    building_block: bool


def facts(file: RuleFile) -> Facts:
    """Read them; what has a fault is noted in ``file``."""
    return Facts(
        file.choice(SEVERITIES, "rule", "severity"),
        file.number("rule", "risk_score", most=100),
        file.texts("rule", "tags"),
        file.texts("rule", "references"),
        file.text("rule", "license", default="", may_be_empty=True),
        tuple(_threat(file, path) for path in file.tables("rule", "threat")),
        _overrides(file),
        _building_block(file),
    )


def _building_block(file: RuleFile) -> bool:
    if file.value("rule", "building_block_type") is None:
        return False
    file.choice(("default",), "rule", "building_block_type")
    return True


def _overrides(file: RuleFile) -> Overrides:
    """Of several risk scores the first counts, as in Elastic's engine, which asks each mapping for equality alone."""
    severities = [_severity(file, path) for path in file.tables("rule", "severity_mapping")]
    scores = [_field(file, path) for path in file.tables("rule", "risk_score_mapping")]
    name = file.text("rule", "rule_name_override", default="", may_be_empty=True)
    return Overrides(
        tuple(each for each in severities if each is not None), next(iter(scores), None) or None, name or None
    )


def _severity(file: RuleFile, path: KeyPath) -> SeverityMapping | None:
    """A mapping; one that has no value to compare with, as Elastic's forms leave behind, is none."""
    field = _field(file, path)
    value = file.text(*path, "value", default="", may_be_empty=True)
    severity = file.choice(SEVERITIES, *path, "severity")
    return SeverityMapping(field, value, severity) if field and value else None


def _field(file: RuleFile, path: KeyPath) -> str:
    if file.value(*path, "operator") is not None:
        file.choice(("equals",), *path, "operator")
    return file.text(*path, "field", may_be_empty=True)


def _threat(file: RuleFile, path: KeyPath) -> Threat:
    return {
        "framework": file.text(*path, "framework"),
        "tactic": _named(file, (*path, "tactic")),
        "technique": [_technique(file, each) for each in file.tables(*path, "technique")],
    }


def _technique(file: RuleFile, path: KeyPath) -> Technique:
    return {
        **_named(file, path),
        "subtechnique": [_named(file, each) for each in file.tables(*path, "subtechnique")],
    }


def _named(file: RuleFile, path: KeyPath) -> Named:
    return {"id": file.text(*path, "id"), "name": file.text(*path, "name")}
