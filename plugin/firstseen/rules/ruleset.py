r"""The rules together: which of them a record matches, and which places of a buffer are worth decoding at all.

`Scanner` is the filter in front of the rules. It may only save work, never change a result: for every record that some
rule matches, at least one offset inside the record's bytes is a hit. It errs to one side only: a hit without a match
costs time and nothing else. Held by a property test against `RuleSet.matches_linear`.

A record may carry JSON in a string, and JSON may spell any character as an escape, which hides a needle. Needles are of
printable ASCII (see ``kql.needles``), whose escapes all start with ``\u00``, so that is a hit as well. This holds for
JSON inside JSON too: an escape of an escape still has these four bytes, or spells one of them in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TypeAlias

from ahocorasick_rs import BytesAhoCorasick, Implementation

from firstseen.kql import naive
from firstseen.kql.demands import demanded
from firstseen.kql.scalars import text_of
from firstseen.model import Fields
from firstseen.record.fields import field_type
from firstseen.rules.assembly import at
from firstseen.rules.exceptions import ItemReport
from firstseen.rules.rule import Report, Rule

ESCAPE = rb"\u00"
"""How JSON spells a character of ASCII that it could have written as it is."""

# A search for one needle compares many bytes at once, 17 GB/s (bytes.find: 3 GB/s); the automaton for any number of
# them goes byte by byte, 0.4 GB/s. But each search takes 0.5 µs to start. Measured on CloudTrail records, both meet at
# 5 searches of 1 kB, 15 of 4 kB, 28 of 16 kB and about 40 of more.
_MAX_SEARCHES = 32
_BYTES_PER_SEARCH = 256

_start = itemgetter(1)
_number = itemgetter(0)

ACTION = "event.action"

_Numbered: TypeAlias = tuple[int, Rule]
"""A rule and its place among the others."""


class Scanner:
    """Finds needles. ``always`` tells that some rule has none: then every record is to be looked at, hit or not."""

    __slots__ = ("_automaton", "_overlap", "_searches", "always")

    def __init__(self, needle_sets: Iterable[frozenset[bytes] | None]) -> None:
        sets = list(needle_sets)
        self.always = None in sets
        needles = _shortest({needle for each in sets if each is not None for needle in each})
        patterns = [*needles, ESCAPE] if needles else []
        self._automaton = BytesAhoCorasick(patterns, implementation=Implementation.DFA) if patterns else None
        self._overlap = max(map(len, patterns), default=1) - 1
        few = len(patterns) <= _MAX_SEARCHES
        self._searches = [BytesAhoCorasick([pattern]) for pattern in patterns] if few else []

    def hits(self, data: bytes | bytearray, start: int, stop: int) -> list[int]:
        """The ascending offsets in ``data`` of all hits that lie in ``data[start:stop]``."""
        return self.beginning(data, start, stop, stop)

    def beginning(self, data: bytes | bytearray, start: int, behind: int, stop: int) -> list[int]:
        """The same of those that begin before ``behind`` and end before ``stop``."""
        if self._automaton is None:
            return []
        found = self._hits(memoryview(data)[start : min(behind + self._overlap, stop)], self._automaton)
        return [start + hit for hit in found if start + hit < behind]

    def _hits(self, window: memoryview, automaton: BytesAhoCorasick) -> list[int]:
        if self._searches and len(window) >= _BYTES_PER_SEARCH * len(self._searches):
            searches = self._searches
        else:
            searches = [automaton]
        # Overlapping, because a hit across the end of one record must not hide another at the start of the next.
        found = (hit for search in searches for hit in search.find_matches_as_indexes(window, overlapping=True))
        return sorted(map(_start, found))


def _shortest(needles: set[bytes]) -> list[bytes]:
    """The needles that hold no other: where a longer one is, the other is too."""
    search = BytesAhoCorasick(needles)
    return sorted(needle for needle in needles if len(search.find_matches_as_indexes(needle, overlapping=True)) == 1)


class RuleSet:
    """The rules that run, and the ``reports`` on all rule files, in the order in which they were named.

    ``exceptions`` are the reports on all exceptions.
    """

    __slots__ = ("_any_action", "_by_action", "exceptions", "reports", "rules", "scanner")

    def __init__(
        self, rules: Iterable[Rule], reports: Iterable[Report] = (), exceptions: Iterable[ItemReport] = ()
    ) -> None:
        self.rules: Sequence[Rule] = tuple(rules)
        self.reports: Sequence[Report] = tuple(reports)
        self.exceptions: Sequence[ItemReport] = tuple(exceptions)
        self.scanner = Scanner(rule.needles for rule in self.rules)
        self._any_action: list[_Numbered] = []
        self._by_action: dict[str, list[_Numbered]] = {}
        for numbered in enumerate(self.rules):
            actions = demanded(numbered[1].node, ACTION)
            for wanted in [self._any_action] if actions is None else map(self._of_action, actions):
                wanted.append(numbered)

    def _of_action(self, action: str) -> list[_Numbered]:
        return self._by_action.setdefault(action, [])

    def next_expiry_ms(self, now_ms: int) -> int | None:
        """The first moment after ``now_ms`` at which an exception of one of the rules expires."""
        moments = (item.expires_ms for rule in self.rules for item in rule.exceptions)
        return min((moment for moment in moments if moment is not None and moment > now_ms), default=None)

    def at(self, now_ms: int) -> RuleSet:
        """These rules with the exceptions that hold at ``now_ms``; the reports on exceptions are kept as they were."""
        return RuleSet([at(rule, now_ms) for rule in self.rules], self.reports, self.exceptions)

    def matches(self, view: Fields, rules: Iterable[Rule] | None = None) -> list[Rule]:
        """Those of ``rules`` (all of the set, unless some are named) that match, in order."""
        return [rule for rule in (self._asked(view) if rules is None else rules) if rule.predicate(view)]

    def _asked(self, view: Fields) -> Iterable[Rule]:
        """The rules that may match, by the action of the event, which nearly all rules name; in order."""
        found = self._any_action
        for action in set(map(text_of, view.values(ACTION))):
            more = self._by_action.get(action)
            if more:
                found = [*found, *more]
        if found is not self._any_action:
            found = sorted(set(found), key=_number)
        return [rule for _, rule in found]

    def matches_linear(self, view: Fields) -> list[Rule]:
        """The same for the whole set by the definition of the query language: slow, the measure of the rest."""
        return [rule for rule in self.rules if naive.evaluate(rule.node, view, field_type)]
