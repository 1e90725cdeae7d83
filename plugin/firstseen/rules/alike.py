"""Records that are alike to the rules that are asked: what one of them matched, the others do too.

Two CloudTrail events that are the same wherever the fields of these rules take their values from are matched by the
same rules, under the same terms. So what comes again and again, mostly, need neither be decoded nor be asked about.
This may only save work: a property test holds that what is recalled is what would be found.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from firstseen.kql.ast import And, Exists, Is, MatchAll, Node, Not, Or, Range
from firstseen.record.glance import Glance, key_of
from firstseen.record.view import reads_of
from firstseen.rules.rule import NewTerms, Rule

MOST_KNOWN = 4_096
"""Kinds of records of which is kept what they match, some kilobyte each."""


class Match(NamedTuple):
    """A rule of type new_terms, and the terms, all of them texts, under which records of one kind are sightings."""

    rule: Rule
    terms: tuple[str, ...]


class Likeness(NamedTuple):
    """One kind of records, and where to keep what they match."""

    known: dict[Hashable, Sequence[Match]]
    key: Hashable

    def recalled(self) -> Sequence[Match] | None:
        """What records of this kind match, if that is known."""
        return self.known.get(self.key)

    def learn(self, matches: Sequence[Match]) -> None:
        """This is what they match, all of it."""
        if len(self.known) >= MOST_KNOWN:
            self.known.clear()
        self.known[self.key] = matches


class Asked:
    """Some of the rules, which are to be asked of a record."""

    __slots__ = ("_key_of", "_known", "rules")

    def __init__(self, rules: Sequence[Rule], known: dict[Hashable, Sequence[Match]]) -> None:
        self.rules = rules
        self._known = known
        paths = [reads_of(field) for rule in rules for field in _fields(rule)]
        stated = [each for each in paths if each is not None]
        self._key_of = key_of(path for each in stated for path in each) if len(stated) == len(paths) else None

    @property
    def compares(self) -> bool:
        """Whether a glance at a record tells which others are like it."""
        return self._key_of is not None

    def likeness(self, seen: Glance) -> Likeness:
        """What kind of record it is; only for rules that can be compared by."""
        if self._key_of is None:
            raise AssertionError("these rules go by more than a glance shows")
        return Likeness(self._known, (self, self._key_of(seen)))


def _fields(rule: Rule) -> Iterable[str]:
    """The fields on which hangs whether it matches, and under which terms; patterns where that may be any."""
    yield from _asked_about(rule.node)
    if isinstance(rule.kind, NewTerms):
        yield from rule.kind.fields


def _asked_about(node: Node) -> Iterator[str]:
    match node:
        case And(children) | Or(children):
            for child in children:
                yield from _asked_about(child)
        case Not(child):
            yield from _asked_about(child)
        case Is(str(name)) | Exists(str(name)) | Range(str(name)):
            yield name
        case MatchAll():
            return
        case _:
            yield "*"
