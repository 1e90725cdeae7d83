"""What a law of detection is: from what is remembered and one event to a verdict, and to what is remembered then.

A law is a value: it holds the numbers that its rule gives and nothing else. What it remembers is of one rule and one
list of terms, is immutable, and is kept by `firstseen.store`, which knows nothing of what it means. The laws are
`firstseen.detect.new_terms`, `threshold` and `suppression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from firstseen.model import Scalar, Verdict

Memory = TypeVar("Memory")


NEVER: Final = -(1 << 63)
"""A time before all others."""


class Occurrence(NamedTuple):
    """One event, as laws see it: when it happened by the rule's clock, which one it is, and what it adds.

    ``time_ms`` is in milliseconds since the epoch, ``event`` is the event's identity. ``values`` are those of the field
    whose different values are counted, where the rule counts any.
    """

    time_ms: int
    event: str
    values: tuple[Scalar, ...] = ()


def remember_each(law: Law[Memory], before: Memory, occurrences: Sequence[Occurrence]) -> Memory:
    """`Law.remember_known` where there is no shorter way."""
    for occurrence in occurrences:
        before = law.remember(before, occurrence, Verdict.KNOWN)
    return before


class Law(Protocol[Memory]):
    """The law of one rule. Nothing of it may depend on anything but its arguments."""

    @property
    def reach_ms(self) -> int:
        """For how long after its last event what is remembered may decide of another, if none comes late."""

    def judge(self, before: Memory | None, occurrence: Occurrence) -> Verdict:
        """NEW where this event raises an alert after what is remembered (None: nothing), else KNOWN."""

    def remember(self, before: Memory | None, occurrence: Occurrence, verdict: Verdict) -> Memory:
        """What is remembered from then on, the event having been given this verdict.

        The verdict stands, also where ``before`` is not what it was given on: an alert that was raised was raised.
        """

    def remember_known(self, before: Memory, occurrences: Sequence[Occurrence]) -> Memory:
        """The same for several that are KNOWN, one after the other."""

    def known_until_ms(self, before: Memory) -> int:
        """Up to when events are KNOWN whatever came in between and was KNOWN too; `NEVER` where that is not sure."""
