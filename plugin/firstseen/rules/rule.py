"""A rule, ready to be evaluated; and the report on a rule file, which every file gets whether its rule runs or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import TypedDict

from msgspec import Struct

from firstseen.kql import compile_query
from firstseen.kql.ast import And, Node, Not, either
from firstseen.model import Fields
from firstseen.record.fields import field_type

SEVERITIES = ("low", "medium", "high", "critical")
"""From the lowest to the highest."""


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


class NewTerms(Struct, frozen=True, tag=True):
    """A match whose values of ``fields`` had no other match in the last ``silence_ms`` is news.

    That is the history ``window_ms`` less the rule's look-back; ``window`` is the history as the rule writes it.
    """

    fields: tuple[str, ...]
    window: str
    window_ms: int
    silence_ms: int


class Cardinality(Struct, frozen=True):
    """At least ``count`` different values of ``field``."""

    field: str
    count: int


class Threshold(Struct, frozen=True, tag=True):
    """``count`` matches with the same values of ``fields`` within the rule's look-back; of all matches without fields.

    With ``cardinality`` they must have that many different values of its field as well.
    """

    fields: tuple[str, ...]
    count: int
    cardinality: Cardinality | None


class EveryMatch(Struct, frozen=True, tag=True):
    """Every match is an alert: what Elastic calls a query rule."""

    fields: tuple[str, ...] = ()


Kind = NewTerms | Threshold | EveryMatch


class Suppression(Struct, frozen=True):
    """Of the alerts with the same values of ``fields``, one within ``duration_ms`` is enough.

    An event without one of the fields is in the group of those that lack it, or with ``missing_alone`` an alert of its
    own.
    """

    fields: tuple[str, ...]
    duration_ms: int
    missing_alone: bool


class SeverityMapping(Struct, frozen=True):
    """A match with the value ``value`` in ``field`` has this severity."""

    field: str
    value: str
    severity: str


class Overrides(Struct, frozen=True):
    """What an alert takes from its event instead of the rule, where the event has it.

    The highest of the ``severities`` that apply; the highest score from 0 to 100 in ``risk_score_field``; the name in
    ``name_field``.
    """

    severities: tuple[SeverityMapping, ...] = ()
    risk_score_field: str | None = None
    name_field: str | None = None


class ExceptionItem(Struct, frozen=True):
    """Events that fulfil ``node`` are no matches, until ``expires_ms`` if that is set.

    ``name`` is what people call it, ``line`` of ``file`` where it is written.
    """

    name: str
    node: Node
    file: str
    line: int | None
    owner: str = ""
    comment: str = ""
    expires_ms: int | None = None

    def holds(self, now_ms: int) -> bool:
        """Whether it still applies."""
        return self.expires_ms is None or now_ms < self.expires_ms


class Rule(Struct, frozen=True, eq=False, dict=True):
    """A rule that runs. Compared by identity: two rules with one id are never loaded together.

    ``asked`` are its query and filters, ``exceptions`` all that are meant for it, ``holding`` those of them that hold.
    ``meaning`` are the texts that decide which events it has a history of: its query, its filters, its exceptions.
    ``kind`` says what makes a match an alert. ``timestamp_field`` names the clock the rule goes by before
    ``@timestamp``, if any. It looks back ``lookback_ms`` and would be run every ``interval_ms``, for ``max_signals``
    alerts at most. The alerts of a building block are for other rules, not for people. ``hash`` is the SHA-256 of the
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
    overrides: Overrides
    building_block: bool
    query: str
    asked: Node
    exceptions: tuple[ExceptionItem, ...]
    holding: tuple[ExceptionItem, ...]
    meaning: tuple[str, ...]
    kind: Kind
    suppression: Suppression | None
    lookback_ms: int
    interval_ms: int
    max_signals: int
    timestamp_field: str | None
    needles: frozenset[bytes] | None

    @cached_property
    def node(self) -> Node:
        """Everything that it asks of an event: what is ``asked``, and that none of the exceptions that hold applies."""
        items = [item.node for item in self.holding]
        return And((self.asked, Not(either(items)))) if items else self.asked

    @cached_property
    def predicate(self) -> Callable[[Fields], bool]:
        """``node``, compiled when it is first asked for: of most rules no record ever comes near."""
        return compile_query(self.node, self.query, field_type)


class Status(StrEnum):
    """What became of a rule file."""

    LOADED = "loaded"
    FLAGGED = "flagged"
    """Runs, at a cost that the reason names."""
    NOT_RUNNABLE = "not_runnable"
    """Does not run: it needs what this version does not have."""
    SKIPPED = "skipped"
    """Does not run: its file says that it should not."""


class Report(Struct, frozen=True):
    """One rule file. ``reason`` is empty for a rule that is loaded without remark."""

    id: str
    name: str
    type: str
    file: str
    status: Status
    reason: str
    needles: tuple[str, ...]
