"""Where in a query a name stands: at the top, or inside blocks of nested objects, where names are relative."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct


class Scope(Struct, frozen=True):
    """The names at one place of a query. ``path`` is that of the nested objects around, empty at the top."""

    field_type: Callable[[str], str]
    path: str = ""

    def whole(self, name: str) -> str:
        """``name`` as it is called at the top."""
        return f"{self.path}.{name}" if self.path else name

    def type_of(self, name: str) -> str:
        """The Elasticsearch type of the field ``name``."""
        return self.field_type(self.whole(name))

    def inside(self, path: str) -> Scope:
        """The scope in a block of the nested objects at ``path``."""
        return Scope(self.field_type, self.whole(path))

    def takes_block(self, path: str) -> bool:
        """Whether there may be nested objects at ``path``; a block for a field of another type is rejected."""
        return self.type_of(path) in ("nested", "unknown")

    def needs_block(self, name: str) -> str | None:
        """The nested objects that ``name`` lies in, of which it can only be asked in a block; None for no such name.

        They are named relative to this scope.
        """
        return _block_around(self, name)


@lru_cache(maxsize=8_192)
def _block_around(scope: Scope, name: str) -> str | None:
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        path = ".".join(parts[:count])
        if scope.type_of(path) == "nested":
            return path
    return None
