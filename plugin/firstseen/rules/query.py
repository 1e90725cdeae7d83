"""Queries in files: from text to tree, with faults told at the line and column of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from firstseen.errors import KqlError
from firstseen.kql import Remark, compile_query, faults_of, limits_of, needles, parse, render
from firstseen.kql.ast import Node, Not
from firstseen.record.fields import field_type
from firstseen.record.view import is_verbatim
from firstseen.rules.rule import ExceptionItem
from firstseen.rules.rulefile import RuleFile
from firstseen.toml import KeyPath, dotted

_KEPT = 4_096
"""Queries of which is kept what was found out: rules are loaded anew while records wait, and few of them change."""


class Query(NamedTuple):
    """A query that can be run: its text, its tree, its needles, and its tree as text.

    ``vain`` are the comparisons that never match, because Elasticsearch would reject them, ``rough`` what is answered
    only roughly as it would.
    """

    text: str
    node: Node
    needles: frozenset[bytes] | None
    canonical: str
    vain: Sequence[Remark]
    rough: Sequence[str]


def needles_of(node: Node) -> frozenset[bytes] | None:
    """What every record that matches ``node`` holds one of: see `needles`."""
    return needles(node, is_verbatim, field_type)


def query(file: RuleFile, path: KeyPath) -> Query | None:
    """The query at ``path``; None for one that is wrong, a problem, or that cannot be run, a reason."""
    faults = len(file.problems)
    text = file.text(*path, may_be_empty=True)
    if len(file.problems) > faults:
        return None
    try:
        _parsed(text)
    except KqlError as error:
        line, column = _place(file, path, error)
        file.fault_at(line, f"{dotted(path)}: {error.what} (column {column})")
        return None
    try:
        read = _understood(text)
    except KqlError as error:
        file.reasons.append(_placed(file, path, error))
        return None
    file.remarks += [_placed(file, path, KqlError(f"{_VAIN}{what}", text, span[0])) for span, what in read.vain]
    file.remarks += [f"{dotted(path)}: {what}" for what in read.rough]
    return read


@lru_cache(maxsize=_KEPT)
def _parsed(text: str) -> Node:
    return parse(text)


@lru_cache(maxsize=_KEPT)
def _understood(text: str) -> Query:
    node = _parsed(text)
    compile_query(node, text, field_type)  # what cannot be run is found by that
    return Query(text, node, needles_of(node), render(node), _vain(node), _rough(node))


_VAIN = "never matches: "


def remarks_on(node: Node) -> list[str]:
    """What somebody should know of ``node``."""
    return [f"{_VAIN}{remark.what}" for remark in _vain(node)] + _rough(node)


def _vain(node: Node) -> list[Remark]:
    return faults_of(node, field_type)


def _rough(node: Node) -> list[str]:
    return [remark.what for remark in limits_of(node, field_type)]


def _placed(file: RuleFile, path: KeyPath, error: KqlError) -> str:
    line, column = _place(file, path, error)
    return f"{dotted(path)}: {error.what} (line {line}, column {column})"


def _place(file: RuleFile, path: KeyPath, error: KqlError) -> tuple[int | None, int]:
    """Line and column of the file; where the query ends too soon, the end of what it says and not of its blanks."""
    offset = min(error.offset, len(error.query.rstrip()))
    position = file.document.position_in(offset, *path)
    return position or (file.document.line_of(*path), error.column)


def meaning(query: str, filters: Sequence[Node]) -> tuple[str, ...]:
    """The texts that decide which events a rule has a history of: its query first, then what narrows it.

    ``query`` is its canonical text, so that how it is laid out does not count. What excepts events from it is to follow
    (`meanings`).
    """
    return (query, *map(render, filters))


def meanings(items: Sequence[ExceptionItem]) -> Iterator[str]:
    """The same of exceptions.

    One counts whether it has expired or not, so that the history goes on when it does; a list counts by its name, so
    that it goes on whoever joins the list.
    """
    return (render(Not(item.node)) for item in items)
