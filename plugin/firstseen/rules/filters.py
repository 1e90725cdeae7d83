"""The filters of a rule: what Elasticsearch's query language says there, as nodes of the one tree.

Elastic's rules use two forms, ``wildcard`` on one field and ``exists``. A rule with any other form does not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstseen.kql.ast import Exists, Glob, Is, Node, Not
from firstseen.rules.query import remarks_on
from firstseen.rules.rulefile import UNSUPPORTED, RuleFile
from firstseen.toml import KeyPath, dotted

_META = frozenset({"meta", "$state"})
_OF_A_WILDCARD = frozenset({"value", "wildcard", "case_insensitive", "boost", "rewrite"})


def filters(file: RuleFile) -> tuple[Node, ...]:
    """What each filter that is not turned off asks of an event; what cannot be run is noted in ``file``."""
    nodes: list[Node] = []
    for path in file.tables("rule", "filters"):
        file.table(*path, "meta")
        if file.flag(*path, "meta", "disabled"):
            continue
        negated = file.flag(*path, "meta", "negate")
        node = _node(file, path)
        if node is not None:
            file.remarks += [f"{dotted(path)}: {what}" for what in remarks_on(node)]
            nodes.append(Not(node) if negated else node)
    return tuple(nodes)


def _node(file: RuleFile, path: KeyPath) -> Node | None:
    """The one clause of the filter at ``path``, which stands under ``query`` or directly in it."""
    at = path if file.value(*path, "query") is None else (*path, "query")
    clauses = file.value(*at)
    names = [name for name in clauses if at != path or name not in _META] if isinstance(clauses, dict) else []
    node = None
    if names == ["exists"]:
        node = _exists(file.value(*at, "exists"))
    elif names == ["wildcard"]:
        node = _wildcard(file.value(*at, "wildcard"))
    if node is None:
        what = f"this form of {', '.join(names)}" if names in (["exists"], ["wildcard"]) else " and ".join(names)
        file.reasons.append(f"{dotted(path)}: {what or 'a filter without a query'} is {UNSUPPORTED}")
    return node


def _exists(clause: object) -> Node | None:
    match clause:
        case {"field": str(field)} if field:
            return Exists(field)
        case _:
            return None


def _is_pattern(clause: Mapping[str, object]) -> bool:
    """Whether ``clause`` is what stands under the name of the field, and no part of that name."""
    text = clause.get("value", clause.get("wildcard"))
    return isinstance(text, str) and _OF_A_WILDCARD.issuperset(clause)


def _wildcard(clause: Any) -> Node | None:
    """A field and its pattern. The dots of the field may have been taken for those of TOML: tables inside tables."""
    names: list[str] = []
    while isinstance(clause, Mapping) and not (names and _is_pattern(clause)):
        if len(clause) != 1:
            return None
        ((name, clause),) = clause.items()
        names.append(name)
    field = ".".join(names)
    match clause:
        case str(text):
            return Is(field, Glob(text, caseless=False))
        case {"value": str(), "wildcard": _}:
            return None
        case {"value": str(text)} | {"wildcard": str(text)}:
            caseless = clause.get("case_insensitive", False)
            return Is(field, Glob(text, caseless)) if isinstance(caseless, bool) else None
        case _:
            return None
