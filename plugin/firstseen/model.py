"""The values that flow between the layers: frozen, and named as the field names them.

A *frame* is one msgpack object on a connection; a *chunk* is what one frame carries; an *entry* is one
``[time, record]`` inside it. Nothing here reads a clock, a socket or a file.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Protocol

Scalar = str | int | float | bool
"""One value of a field: what JSON and msgpack leaves come down to once nulls are gone and bytes are read as text."""


TermValue = Scalar | None
"""One of the values under which something is remembered; None stands for a field that the event lacks."""


class Fields(Protocol):
    """A record seen through ECS field names (what a query is evaluated on)."""

    def values(self, field: str) -> Sequence[Scalar]:
        """The indexed values of ``field``: arrays flattened, nulls and values beyond ``ignore_above`` left out."""

    def exists(self, field: str) -> bool:
        """Whether ``field``, or any leaf below it, has an indexed value (``""`` counts)."""

    def nested(self, path: str) -> Sequence[Fields]:
        """The objects at ``path``, each seen through names relative to it; arrays flattened."""

    def names(self) -> Iterable[str]:
        """The dotted name of every leaf that is present, once; those of ``nested`` objects are among them."""


class Verdict(enum.Enum):
    """What the state says of one sighting of a rule's terms."""

    NEW = "new"
    """Not seen in the window before this sighting: an alert."""
    AGAIN = "again"
    """This very event holds the claim and its alert is not known to be delivered: the same alert, once more."""
    KNOWN = "known"
    """Seen in the window before: no alert."""
