"""Files of exceptions, in Elastic's form or in a plain one for operators, or in both.

Elastic's is ``[[exceptions]]`` with a container and items, as its detection-rules repository keeps them; unknown keys
are passed over. The plain one is ``[[exception]]`` with a query or entries; there an unknown key is a fault, because a
misspelt ``expires`` must not make an exception that lasts for ever. The cases are in ``tests/spec/exceptions``.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from firstseen import toml
from firstseen.errors import Problem
from firstseen.kql.ast import Is, Literal, Node, either, together
from firstseen.record.instant import parse_ms
from firstseen.rules.entries import entries, runnable
from firstseen.rules.exceptions import Exempting, Scope
from firstseen.rules.folders import toml_files
from firstseen.rules.query import query, remarks_on
from firstseen.rules.rule import ExceptionItem
from firstseen.rules.rulefile import RuleFile
from firstseen.rules.valuelists import ValueLists
from firstseen.toml import KeyPath, TomlError, in_words

_DAY = datetime.timedelta(days=1)
_PLAIN_KEYS = ("name", "rules", "query", "entries", "owner", "comment", "expires")
_TOP_KEYS = ("exception", "exceptions", "metadata")
_SYSTEM_FIELDS = ("host.os.type", "host.os.name.caseless")


def read_exceptions(paths: Iterable[Path], problems: list[Problem]) -> list[Exempting]:
    """The exceptions in ``paths``: files, and directories with ``*.toml`` at any depth. Faults go to ``problems``."""
    found: list[Exempting] = []
    lists = ValueLists()
    for path in toml_files(paths, problems):
        try:
            file = RuleFile(toml.load(path))
        except TomlError as error:
            problems.append(error.problem)
            continue
        found += _items(file, lists)
        problems += sorted(file.problems, key=lambda problem: problem.line or 0)
    return found


def _items(file: RuleFile, lists: ValueLists) -> Iterator[Exempting]:
    data = file.document.data
    if data and "exception" not in data and "exceptions" not in data:
        file.problems.append(Problem(file.document.file, None, "no [[exception]]: this is no file of exceptions"))
        return
    if "exception" in data:
        _refuse_unknown(file, (), _TOP_KEYS)
    for path in file.tables("exception"):
        yield from _whole(file, path, _plain(file, path, lists))
    if "exceptions" in data and file.value("metadata", "maturity") != "deprecated":
        rules = (*file.texts("metadata", "rule_ids"), *file.texts("metadata", "rule_names"))
        for table in file.tables("exceptions"):
            yield from _elastic(file, table, rules, lists)


def _whole(file: RuleFile, path: KeyPath, read: Exempting | None) -> Iterator[Exempting]:
    """Pass on what was read; what cannot be run is a fault here, because the file is the operator's own."""
    line = file.document.line_of(*path)
    for reason in file.reasons:
        file.fault_at(line, reason)
    file.reasons.clear()
    if read is not None:
        yield read


def _plain(file: RuleFile, path: KeyPath, lists: ValueLists) -> Exempting | None:
    _refuse_unknown(file, path, _PLAIN_KEYS)
    comment = file.text(*path, "comment", default="", may_be_empty=True)
    name = file.text(*path, "name", default="", may_be_empty=True)
    owner = file.text(*path, "owner", default="", may_be_empty=True)
    expires_ms = _expiry(file, (*path, "expires"))
    scope = Scope(_selectors(file, path))
    has_query, has_entries = (file.value(*path, key) is not None for key in ("query", "entries"))
    if has_query == has_entries:
        file.fault("needs either a query or entries" + (", not both" if has_query else ""), *path)
        return None
    asked = query(file, (*path, "query")) if has_query else None
    node = entries(file, (*path, "entries"), lists) if has_entries else asked and asked.node
    if node is None:
        return None
    name = name or comment or f"exception {int(path[-1]) + 1}"
    return Exempting(_item(file, path, name, node, owner, comment, expires_ms), scope, True, _remark(node))


def _selectors(file: RuleFile, path: KeyPath) -> tuple[str, ...] | None:
    """None where the exception names no rules; an empty list is most likely a slip, and never means every rule."""
    if file.value(*path, "rules") is None:
        return None
    faults = len(file.problems)
    rules = file.texts(*path, "rules")
    if len(file.problems) == faults and not (rules and all(rule.strip() for rule in rules)):
        file.fault("expected ids or names of rules; leave it out for every rule", *path, "rules")
    return rules


def _refuse_unknown(file: RuleFile, path: KeyPath, known: Sequence[str]) -> None:
    table = file.value(*path)
    for key in table if isinstance(table, dict) else ():
        if key not in known:
            from difflib import get_close_matches  # an agent that starts has no use for it

            near = get_close_matches(key, known, n=1)
            hint = f', did you mean "{near[0]}"?' if near else f", there are {', '.join(known)}"
            file.fault(f"unknown key{hint}", *path, key)


def _elastic(file: RuleFile, path: KeyPath, rules: tuple[str, ...], lists: ValueLists) -> Iterator[Exempting]:
    container = (*path, "container")
    list_id = file.text(*container, "list_id", default="") if file.table(*container) else ""
    for item in file.tables(*path, "items"):
        scope = Scope(rules, list_id or file.text(*item, "list_id", default=""))
        yield from _whole(file, item, _elastic_item(file, item, scope, lists))


def _elastic_item(file: RuleFile, path: KeyPath, scope: Scope, lists: ValueLists) -> Exempting | None:
    name = file.text(*path, "name", default="") or file.text(*path, "item_id", default="") or "exception item"
    comment = file.text(*path, "description", default="", may_be_empty=True)
    expires_ms = _expiry(file, (*path, "expire_time")) if file.value(*path, "expire_time") else None
    systems = file.texts(*path, "os_types")
    node = entries(file, (*path, "entries"), lists)
    if node is None:
        return None
    if systems:
        node = together((node, either([_runs(system, field) for system in systems for field in _SYSTEM_FIELDS])))
        if runnable(file, (*path, "os_types"), node) is None:
            return None
    return Exempting(_item(file, path, name, node, "", comment, expires_ms), scope, False, _remark(node))


def _remark(node: Node) -> str:
    return "; ".join(remarks_on(node))


def _runs(system: str, field: str) -> Node:
    return Is(field, Literal(system, quoted=True))


def _item(
    file: RuleFile, path: KeyPath, name: str, node: Node, owner: str, comment: str, expires_ms: int | None
) -> ExceptionItem:
    document = file.document
    return ExceptionItem(name, node, document.file, document.line_of(*path), owner, comment, expires_ms)


def _expiry(file: RuleFile, path: KeyPath) -> int | None:
    """The moment from which an exception no longer holds: a date holds to its end in UTC."""
    value = file.value(*path)
    if value is None:
        return None
    if isinstance(value, str):
        day = _day(value)
        moment = parse_ms(value) if day is None else None
    else:
        day = value if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime) else None
        moment = parse_ms(value.isoformat()) if isinstance(value, datetime.datetime) else None
    if day is not None and day < datetime.date.max:
        moment = parse_ms((day + _DAY).isoformat())
    if moment is None:
        given = f'"{value}"' if isinstance(value, str) else in_words(value)
        file.fault(f"expected a date or a time, such as 2027-01-31, got {given}", *path)
    return moment


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text.strip())
    except ValueError:
        return None
