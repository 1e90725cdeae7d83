"""A decoded record as a tree, whatever msgpack or JSON made of it.

Keys and text may be ``str`` or ``bytes``; bytes are read as UTF-8, and what is no UTF-8 is carried along
(``surrogateescape``). Keys that are no text, and values that are neither text, number nor boolean (ext types,
msgpack timestamps), are passed over. A name is looked up in every spelling a document may use: nested,
dotted, through arrays, or any mixture, as Elasticsearch does.

Every walk is bounded: a node lies at one place of the tree and is visited at most once per question, and
nothing below `MAX_ENTERED_DEPTH` containers is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeGuard

from firstseen.model import Scalar

LONGEST_NAME = 1024

MAX_ENTERED_DEPTH = 64
"""Containers inside one another that are entered. Elasticsearch refuses documents with more than 20."""


class Node(NamedTuple):
    """A place in a record: what stands there, and how many containers it lies in."""

    value: object
    depth: int


Steps = tuple[tuple[str, bytes | None, "Steps"], ...]
"""The ways on along a dotted name, longest key first: a key, the same as bytes, and the ways on from there."""


def text_of(value: object) -> str | None:
    """``value`` as text; None where it is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return None


def scalar_of(value: object) -> Scalar | None:
    """``value`` as a scalar; None where it is null, a container or of a type that JSON does not have."""
    return value if isinstance(value, (str, int, float)) else text_of(value)


def is_array(value: object) -> TypeGuard[Sequence[object]]:
    """Whether ``value`` is an array. An ext value is a named tuple and is not."""
    return isinstance(value, list) or type(value) is tuple


def members(node: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    """The members of a map that have a text as key, in record order."""
    for key, value in node.items():
        name = text_of(key)
        if name is not None:
            yield name, value


def find(root: object, field: str, *, beyond: bool = False) -> list[Node]:
    """Every node that the dotted name ``field`` leads to from ``root``, in record order.

    At each map every prefix of the rest of the name is tried as a key; arrays on the way are walked through.
    With ``beyond``, keys that go on after the name count too (``a.b`` for ``a``): as a map with the rest of the key.
    """
    found: list[Node] = []
    pending = [(root, 0, _steps(field))]
    while pending:
        value, depth, steps = pending.pop()
        if not steps:
            found.append(Node(value, depth))
        elif depth > MAX_ENTERED_DEPTH:
            continue
        elif isinstance(value, dict):
            for key, raw, rest in steps:
                if key in value:
                    pending.append((value[key], depth + 1, rest))
                if raw is not None and raw in value:
                    pending.append((value[raw], depth + 1, rest))
            if beyond:
                start = f"{steps[0][0]}."  # the longest key is all that is left of the name
                longer = [(name[len(start) :], child) for name, child in members(value) if name.startswith(start)]
                found.extend(Node({name: child}, depth) for name, child in longer)
        elif is_array(value):
            pending.extend((element, depth + 1, steps) for element in reversed(value))
    return found


def scalars(node: Node) -> Iterator[Scalar]:
    """The scalars at ``node``: itself, or, where it is an array, those of its elements at any level."""
    return (value for _, value in _walk("", node, into_maps=False))


def leaves(path: str, node: Node) -> Iterator[tuple[str, Scalar]]:
    """Every scalar at ``node`` or below, with its dotted name, where ``node`` itself is called ``path``."""
    return _walk(path, node, into_maps=True)


def names_of(path: str, node: Node) -> list[str]:
    """The name of every leaf at ``node`` or below, once; ``path`` is that of ``node``, empty for a whole record.

    Those of more than `LONGEST_NAME` characters are nobody's fields: much is kept of each name that was looked at.
    """
    names = (name if path else name[1:] for name, _ in leaves(path, node))
    return list(dict.fromkeys(name for name in names if len(name) <= LONGEST_NAME))


def maps(node: Node) -> Iterator[Node]:
    """The maps at ``node``: itself, or, where it is an array, those among its elements at any level."""
    pending = [node]
    while pending:
        value, depth = pending.pop()
        if isinstance(value, dict):
            yield Node(value, depth)
        elif is_array(value) and depth <= MAX_ENTERED_DEPTH:
            pending.extend(Node(element, depth + 1) for element in reversed(value))


def nested(record: Mapping[object, object]) -> dict[str, object]:
    """A copy of ``record`` in the nested spelling: dotted keys taken apart, bytes as text, several hits as a list."""
    return _nested_map(record, 0, 0)


def merge(into: dict[str, object], name: str, value: object) -> None:
    """Put ``value`` at the dotted ``name``, beside what is there already; both may be changed and kept."""
    first, *rest = name.split(".")
    for segment in reversed(rest):
        value = {segment: value}
    into[first] = _joined(into[first], value) if first in into else value


@lru_cache(maxsize=4096)
def _steps(field: str) -> Steps:
    segments = field.split(".")
    behind: list[Steps] = [()] * (len(segments) + 1)
    for start in reversed(range(len(segments))):
        keys = ((".".join(segments[start:end]), end) for end in range(len(segments), start, -1))
        behind[start] = tuple((key, _as_bytes(key), behind[end]) for key, end in keys)
    return behind[0]


def _as_bytes(key: str) -> bytes | None:
    try:
        return key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair, which a query may spell: no bytes decode to it
        return None


def _walk(path: str, node: Node, *, into_maps: bool) -> Iterator[tuple[str, Scalar]]:
    pending = [(path, node.value, node.depth)]
    while pending:
        path, value, depth = pending.pop()
        scalar = scalar_of(value)
        if scalar is not None:
            yield path, scalar
        elif depth > MAX_ENTERED_DEPTH:
            continue
        elif is_array(value):
            pending.extend((path, element, depth + 1) for element in reversed(value))
        elif into_maps and isinstance(value, dict):
            below = [(f"{path}.{name}", child, depth + 1) for name, child in members(value)]
            pending.extend(reversed(below))


def _nested_map(node: Mapping[object, object], depth: int, printed: int) -> dict[str, object]:
    into: dict[str, object] = {}
    for name, child in members(node):
        levels = name.count(".") + 1
        if printed + levels > MAX_ENTERED_DEPTH:  # what is printed stays shallow too: such a key keeps its dots
            plain = {name: _nested(child, depth + 1, printed + 1)}
            _joined(into, plain)
        else:
            merge(into, name, _nested(child, depth + 1, printed + levels))
    return into


def _nested(value: object, depth: int, printed: int) -> object:
    scalar = scalar_of(value)
    if scalar is not None or depth > MAX_ENTERED_DEPTH:
        return scalar
    if isinstance(value, dict):
        return _nested_map(value, depth, printed)
    if is_array(value):
        return [_nested(element, depth + 1, printed + 1) for element in value]
    return None


def _joined(old: object, new: object) -> object:
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in new.items():
            old[name] = _joined(old[name], value) if name in old else value
        return old
    both = old if isinstance(old, list) else [old]
    both.extend(new if isinstance(new, list) else [new])
    return both
