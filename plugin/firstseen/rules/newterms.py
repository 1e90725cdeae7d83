"""A rule of type new_terms, from the values in its file.

Elastic writes the terms and the history window in two shapes: as a table ``[rule.new_terms]`` of names and values, or
flat under ``[rule]`` as the API has it. Both are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from firstseen.errors import KqlError
from firstseen.kql import compile_query, needles, parse
from firstseen.kql.ast import Node
from firstseen.model import Fields
from firstseen.notation import Duration
from firstseen.record.fields import field_type
from firstseen.record.view import is_verbatim
from firstseen.rules.rule import Named, NewTerms, Rule, Technique, Threat
from firstseen.rules.rulefile import UNSUPPORTED, RuleFile
from firstseen.toml import KeyPath

_SEVERITIES = ("low", "medium", "high", "critical")
_MAX_FIELDS = 3
_DEFAULT_FROM = "now-6m"
_DEFAULT_INTERVAL_MS = 300_000
_CLOCKS = ("event.ingested", "@timestamp")
_CHANGES_THE_RESULT = (
    "filters",
    "alert_suppression",
    "severity_mapping",
    "risk_score_mapping",
    "rule_name_override",
)


def new_terms_rule(file: RuleFile, rule_id: str, name: str) -> Rule | None:
    """The rule in ``file``, whose id and name were read before; None if there are problems or reasons against it."""
    severity = file.choice(_SEVERITIES, "rule", "severity")
    risk_score = file.number("rule", "risk_score", most=100)
    tags, references = file.texts("rule", "tags"), file.texts("rule", "references")
    license_name = file.text("rule", "license", default="", may_be_empty=True)
    threat = tuple(_threat(file, path) for path in file.tables("rule", "threat"))
    query = _query(file)
    history = _history(file)
    clock = _clock(file)
    _refuse_what_changes_the_result(file)
    if file.problems or file.reasons or query is None or history is None:
        return None
    return Rule(
        id=rule_id,
        name=name,
        type="new_terms",
        file=file.document.file,
        hash=hashlib.sha256(file.document.raw).hexdigest(),
        severity=severity,
        risk_score=risk_score,
        tags=tags,
        threat=threat,
        references=references,
        license=license_name,
        query=query.text,
        meaning=(query.text,),
        node=query.node,
        predicate=query.predicate,
        kind=NewTerms(history.fields, str(history.window), history.window.ms, history.window.ms - history.lookback.ms),
        suppression=None,
        lookback_ms=history.lookback.ms,
        interval_ms=_DEFAULT_INTERVAL_MS,
        timestamp_field=clock,
        needles=needles(query.node, is_verbatim, field_type),
    )


@dataclass(frozen=True, slots=True)
class _History:
    fields: tuple[str, ...]
    window: Duration
    lookback: Duration


def _history(file: RuleFile) -> _History | None:
    """The terms, and the two lengths of time that decide when one is new."""
    is_flat = file.value("rule", "new_terms") is None
    fields_at, window_at = _flat_shape() if is_flat else _table_shape(file)
    fields = _fields(file, fields_at)
    window = file.ago(*window_at)
    lookback = file.ago("rule", "from", default=_DEFAULT_FROM)
    if window is None or lookback is None:
        return None
    if window.ms <= lookback.ms:
        file.fault(f"the history, {window}, must start before the look-back, {lookback} (rule.from)", *window_at)
    return _History(fields, window, lookback)


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


def _fields(file: RuleFile, path: KeyPath) -> tuple[str, ...]:
    faults = len(file.problems)
    fields = file.texts(*path)
    if len(file.problems) > faults:
        return ()
    if not 1 <= len(fields) <= _MAX_FIELDS:
        file.fault(f"expected 1 to {_MAX_FIELDS} fields, got {len(fields)}", *path)
    if not all(fields):
        file.fault("a field must have a name", *path)
    if len(set(fields)) < len(fields):
        file.fault("a field is named twice", *path)
    return fields


@dataclass(frozen=True, slots=True)
class _Query:
    text: str
    node: Node
    predicate: Callable[[Fields], bool]


def _query(file: RuleFile) -> _Query | None:
    """The query, compiled; one that is wrong is a problem, one that cannot be run a reason."""
    faults = len(file.problems)
    text = file.text("rule", "query", may_be_empty=True)
    if len(file.problems) > faults:
        return None
    try:
        node = parse(text)
    except KqlError as error:
        line, column = _place(file, error)
        file.fault_at(line, f"rule.query: {error.what} (column {column})")
        return None
    try:
        return _Query(text, node, compile_query(node, text, field_type))
    except KqlError as error:
        line, column = _place(file, error)
        file.reasons.append(f"rule.query: {error.what} (line {line}, column {column})")
        return None


def _place(file: RuleFile, error: KqlError) -> tuple[int | None, int]:
    """Line and column of the file; where the query ends too soon, the end of what it says and not of its blanks."""
    offset = min(error.offset, len(error.query.rstrip()))
    position = file.document.position_in(offset, "rule", "query")
    return position or (file.document.line_of("rule", "query"), error.column)


def _clock(file: RuleFile) -> str | None:
    """The field with the time that the rule goes by, where it names one."""
    if file.value("rule", "timestamp_override") is None:
        return None
    clock = file.text("rule", "timestamp_override")
    if clock and clock not in _CLOCKS:
        file.reasons.append(f"rule.timestamp_override: {clock} as the clock is {UNSUPPORTED}")
    return clock


def _refuse_what_changes_the_result(file: RuleFile) -> None:
    """Note what the rule asks for beyond its query and cannot have: without it, other records would be alerts."""
    for key in _CHANGES_THE_RESULT:
        if file.value("rule", key):
            file.reasons.append(f"rule.{key} is {UNSUPPORTED}")
    for path in file.tables("rule", "exceptions_list"):
        # The list of the Elastic endpoint agent excepts what only that agent sees.
        list_id = file.text(*path, "list_id")
        if list_id != "endpoint_list":
            file.reasons.append(f"the exception list {list_id} (rule.exceptions_list) is {UNSUPPORTED}")
    until = file.value("rule", "to")
    if until not in (None, "now"):
        file.reasons.append(f"rule.to: an end other than now is {UNSUPPORTED}")


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
