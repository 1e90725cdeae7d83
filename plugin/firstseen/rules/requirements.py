"""Fields that no source supplies, such as those of a database that is not there: what a rule is without them.

The question is put to the tree alone: with the field absent a comparison never holds, and its negation always does. A
rule that can then hold for no event does not run; one that can, because it only excludes by the field or has an
alternative to it, runs and is flagged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

from firstseen.kql.ast import (
    And,
    Exists,
    FieldName,
    FreeText,
    Is,
    MatchAll,
    Nested,
    Node,
    Not,
    Or,
    Range,
)

Unavailable = Callable[[str], str | None]
"""Why no event can have a value in a field; None where some can."""

_NONE: frozenset[str] = frozenset()


def everything_is_available(field: str) -> None:
    """Where nothing is known to be missing."""


def hindrances(node: Node, fields: Iterable[str], unavailable: Unavailable) -> frozenset[str]:
    """The unavailable fields for whose lack no event fulfils ``node`` and has a value in each of ``fields``.

    Empty where some event may.
    """
    lacking = frozenset(field for field in fields if unavailable(field) is not None)
    return lacking | _never(node, "", unavailable)


def gaps(node: Node, fields: Iterable[str], unavailable: Unavailable) -> frozenset[str]:
    """Every unavailable field that ``node`` or ``fields`` names: without any, there are no `hindrances` either."""
    named = {*mentioned(node, blocks=True), *fields}
    return frozenset(field for field in named if unavailable(field) is not None)


def doubts(node: Node, fields: Iterable[str], unknown: Unavailable) -> list[str]:
    """What ``unknown`` says of each field that ``node`` or ``fields`` names, if anything."""
    told = (unknown(field) for field in sorted({*mentioned(node, blocks=True), *fields}))
    return list(dict.fromkeys(each for each in told if each is not None))


def mentioned(node: Node, path: str = "", *, blocks: bool = False) -> Iterator[str]:
    """The fields that ``node`` asks about, by their full names; patterns over names are left out.

    With ``blocks``, the nested objects too that hold them.
    """
    match node:
        case And(children) | Or(children):
            for child in children:
                yield from mentioned(child, path, blocks=blocks)
        case Not(child):
            yield from mentioned(child, path, blocks=blocks)
        case Is(name) | Exists(name) | Range(name):
            if isinstance(name, str):
                yield path + name
        case Nested(name, child):
            if isinstance(name, str):
                if blocks:
                    yield path + name
                yield from mentioned(child, f"{path}{name}.", blocks=blocks)
        case MatchAll() | FreeText():
            return
        case _:
            assert_never(node)


def takes_all(node: Node) -> bool:
    """Whether every event fulfils ``node``, whatever it has."""
    return _of_every_event(node) is True


def _of_every_event(node: Node) -> bool | None:
    """Whether events fulfil ``node`` where it is the same for all of them; None where that hangs on what they have."""
    match node:
        case MatchAll():
            return True
        case Not(child):
            said = _of_every_event(child)
            return None if said is None else not said
        case And(children) | Or(children):
            every, decisive = set(map(_of_every_event, children)), isinstance(node, Or)
            return decisive if decisive in every else None if None in every else not decisive
        case _:
            return None


def _never(node: Node, path: str, unavailable: Unavailable) -> frozenset[str]:
    """The fields for whose lack ``node`` never holds; empty where it may hold."""
    match node:
        case And(children):
            return _NONE.union(*(_never(child, path, unavailable) for child in children))
        case Or(children):
            return _all_of([_never(child, path, unavailable) for child in children])
        case Not(child):
            return _always(child, path, unavailable)
        case Is(name) | Exists(name) | Range(name):
            return _lack(name, path, unavailable)
        case Nested(name, child):
            if not isinstance(name, str):
                return _NONE
            return _lack(name, path, unavailable) | _never(child, f"{path}{name}.", unavailable)
        case MatchAll() | FreeText():
            return _NONE
        case _:
            assert_never(node)


def _always(node: Node, path: str, unavailable: Unavailable) -> frozenset[str]:
    """The fields for whose lack ``node`` holds for every event; empty where it may not."""
    match node:
        case And(children):
            return _all_of([_always(child, path, unavailable) for child in children])
        case Or(children):
            return _NONE.union(*(_always(child, path, unavailable) for child in children))
        case Not(child):
            return _never(child, path, unavailable)
        case _:
            return _NONE


def _all_of(found: list[frozenset[str]]) -> frozenset[str]:
    return _NONE.union(*found) if all(found) else _NONE


def _lack(name: FieldName, path: str, unavailable: Unavailable) -> frozenset[str]:
    if isinstance(name, str) and unavailable(path + name) is not None:
        return frozenset((path + name,))
    return _NONE
