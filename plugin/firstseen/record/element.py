"""One object among several under a name, as a query sees it in ``path: { ... }``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from firstseen.model import Fields, Scalar
from firstseen.record.fields import has_indexed, indexed_values
from firstseen.record.tree import Node, find, maps, names_of


def elements(path: str, nodes: Iterable[Node]) -> list[Fields]:
    """The objects at ``nodes``, to which ``path`` leads, arrays flattened; what is no object is left out."""
    return [Element(path, found) for node in nodes for found in maps(node)]


class Element:
    """An object at ``path``. Its fields are asked for by names relative to it, and have the type of the whole name."""

    __slots__ = ("_node", "_path")

    def __init__(self, path: str, node: Node) -> None:
        self._path = path
        self._node = node

    def values(self, field: str) -> Sequence[Scalar]:
        """The searchable values of ``field`` in this object."""
        return indexed_values(f"{self._path}.{field}", self._nodes)

    def exists(self, field: str) -> bool:
        """Whether ``field`` or a field below it has a searchable value in this object."""
        return has_indexed(f"{self._path}.{field}", self._nodes)

    def nested(self, path: str) -> Sequence[Fields]:
        """The objects at ``path`` in this object."""
        whole = f"{self._path}.{path}"
        return elements(whole, self._nodes(whole, beyond=True))

    def names(self) -> Iterable[str]:
        """The names of the leaves of this object."""
        return names_of("", self._node)

    def _nodes(self, name: str, *, beyond: bool) -> Iterable[Node]:
        relative = name[len(self._path) + 1 :]
        found = find(self._node.value, relative, beyond=beyond) if relative else []
        return [Node(node.value, node.depth + self._node.depth) for node in found]
