r"""The filter in front of the rules: which of them the record around each place of a buffer may match.

It may only save work, never change a result: for every record that a rule matches, at least one hit inside the record's
bytes names that rule. It errs to one side only: a hit without a match costs time and nothing else. Held by a property
test against `firstseen.rules.ruleset.RuleSet.matches_linear`.

A rule is found by the action that it demands (``rules.actions``), or else by its needles. A record may carry JSON in a
string, and JSON may spell any character as an escape, which hides both the key of an action and a needle. They are of
printable ASCII (see ``kql.needles``), whose escapes all start with ``\u00``, so that is a hit for every rule. This
holds for JSON inside JSON too: an escape of an escape still has these four bytes, or spells one of them likewise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

from firstseen.kql.ast import Is
from firstseen.rules.actions import Actions, Group, Hit

ESCAPE: Final = rb"\u00"
"""How JSON spells a character of ASCII that it could have written as it is."""

# A search for one needle compares many bytes at once, 17 GB/s (bytes.find: 3 GB/s); the automaton for any number of
# them goes byte by byte, 0.4 GB/s. But each search takes 0.5 µs to start. Measured on CloudTrail records, both meet at
# 5 searches of 1 kB, 15 of 4 kB, 28 of 16 kB and about 40 of more.
_MAX_SEARCHES = 32
_BYTES_PER_SEARCH = 256

_FEW = 8
"""Needles up to which searching for each costs less than looking at the action of each record."""

_offset = itemgetter(0)


class Sought(NamedTuple):
    """What of a rule can be seen from afar: its needles, and the comparisons of the action that it demands.

    None where there is no such thing (`firstseen.kql.needles`, `firstseen.kql.demands.demanded`).
    """

    needles: frozenset[bytes] | None
    actions: Sequence[Is] | None


class Scanner:
    """Finds what the rules, which are known by their numbers, seek.

    ``always`` tells that some rule seeks nothing in particular: then every record is to be shown to all, hit or not.
    ``everything`` is the group of all rules that seek something.
    """

    __slots__ = ("_actions", "_automaton", "_groups", "_overlap", "_searches", "always", "everything")

    def __init__(self, rules: Iterable[Sought]) -> None:
        sought = list(rules)
        self.always = any(each.needles is None and each.actions is None for each in sought)
        needles: dict[int, frozenset[bytes]] = {}
        demands: dict[int, Sequence[Is]] = {}
        few = _are_few(sought)
        for number, each in enumerate(sought if not self.always else ()):
            if each.needles is not None and (few or each.actions is None):
                needles[number] = each.needles
            elif each.actions is not None:
                demands[number] = each.actions
        self._actions = Actions(demands)
        groups = _by_needle(needles)
        self.everything: Group = tuple(sorted((*needles, *demands)))
        if self.everything:
            groups[ESCAPE] = self.everything
        self._groups = list(groups.values())
        patterns = list(groups)
        self._automaton = (
            BytesAhoCorasick(patterns, implementation=Implementation.DFA).find_matches_as_indexes if patterns else None
        )
        self._overlap = max((*map(len, patterns), self._actions.longest), default=1) - 1
        self._searches = [
            (BytesAhoCorasick([needle]).find_matches_as_indexes, group)
            for needle, group in (groups.items() if len(groups) <= _MAX_SEARCHES else ())
        ]

    @property
    def goes_by_action(self) -> bool:
        """Whether there are rules that are found by their actions, see `by_action`, and not by needles."""
        return bool(self._actions.all)

    def by_action(self, action: str) -> Group:
        """Those of them that an event with this action, and no other, may match."""
        return self._actions.of(action)

    def needles(self, data: bytes | bytearray, start: int, stop: int) -> Sequence[Hit]:
        """Where the needles of all others lie in ``data[start:stop]``."""
        return self._of_needles(data, start, stop)

    def hits(self, data: bytes | bytearray, start: int, stop: int) -> list[Hit]:
        """All hits that lie in ``data[start:stop]``, by their ascending offsets in ``data``."""
        return self.beginning(data, start, stop, stop)

    def beginning(self, data: bytes | bytearray, start: int, behind: int, stop: int) -> list[Hit]:
        """The same of those that begin before ``behind`` and end before ``stop``."""
        end = min(behind + self._overlap, stop)
        found = self._of_needles(data, start, end)
        if self._actions.all:
            found += self._actions.hits(data, start, end)
        if not found:
            return found
        found.sort(key=_offset)
        return found if end == behind else [hit for hit in found if hit[0] < behind]

    def _of_needles(self, data: bytes | bytearray, start: int, stop: int) -> list[Hit]:
        if self._automaton is None:
            return []
        window = memoryview(data)[start:stop]
        # Overlapping, because a hit across the end of one record must not hide another at the start of the next.
        if not self._searches or stop - start < _BYTES_PER_SEARCH * len(self._searches):
            groups = self._groups
            return [(start + at, groups[number]) for number, at, _ in self._automaton(window, overlapping=True)]
        found: list[Hit] = []
        for search, group in self._searches:
            hits = search(window, overlapping=True)
            if hits:
                found += [(start + at, group) for _, at, _ in hits]
        return found


def _are_few(sought: Sequence[Sought]) -> bool:
    """Whether the rules have needles, and so few that a search for each is the cheapest."""
    needles = [each.needles for each in sought]
    return None not in needles and len(frozenset().union(*filter(None, needles))) <= _FEW


def _by_needle(needles: Mapping[int, frozenset[bytes]]) -> dict[bytes, Group]:
    """By each needle the rules that have it."""
    numbers: dict[bytes, list[int]] = {}
    for number, each in needles.items():
        for needle in _shortest(each):
            numbers.setdefault(needle, []).append(number)
    return {needle: tuple(each) for needle, each in numbers.items()}


def _shortest(needles: frozenset[bytes]) -> list[bytes]:
    """The needles that hold no other: where a longer one is, the other is too."""
    if len(needles) < 2:
        return list(needles)
    search = BytesAhoCorasick(needles)
    return sorted(needle for needle in needles if len(search.find_matches_as_indexes(needle, overlapping=True)) == 1)
