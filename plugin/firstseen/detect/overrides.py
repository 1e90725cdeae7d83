"""What an alert takes from its event instead of its rule: severity, risk score and name, where the rule says so."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from firstseen.kql.scalars import text_of
from firstseen.model import Fields, Scalar
from firstseen.rules.rule import SEVERITIES, Rule, SeverityMapping

_NUMBER = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,3})?")
_NUMERIC_FIELD = "event.severity"


class Told(NamedTuple):
    """What is told of an alert."""

    name: str
    severity: str
    risk_score: float


def told(rule: Rule, view: Fields) -> Told:
    """What is told of an alert of ``rule`` on the event behind ``view``."""
    overrides = rule.overrides
    return Told(
        _name(overrides.name_field, view) or rule.name,
        _severity(overrides.severities, view) or rule.severity,
        rule.risk_score if (score := _risk_score(overrides.risk_score_field, view)) is None else score,
    )


def _name(field: str | None, view: Fields) -> str | None:
    value = next(iter(view.values(field)), None) if field else None
    return value if isinstance(value, str) and value.strip() else None


def _severity(mappings: tuple[SeverityMapping, ...], view: Fields) -> str | None:
    """The highest severity of the mappings that apply."""
    found = [each.severity for each in mappings if any(_equals(each, value) for value in view.values(each.field))]
    return max(found, key=SEVERITIES.index, default=None)


def _equals(mapping: SeverityMapping, value: Scalar) -> bool:
    if mapping.field == _NUMERIC_FIELD:
        wanted, given = _number(mapping.value), _number(value)
        return wanted is not None and given is not None and math.floor(wanted) == given
    return text_of(value) == mapping.value


def _risk_score(field: str | None, view: Fields) -> float | None:
    """The highest score in ``field``; what is no number from 0 to 100 is none."""
    numbers = [_number(value) for value in view.values(field)] if field else []
    scores = [number for number in numbers if number is not None and 0 <= number <= 100]
    return max(scores, default=None)


def _number(value: Scalar) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        value = int(value) if value.is_integer() else value
    return None if value != value or value in (math.inf, -math.inf) else value
