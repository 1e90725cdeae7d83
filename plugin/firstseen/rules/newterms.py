"""What makes a match of a rule of type new_terms an alert, from the values in its file.

Elastic writes the terms and the history window in two shapes: as a table ``[rule.new_terms]`` of names and values, or
flat under ``[rule]`` as the API has it. Both are read.
"""

from __future__ import annotations

from firstseen.notation import Duration
from firstseen.rules.rule import NewTerms
from firstseen.rules.rulefile import RuleFile
from firstseen.toml import KeyPath

_MAX_FIELDS = 3


def new_terms(file: RuleFile, lookback: Duration | None) -> NewTerms | None:
    """The terms, and the lengths of time that decide when one is new; None where they have a fault."""
    is_flat = file.value("rule", "new_terms") is None
    fields_at, window_at = _flat_shape() if is_flat else _table_shape(file)
    fields = file.names(fields_at, least=1, most=_MAX_FIELDS)
    window = file.ago(*window_at)
    if window is None or lookback is None:
        return None
    if window.ms <= lookback.ms:
        file.fault(f"the history, {window}, must start before the look-back, {lookback} (rule.from)", *window_at)
    return NewTerms(fields, str(window), window.ms, window.ms - lookback.ms)


def _flat_shape() -> tuple[KeyPath, KeyPath]:
    """Where the terms and the start of the history stand directly under ``[rule]``."""
    return ("rule", "new_terms_fields"), ("rule", "history_window_start")


def _table_shape(file: RuleFile) -> tuple[KeyPath, KeyPath]:
    """Where they stand in ``[rule.new_terms]``; its names must be the ones that belong there, and the only ones."""
    table: KeyPath = ("rule", "new_terms")
    for path in _flat_shape():
        if file.value(*path) is not None:
            file.fault("written both here and in [rule.new_terms]", *path)
    file.choice(("new_terms_fields",), *table, "field")
    windows = file.tables(*table, "history_window_start")
    if len(windows) > 1:
        file.fault("more than one", *windows[1])
    if not windows:
        return (*table, "value"), (*table, "history_window_start", 0, "value")
    file.choice(("history_window_start",), *windows[0], "field")
    return (*table, "value"), (*windows[0], "value")
