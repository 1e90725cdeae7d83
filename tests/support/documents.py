"""Plain documents as ``model.Fields``: what a query is asked about in tests that need no record format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from firstseen.model import Scalar


@dataclass(frozen=True)
class Document:
    """The fields of ``source``, a JSON object in which ``{"a.b": 1}`` and ``{"a": {"b": 1}}`` are the same."""

    source: dict[str, Any]

    def values(self, field: str) -> list[Scalar]:
        return [leaf for path, leaf in _leaves(self.source) if path == field]

    def exists(self, field: str) -> bool:
        return any(f"{path}.".startswith(f"{field}.") for path, _ in _leaves(self.source))


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
