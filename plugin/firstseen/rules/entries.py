"""The entries of an exception, in Elastic's terms, as one node: an event is excepted that fulfils all of them."""

from __future__ import annotations

from typing import Any

from firstseen.errors import KqlError
from firstseen.kql import compile_query
from firstseen.kql.ast import Exists, Glob, Is, Literal, Nested, Node, Not, either, together
from firstseen.kql.scalars import text_of
from firstseen.record.fields import field_type
from firstseen.rules.rulefile import RuleFile
from firstseen.rules.valuelists import ValueLists
from firstseen.toml import KeyPath, in_words

_TYPES = ("match", "match_any", "wildcard", "exists", "list", "nested")
_INNER_TYPES = ("match", "match_any", "exists")
_OPERATORS = ("included", "excluded")


def entries(file: RuleFile, path: KeyPath, lists: ValueLists) -> Node | None:
    """The list of entries at ``path``, joined; None where one has a fault, which is noted in ``file``."""
    faults = len(file.problems)
    tables = file.tables(*path)
    if not tables and len(file.problems) == faults:
        file.fault("at least one entry is needed", *path)
    nodes = [runnable(file, table, _entry(file, table, lists, _TYPES)) for table in tables]
    return _all(nodes)


def _all(nodes: list[Node | None]) -> Node | None:
    sound = [node for node in nodes if node is not None]
    return together(sound) if sound and len(sound) == len(nodes) else None


def runnable(file: RuleFile, path: KeyPath, node: Node | None) -> Node | None:
    """``node`` if it can be run; that it cannot is a fault at ``path``."""
    if node is not None:
        try:
            compile_query(node, "", field_type)
        except KqlError as error:
            file.fault(error.what, *path)
            return None
    return node


def _entry(file: RuleFile, path: KeyPath, lists: ValueLists, types: tuple[str, ...]) -> Node | None:
    faults = len(file.problems)
    field, kind = file.text(*path, "field"), file.choice(types, *path, "type")
    is_excluded = kind != "nested" and _is_excluded(file, path)
    node = _asked(file, path, field, kind, lists) if kind in types else None
    if node is None or len(file.problems) > faults:
        return None
    return Not(node) if is_excluded else node


def _is_excluded(file: RuleFile, path: KeyPath) -> bool:
    if file.value(*path, "operator") is None:
        return False
    return file.choice(_OPERATORS, *path, "operator") == "excluded"


def _asked(file: RuleFile, path: KeyPath, field: str, kind: str, lists: ValueLists) -> Node | None:
    if kind in ("exists", "list", "nested") and file.value(*path, "value") is not None:
        file.fault(f"has no meaning in an entry of type {kind}", *path, "value")
    match kind:
        case "match":
            values = _texts(file, (*path, "value"), several=False)
            return Is(field, Literal(values[0], quoted=True)) if values else None
        case "match_any":
            values = _texts(file, (*path, "value"), several=True)
            return either([Is(field, Literal(value, quoted=True)) for value in values]) if values else None
        case "wildcard":
            return Is(field, Glob(file.text(*path, "value", may_be_empty=True), caseless=False))
        case "exists":
            return Exists(field)
        case "list":
            members = lists.named(file, (*path, "list"))
            return None if members is None else Is(field, members)
        case _:
            tables = file.tables(*path, "entries")
            if not tables:
                file.fault("at least one entry is needed", *path, "entries")
            inner = _all([_entry(file, table, lists, _INNER_TYPES) for table in tables])
            return None if inner is None else Nested(field, inner)


def _texts(file: RuleFile, path: KeyPath, *, several: bool) -> list[str]:
    """The text, or the list of texts, to compare with; numbers and booleans are taken as their text."""
    value = file.value(*path)
    if value is None:
        file.fault("missing", *path)
        return []
    values: list[Any] = value if several and isinstance(value, list) else [value]
    if several and not (isinstance(value, list) and value):
        file.fault(f"expected a list of values, got {in_words(value)}", *path)
        return []
    odd = [each for each in values if not isinstance(each, str | int | float | bool)]
    if odd:
        file.fault(f"expected a value to compare with, got {in_words(odd[0])}", *path)
        return []
    return [text_of(each) for each in values]
