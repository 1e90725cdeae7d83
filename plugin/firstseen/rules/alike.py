"""Records that are alike to the rules that are asked: what one of them matched, the others do too.

Two CloudTrail events that are the same wherever the fields of these rules take their values from are matched by the
same rules, and under the same terms where that holds for the terms as well. So what comes again and again, mostly, need
neither be decoded nor be asked about. This may only save work: a property test holds that what is recalled is what
would be found.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from types import MappingProxyType
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick

from firstseen.kql.ast import And, Exists, Is, MatchAll, Node, Not, Or, Range
from firstseen.kql.demands import demanded
from firstseen.kql.needles import is_common, needles
from firstseen.model import Scalar
from firstseen.record.fields import field_type
from firstseen.record.glance import Glance, Path, glances_at
from firstseen.record.view import is_verbatim, reads_of
from firstseen.rules.actions import ACTION
from firstseen.rules.rule import EveryMatch, NewTerms, Rule, Threshold
from firstseen.rules.scanner import ESCAPE

MOST_KNOWN = 4_096
"""Kinds of records of which is kept what they match, some kilobyte each."""

LONGEST_KIND = 4_096
"""Characters of all that tells a kind of records, up to which it is kept: longer ones are not met again."""

_MOST_FEWER = 64
"""Parts of one group of rules of which is kept what they have in common."""

_MOST_MARKS = 32
"""Marks of one rule up to which it is worth to look for each."""


class Match(NamedTuple):
    """A rule that records of one kind match, and the terms, all of them texts, under which they are sightings of it.

    None where that is not all there is to it: a record of this kind is yet to be shown to this rule. ``values`` are
    those that it counts (`firstseen.detect.law.Occurrence`).
    """

    rule: Rule
    terms: tuple[str, ...] | None
    values: tuple[Scalar, ...] = ()


class Likeness(NamedTuple):
    """One kind of records, and where to keep what they match; of the rules ``veiled`` they may differ in the terms."""

    known: dict[Hashable, Sequence[Match]]
    key: Hashable
    veiled: Set[Rule] = frozenset()

    def learn(self, matches: Sequence[Match]) -> None:
        """This is what they match, all of it."""
        if len(repr(self.key)) > LONGEST_KIND:
            return
        if len(self.known) >= MOST_KNOWN:
            self.known.clear()
        self.known[self.key] = matches


class Traits(NamedTuple):
    """What can be said of a rule by itself.

    ``marks`` are needles of a rule about a call, beside the name of the call: worth no search through everything, but
    one through what has the name; empty where there are none that are rare. ``asked`` are the places of a record that
    decide whether it matches, ``terms`` those that its terms, and what it counts, come from; None where a glance cannot
    show them all.
    """

    marks: frozenset[bytes]
    asked: frozenset[Path] | None
    terms: frozenset[Path] | None


def traits_of(rule: Rule) -> Traits:
    """Find them out: it takes a good part of a millisecond."""
    marks = needles(rule.node, _is_mark, field_type) if demanded(rule.node, ACTION) is not None else None
    return Traits(
        frozenset() if marks is None or len(marks) > _MOST_MARKS else marks,
        _shown(_asked_about(rule.node)),
        _shown(_remembered(rule)),
    )


def _remembered(rule: Rule) -> Iterator[str]:
    """The fields on which hangs under which terms a match is remembered; a pattern where it is not."""
    match rule.kind:
        case NewTerms(fields=fields):
            yield from fields
        case Threshold(fields=fields, cardinality=counted):
            yield from fields
            if counted is not None:
                yield counted.field
        case EveryMatch():
            yield from rule.suppression.fields if rule.suppression else ("*",)


def _shown(fields: Iterable[str]) -> frozenset[Path] | None:
    """The places of a record that these fields take their values from, if a glance shows them all."""
    found = [reads_of(field) for field in fields]
    paths = frozenset(path for each in found if each is not None for path in each)
    return paths if None not in found and glances_at(paths) is not None else None


class Kept:
    """What is kept for all that is `Asked` of the rules of one set."""

    __slots__ = ("_traits", "known")

    def __init__(self, traits: Mapping[Rule, Traits] = MappingProxyType({})) -> None:
        self.known: dict[Hashable, Sequence[Match]] = {}
        self._traits = dict(traits)

    def of(self, rules: Iterable[Rule]) -> Mapping[Rule, Traits]:
        """What is known of these of its rules by itself."""
        return {rule: self._traits[rule] for rule in rules if rule in self._traits}

    def traits(self, rule: Rule) -> Traits:
        """See `traits_of`."""
        found = self._traits.get(rule)
        if found is None:
            found = self._traits[rule] = traits_of(rule)
        return found


class Asked:
    """Some of the rules, which are to be asked of a record."""

    __slots__ = ("_fewer", "_kept", "_key", "_marked", "_marks", "_name", "_veiled", "glances", "rules")

    def __init__(self, rules: Sequence[Rule], kept: Kept) -> None:
        self.rules = rules
        self._name = object()  # in keys: what is kept must not hold what it is kept by, or rules outlive their set
        self._kept = kept
        traits = [kept.traits(rule) for rule in rules]
        self._marked = [(number, each.marks) for number, each in enumerate(traits) if each.marks]
        self._marks: _Marks | None = None
        self._fewer: dict[int, Asked] = {}  # by the rules that are left out, a bit each
        self._veiled = frozenset(rule for rule, each in zip(rules, traits, strict=True) if each.terms is None)
        asked = [each.asked for each in traits if each.asked is not None]
        terms = [each.terms for each in traits if each.terms is not None]
        self.glances = glances_at(frozenset().union(*asked, *terms)) if len(asked) == len(traits) else None
        """How to glance at records, where that tells which others are like them."""
        self._key = _unknown if self.glances is None else self.glances.key

    def within(self, data: bytes | bytearray, start: int, stop: int) -> Asked:
        """Those of the rules that the record in ``data[start:stop]`` may match, by the marks that it bears."""
        if not self._marked:
            return self
        if self._marks is None:
            self._marks = _Marks(self._marked)
        missed = self._marks.missed(memoryview(data)[start:stop])
        if not missed:
            return self
        fewer = self._fewer.get(missed)
        if fewer is None:
            if len(self._fewer) >= _MOST_FEWER:
                return self
            fewer = Asked([rule for number, rule in enumerate(self.rules) if not missed >> number & 1], self._kept)
            self._fewer[missed] = fewer
        return fewer

    def recalled(self, seen: Glance) -> Sequence[Match] | None:
        """What records of the kind that these rules' ``glances`` have shown match, if that is known."""
        return self._kept.known.get((self._name, self._key(seen)))

    def likeness(self, seen: Glance) -> Likeness:
        """What kind of record it is that these rules' ``glances`` have shown."""
        return Likeness(self._kept.known, (self._name, self._key(seen)), self._veiled)


class _Marks:
    """A search for the marks of several rules, which have numbers."""

    __slots__ = ("_all", "_by_pattern", "_search")

    def __init__(self, marked: Iterable[tuple[int, Iterable[bytes]]]) -> None:
        of_rules: dict[bytes, int] = {}
        self._all = 0
        for number, marks in marked:
            self._all |= 1 << number
            for mark in marks:
                of_rules[mark] = of_rules.get(mark, 0) | 1 << number
        of_rules[ESCAPE] = self._all
        self._by_pattern = list(of_rules.values())
        self._search = BytesAhoCorasick(list(of_rules)).find_matches_as_indexes

    def missed(self, window: memoryview) -> int:
        """The rules none of whose marks is there, a bit each; where an escape may hide some, none."""
        missed = self._all
        for pattern, _, _ in self._search(window, overlapping=True):
            missed &= ~self._by_pattern[pattern]
        return missed


def _unknown(seen: Glance) -> Hashable:
    raise AssertionError("these rules go by more than a glance shows")


def _is_mark(field: str) -> bool:
    return field != ACTION and not is_common(field) and is_verbatim(field)


def _asked_about(node: Node) -> Iterator[str]:
    """The fields on which hangs whether a record matches; a pattern where that may be any."""
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
