"""Which alerts of a rule one is enough for, from ``alert_suppression`` in its file."""

from __future__ import annotations

from firstseen.notation import Duration
from firstseen.rules.rule import Kind, NewTerms, Suppression, Threshold
from firstseen.rules.rulefile import UNSUPPORTED, RuleFile
from firstseen.toml import KeyPath

_MAX_FIELDS = 3
_TABLE: KeyPath = ("rule", "alert_suppression")
_UNITS = ("s", "m", "h")
_STRATEGIES = ("suppress", "doNotSuppress")
_LONGEST = 10**6


def suppression(file: RuleFile, kind: Kind, interval_ms: int) -> Suppression | None:
    """The suppression that the rule asks for, if it does.

    Without a duration it is for one run of the rule: for as long as its interval. Alerts of a threshold are grouped by
    the fields of the threshold itself.
    """
    if not file.value(*_TABLE) or not file.table(*_TABLE):
        return None
    if isinstance(kind, NewTerms):
        file.reasons.append(f"rule.alert_suppression in a rule of type new_terms is {UNSUPPORTED}")
        return None
    has_duration = file.table(*_TABLE, "duration")
    duration_ms = _duration_ms(file) if has_duration else interval_ms
    if isinstance(kind, Threshold):
        if file.value(*_TABLE, "duration") is None:
            file.fault("missing: a rule of type threshold is suppressed for a length of time", *_TABLE, "duration")
        for key in ("group_by", "missing_fields_strategy"):
            if file.value(*_TABLE, key) is not None:
                file.fault("has no meaning in a rule of type threshold, which groups by its own fields", *_TABLE, key)
        return Suppression(kind.fields, duration_ms, missing_alone=False)
    fields = file.names((*_TABLE, "group_by"), least=1, most=_MAX_FIELDS)
    strategy = _STRATEGIES[0]
    if file.value(*_TABLE, "missing_fields_strategy") is not None:
        strategy = file.choice(_STRATEGIES, *_TABLE, "missing_fields_strategy")
    return Suppression(fields, duration_ms, missing_alone=strategy == _STRATEGIES[1])


def _duration_ms(file: RuleFile) -> int:
    value = file.number(*_TABLE, "duration", "value", least=1, most=_LONGEST)
    unit = file.choice(_UNITS, *_TABLE, "duration", "unit")
    return Duration(f"{value}{unit}").ms if unit in _UNITS else 0
