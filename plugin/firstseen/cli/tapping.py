"""What is new between two reports: alerts that were not told of before, and how many may be missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from firstseen.rules.exceptions import names
from firstseen.status.latest import MOST, MOST_OTHERS
from firstseen.status.report import Alert, Status
from firstseen.store.selection import Selection

REMEMBERED = 10_000
"""Ids of alerts that were told of: an alert may be raised again, with the same id, long after it was first."""


class Chosen:
    """The alerts that somebody wants: of one of these rules, with one of these terms; of all where none is named."""

    def __init__(self, rules: Sequence[str], terms: Sequence[str]) -> None:
        self._rules = rules
        self._terms = [fits for term in terms if (fits := Selection.of_pattern(term, None, None, None).term)]

    def has(self, alert: Alert) -> bool:
        """Whether it is one of these."""
        of_rule = not self._rules or any(names(each, alert.rule_id, alert.rule) for each in self._rules)
        return of_rule and (not self._terms or any(fits(term.value) for fits in self._terms for term in alert.terms))

    def unknown(self, told: Status) -> Iterator[str]:
        """The rules that are asked for and that the agent does not run."""
        for each in self._rules:
            if not any(names(each, rule.id, rule.name) for rule in told.rules.running):
                yield each


class News(NamedTuple):
    """Alerts in the order they came, and what there is to say of them in sentences."""

    alerts: list[Alert]
    remarks: list[str]


class Tapping:
    """Takes one report after the other; with ``everything`` it tells of what is not for people as well."""

    def __init__(self, everything: bool) -> None:
        self._everything = everything
        self._known: dict[str, None] = {}
        self._people = _Window(MOST)
        self._others = _Window(MOST_OTHERS)
        self._started: str | None = None

    def new(self, told: Status) -> News:
        """What this report tells that none before has."""
        remarks = []
        if self._started not in (None, told.started):
            remarks.append("the agent has been started anew: what it raised just before may be missing here")
            self._people, self._others = _Window(MOST), _Window(MOST_OTHERS)
            self._people.look((), 0, 0)
            self._others.look((), 0, 0)
        self._started = told.started
        found = self._of(self._people, told.latest_alerts, told.matches.open, remarks)
        if self._everything:
            raised = told.matches.learning + told.matches.shadow + told.matches.degraded
            found += self._of(self._others, told.latest_others, raised, remarks)
            found.sort(key=lambda alert: alert.came)
        return News(found, remarks)

    def _of(self, window: _Window, listed: Sequence[Alert], raised: int, remarks: list[str]) -> list[Alert]:
        found = [alert for alert in reversed(listed) if alert.id not in self._known]
        for alert in listed:
            self._known.pop(alert.id, None)
            self._known[alert.id] = None
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        missed = window.look([alert.id for alert in listed], raised, len(found))
        if missed:
            # An alert that is raised again counts again.
            remarks.append(
                f"up to {missed:,} alerts came between two looks and are not shown: /status keeps {window.most}"
            )
        return found


class _Window:
    """The latest alerts of one sort, of which the agent keeps ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._before: set[str] | None = None
        self._raised = 0

    def look(self, ids: Sequence[str], raised: int, new: int) -> int:
        """How many may have come and gone since the last look; ``raised`` counts all, ``new`` are in ``ids`` now."""
        before, raised_before = self._before, self._raised
        self._before, self._raised = set(ids), raised
        if before is None or len(ids) < self.most or before & set(ids):
            return 0
        return max(raised - raised_before - new, 0)
