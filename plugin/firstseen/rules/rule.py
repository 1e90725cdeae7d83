"""A rule, ready to be evaluated; and the report on a rule file, which every file gets whether its rule runs or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from firstseen.kql.ast import Node
from firstseen.model import Fields


class Named(TypedDict):
    """An entry of MITRE's catalogue."""

    id: str
    name: str


class Technique(Named):
    """A technique, and which of its kinds are meant; none named means the technique as a whole."""

    subtechnique: Sequence[Named]


class Threat(TypedDict):
    """One tactic, and the techniques by which it is pursued, if any are named."""

    framework: str
    tactic: Named
    technique: Sequence[Technique]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A new_terms rule that runs. Compared by identity: two rules with one id are never loaded together.

    A match of ``predicate`` whose values of ``fields`` had no other match in the last ``silence_ms`` is news; that is
    the history ``window_ms`` less ``lookback_ms``. ``window`` is the history as the rule writes it, ``10d``.
    ``timestamp_field`` names the clock the rule goes by before ``@timestamp``, if any. ``hash`` is the SHA-256 of the
    file. Every record that matches holds one of ``needles`` in its bytes; None means that there is no such set.
    """

    id: str
    name: str
    type: str
    file: str
    hash: str
    severity: str
    risk_score: int
    tags: tuple[str, ...]
    threat: tuple[Threat, ...]
    references: tuple[str, ...]
    license: str
    query: str
    node: Node
    predicate: Callable[[Fields], bool]
    fields: tuple[str, ...]
    window: str
    window_ms: int
    lookback_ms: int
    timestamp_field: str | None
    needles: frozenset[bytes] | None

    @property
    def silence_ms(self) -> int:
        """How long a term must not have been seen to be new again."""
        return self.window_ms - self.lookback_ms


class Status(StrEnum):
    """What became of a rule file."""

    LOADED = "loaded"
    FLAGGED = "flagged"
    """Runs, at a cost that the reason names."""
    NOT_RUNNABLE = "not_runnable"
    """Does not run: it needs what this version does not have."""
    SKIPPED = "skipped"
    """Does not run: its file says that it should not."""


@dataclass(frozen=True, slots=True)
class Report:
    """One rule file. ``reason`` is empty for a rule that is loaded without remark."""

    id: str
    name: str
    type: str
    file: str
    status: Status
    reason: str
    needles: tuple[str, ...]
