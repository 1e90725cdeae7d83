"""Exceptions: which rules they are for, and what became of each.

Events that fulfil one are no matches of a rule, and so neither alert nor history nor count. ``exceptionfiles`` reads
them. The cases are in ``tests/spec/exceptions``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from firstseen.notation import fits
from firstseen.rules.requirements import Unavailable, doubts, everything_is_available, takes_all
from firstseen.rules.rule import ExceptionItem


class Scope(Struct, frozen=True):
    """The rules that an exception is for: those named by ``rules``, ids or names with ``*`` for any text, or by a list.

    ``rules`` is None for every rule. ``list_id`` is the exception list that it is on, "" for none; a rule names the
    lists that it wants.
    """

    rules: tuple[str, ...] | None
    list_id: str = ""

    def covers(self, rule_id: str, name: str, lists: Collection[str]) -> bool:
        """Whether it is for the rule with this id and name, which asks for these exception lists."""
        if self.rules is None or (self.list_id and self.list_id in lists):
            return True
        return any(names(selector, rule_id, name) for selector in self.rules)


class Exempting(Struct, frozen=True):
    """An exception, and the rules it is for; ``plain`` tells the form it is written in.

    ``remark`` is what somebody should know of it, if anything.
    """

    item: ExceptionItem
    scope: Scope
    plain: bool
    remark: str = ""


class ItemStatus(StrEnum):
    """What became of an exception."""

    APPLIED = "applied"
    FLAGGED = "flagged"
    """Applies, with a remark."""
    EXPIRED = "expired"
    """Its time is over: it is as if it was not there."""
    UNUSED = "unused"
    """It names a rule that is not there."""


class ItemReport(Struct, frozen=True):
    """One exception, how many ``rules`` it is for, and what is to be said of it, if anything."""

    name: str
    file: str
    line: int | None
    status: ItemStatus
    reason: str
    rules: int


def meant_for(found: Sequence[Exempting], rule_id: str, name: str, lists: Collection[str]) -> list[ExceptionItem]:
    """The exceptions for the rule with this id and name, which asks for these exception lists."""
    return [each.item for each in found if each.scope.covers(rule_id, name, lists)]


def reports(
    found: Sequence[Exempting],
    known: Sequence[tuple[str, str, Collection[str]]],
    now_ms: int,
    unknown: Unavailable = everything_is_available,
) -> Iterator[ItemReport]:
    """What became of each at ``now_ms``. ``known`` are the ids, names and wanted lists of all rules, running or not.

    ``unknown`` tells of fields that are most likely slips.
    """
    for each in found:
        item, scope = each.item, each.scope
        rules = sum(scope.covers(*rule) for rule in known)
        nowhere = [
            selector
            for selector in scope.rules or ()
            if not any(names(selector, rule_id, name) for rule_id, name, _ in known)
        ]
        remark = "; ".join(_remarks(each, rules, unknown))
        status, reason = (ItemStatus.FLAGGED, remark) if remark else (ItemStatus.APPLIED, "")
        if not item.holds(now_ms):
            status, reason = ItemStatus.EXPIRED, "it has expired"
        elif nowhere and (each.plain or not rules):
            status, reason = ItemStatus.UNUSED, f"there is no rule {' and no rule '.join(nowhere)}"
        elif not rules:
            status, reason = ItemStatus.UNUSED, "there is no rule that it is for"
        yield ItemReport(item.name, item.file, item.line, status, reason, rules)


def _remarks(each: Exempting, rules: int, unknown: Unavailable) -> Iterator[str]:
    """What somebody should know of one that holds, and is for so many ``rules``."""
    node = each.item.node
    if each.remark:
        yield each.remark
    yield from doubts(node, (), unknown)
    if takes_all(node):
        yield f"it excepts every event of {rules} {'rule' if rules == 1 else 'rules'}: they alert on nothing"


def names(selector: str, rule_id: str, name: str) -> bool:
    """Whether ``selector``, an id or a name with ``*`` for any text, means this rule."""
    return fits(selector, rule_id) or fits(selector, name)
