"""Plain documents as ``model.Fields``: what a query is asked about in tests that need no record format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from firstseen.model import Scalar


@dataclass(frozen=True)
class Document:
    """The fields of ``source``, a JSON object in which ``{"a.b": 1}`` and ``{"a": {"b": 1}}`` are the same.

    ``field_type`` tells which are flattened objects, whose leaves are their values.
    """

    source: dict[str, Any]
    field_type: Callable[[str], str] = lambda field: "keyword"

    def values(self, field: str) -> list[Scalar]:
        is_whole = self.field_type(field) == "flattened"
        return [
            leaf for path, leaf in _leaves(self.source) if path == field or (is_whole and path.startswith(f"{field}."))
        ]

    def exists(self, field: str) -> bool:
        return any(f"{path}.".startswith(f"{field}.") for path, _ in _leaves(self.source))

    def nested(self, path: str) -> list[Document]:
        types = self.field_type
        return [Document(each, lambda field: types(f"{path}.{field}")) for each in _objects(self.source, path)]

    def names(self) -> list[str]:
        return list(dict.fromkeys(path for path, _ in _leaves(self.source)))


def _objects(value: Any, path: str) -> Iterator[dict[str, Any]]:
    """Yield every object at ``path``; a key that goes on after it makes an object of its rest."""
    if isinstance(value, list):
        for each in value:
            yield from _objects(each, path)
    elif isinstance(value, dict) and not path:
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == path:
                yield from _objects(each, "")
            elif path.startswith(f"{key}."):
                yield from _objects(each, path[len(key) + 1 :])
            elif key.startswith(f"{path}."):
                yield {key[len(path) + 1 :]: each}


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Scalar]]:
    """Yield every leaf below ``value`` with its dotted path; arrays are flat and nulls are nothing."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, (*path, key))
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, path)
    elif value is not None:
        yield ".".join(path), value
