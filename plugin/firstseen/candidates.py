"""The records of a chunk that some rule may match, and which rules that are.

Two ways lead to them, and neither may do more than save work. A search through all the bytes for what rules seek costs
next to nothing where little of it is there. Where much is, a glance at every record, many in one go, costs less than
to take each of them out of what was searched; what is odd to a glance is searched after all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from firstseen.forward.content import Content
from firstseen.forward.messages import Mode
from firstseen.record.glance import LARGEST, Glance
from firstseen.record.spans import Span, entry_span, message_span
from firstseen.rules.actions import Group, Hit
from firstseen.rules.alike import Asked
from firstseen.rules.ruleset import RuleSet

GLANCED = 1 << 17
"""Bytes of entries that are glanced at in one go, and copied for that."""

MOST_ENTRIES = 256
"""How many entries that are at the most: nobody else is served meanwhile."""

STRETCH = 1 << 19
"""Bytes of entries that are searched before others are served, and it is seen whether glances would cost less."""

MANY = 3
"""One record in so many is where glances begin to cost less than a search."""


class Candidate(NamedTuple):
    """The entry ``data[start:stop]`` of a chunk's content.

    ``asked`` are the rules that its record may match, None for all of them; ``seen`` is all that their glances would
    show of it, or more, where there was a glance that shows them what they ask for.
    """

    start: int
    stop: int
    asked: Asked | None
    seen: Glance | None = None


def span_of(content: Content, candidate: Candidate) -> Span:
    """Where time and record of the candidate lie."""
    data, start, stop = content.entries.data, candidate.start, candidate.stop
    span = message_span(data, start, stop) if content.chunk.mode is Mode.MESSAGE else entry_span(data, start, stop)
    if span is None:
        raise AssertionError("what marks a group is no candidate")
    return span


class Candidates:
    """Finds the candidates of one chunk after the other."""

    def __init__(self) -> None:
        self._are_many = False

    def of(self, content: Content, rules: RuleSet, *, glancing: bool) -> Iterator[Candidate | None]:
        """Those of this content that concern ``rules``, in order, and None behind each stretch of it.

        ``glancing`` says whether its records may be CloudTrail events as such.
        """
        if content.chunk.mode is Mode.MESSAGE:
            yield from _in_message(content, rules)
            return
        may_glance = glancing and not content.markers and rules.scanner.goes_by_action
        entries, first = content.entries, 0
        while first < entries.count:
            found: Iterable[Candidate] | None = None
            if may_glance and self._are_many:
                behind = _behind(entries.offsets, first, GLANCED, MOST_ENTRIES)
                found = _glanced(content, rules, first, behind)
            else:
                behind = _behind(entries.offsets, first, STRETCH, entries.count)
            if found is None:
                found = _searched(content, rules, first, behind)
            number = 0
            for candidate in found:
                number += 1
                yield candidate
            yield None
            self._are_many = number * MANY > behind - first
            first = behind


def _behind(offsets: Sequence[int], first: int, size: int, most: int) -> int:
    """Up to which entry those go, from ``first`` on, that have up to ``size`` bytes and are up to ``most``."""
    behind = bisect_right(offsets, offsets[first] + size, first, min(first + most + 1, len(offsets))) - 1
    return max(behind, first + 1)


def _in_message(content: Content, rules: RuleSet) -> Sequence[Candidate]:
    """There is one record, and time and record are by themselves: hits in both are hits in one."""
    entries = content.entries
    whole = Candidate(entries.start, entries.stop, None)
    if rules.scanner.always:
        return (whole,)
    groups = {group for _, _, each in _hits(content, rules, 0, entries.count) for group in each}
    asked = _marked(content, rules.some(groups), entries.start, entries.stop)
    return (whole._replace(asked=asked),) if asked is None or asked.rules else ()


def _searched(content: Content, rules: RuleSet, first: int, behind: int) -> Iterator[Candidate]:
    """Those around what rules seek, of the entries from ``first`` to the one before ``behind``."""
    entries = content.entries
    if rules.scanner.always:
        for number in range(first, behind):
            if _is_record(content, entries.at(number), entries.at(number + 1)):
                yield Candidate(entries.at(number), entries.at(number + 1), None)
        return
    for start, stop, groups in _hits(content, rules, first, behind):
        if _is_record(content, start, stop):
            asked = _marked(content, rules.some(groups), start, stop)
            if asked is None or asked.rules:
                yield Candidate(start, stop, asked)


def _glanced(content: Content, rules: RuleSet, first: int, behind: int) -> Sequence[Candidate] | None:
    """The same by a glance at each; None where one of them is odd."""
    entries = content.entries
    data, offsets, base = entries.data, entries.offsets, entries.start
    start, stop = entries.at(first), entries.at(behind)
    if stop - start > GLANCED:
        return None
    rows = rules.glances.at_entries(memoryview(data)[start:stop], behind - first)
    if rows is None:
        return None
    found: list[Candidate] = []
    needles, concerned = _by_entry(content, rules, first, behind), rules.concerned
    for number, (_, seen) in enumerate(rows, first):
        asked = concerned(seen.eventName, needles.get(number))
        if asked is not None and not asked.rules:
            continue
        start, stop = base + offsets[number], base + offsets[number + 1]
        if not seen.is_named or stop - start > LARGEST:
            found += _searched(content, rules, number, number + 1)
            continue
        if asked is None or asked.glances is None:
            asked = _marked(content, asked, start, stop)
            if asked is not None and not asked.rules:
                continue
        found.append(Candidate(start, stop, asked, seen if asked is not None and asked.glances is not None else None))
    return found


def _marked(content: Content, asked: Asked | None, start: int, stop: int) -> Asked | None:
    """Those of the rules that the marks which lie there leave."""
    return None if asked is None else asked.within(content.entries.data, start, stop)


def _hits(content: Content, rules: RuleSet, first: int, behind: int) -> Iterator[tuple[int, int, Collection[Group]]]:
    entries, scanner = content.entries, rules.scanner
    end = entries.at(behind)

    def search(start: int, stop: int) -> Sequence[Hit]:
        return scanner.beginning(entries.data, start, stop, end)

    return entries.around_hits(search, scanner.everything, first, behind)


def _by_entry(content: Content, rules: RuleSet, first: int, behind: int) -> dict[int, frozenset[Group]]:
    """By the numbers of entries what of the needles lies in them."""
    entries = content.entries
    found: dict[int, frozenset[Group]] = {}
    for at, group in rules.scanner.needles(entries.data, entries.at(first), entries.at(behind)):
        number = bisect_right(entries.offsets, at - entries.start, first, behind) - 1
        before = found.get(number)
        found[number] = _only(group) if before is None else before | {group}
    return found


@lru_cache(maxsize=1024)
def _only(group: Group) -> frozenset[Group]:
    return frozenset((group,))


def _is_record(content: Content, start: int, stop: int) -> bool:
    """Whether the entry that lies there marks no group."""
    return not content.markers or entry_span(content.entries.data, start, stop) is not None
