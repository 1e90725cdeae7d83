"""What the engine holds of an event while it looks at it, and what came of a record that it looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from firstseen.detect.matches import Moment, counted, terms_of
from firstseen.model import TermValue
from firstseen.record.view import View
from firstseen.rules.alike import Likeness, Match
from firstseen.rules.rule import Rule
from firstseen.store.base import Claim


class Inspection(Struct, frozen=True):
    """What the rules say of a record: its labels, and the claims to confirm once they are delivered."""

    labels: Sequence[Mapping[str, Any]]
    claims: Sequence[Claim]


NOTHING = Inspection((), ())


class Glanced(NamedTuple):
    """What a glance at a record came to: the rules that `Engine.inspect` has yet to show it to, and claims.

    That those match is ``certain``, or else to be found out. Where ``likeness`` is said, what it matches is to be kept
    for the next one like it. A record that is ``late`` has been counted as such.
    """

    rules: Sequence[Rule] | None
    claims: Sequence[Claim]
    likeness: Likeness | None = None
    late: bool = False
    certain: bool = False


UNSEEN = Glanced(None, ())
"""There was no glance: all rules are to be asked."""

SETTLED = Glanced((), ())
"""There is no more to do."""

Place = tuple[bytes, tuple[TermValue, ...]]
"""Where something is remembered: under which terms of which history (`RuleState.key`)."""

Earlier = dict[Place, Claim]
"""The last claim of each."""


class Seen(Struct):
    """One event while the rules look at it, and what they have said of it."""

    view: View
    moment: Moment
    identity: str
    labels: list[Mapping[str, Any]]
    claims: list[Claim]
    earlier: Earlier | None
    late: bool = False
    """Whether it came so late that what was known when it happened may be forgotten."""

    @property
    def time_ms(self) -> int:
        """When it happened."""
        own = self.view.timestamp_ms
        return self.moment.entry if own is None else own

    def add(self, label: dict[str, Any], *claims: Claim) -> None:
        """An alert, by what these claims found."""
        if any(claim.alone for claim in claims):
            label["alone"] = True
        self.labels.append(label)


def are_of_a_type(terms: Sequence[TermValue], others: Sequence[TermValue]) -> bool:
    """Whether equal terms are the same: 1, 1.0 and true are equal, and are not."""
    return all(type(one) is type(other) for one, other in zip(terms, others, strict=True))


def learn(likeness: Likeness, view: View, matching: Sequence[Rule]) -> None:
    """Keep what the event matches for those like it, and under which terms, where these are one list of texts."""
    likeness.learn([Match(rule, None) if rule in likeness.veiled else _match(rule, view) for rule in matching])


def _match(rule: Rule, view: View) -> Match:
    every, dropped = terms_of(rule, view)
    if len(every) != 1 or dropped or not all(isinstance(term, str) for term in every[0]):
        return Match(rule, None)
    return Match(rule, tuple(map(str, every[0])), counted(rule, view))
