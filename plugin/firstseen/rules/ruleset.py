"""The rules together: which of them a record matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from firstseen.kql import naive
from firstseen.kql.demands import demanded
from firstseen.kql.scalars import text_of
from firstseen.model import Fields
from firstseen.record.fields import field_type
from firstseen.record.glance import Glances, glances_at
from firstseen.rules.actions import ACTION, Actions, Group
from firstseen.rules.alike import Asked, Kept
from firstseen.rules.assembly import at
from firstseen.rules.exceptions import ItemReport
from firstseen.rules.rule import Report, Rule
from firstseen.rules.scanner import Scanner, Sought
from firstseen.steps import nothing

_MOST_ASKED = 1_024
"""Different groups of rules of which is kept what they have in common, some 10 kB each."""

_MOST_ACTIONS = 4_096
"""Different actions, and needles beside them, of which is kept which rules they concern."""

_LONGEST_ACTION = 128
"""Characters of an action up to which it is kept what it concerns: what senders spell out does not stay here."""

_MOST_TOGETHER = 64
"""Rules that are asked together because of what lies in a record's bytes; more of them only where that tells little."""


class RuleSet:
    """The rules that run, and the ``reports`` on all rule files, in the order in which they were named.

    ``exceptions`` are the reports on all exceptions. What was found out of rules that are in the set ``before`` as well
    is taken from there.
    """

    __slots__ = (
        "_actions",
        "_any_action",
        "_concerned",
        "_glances",
        "_kept",
        "_some",
        "exceptions",
        "reports",
        "rules",
        "scanner",
    )

    scanner: Scanner
    _actions: Actions
    _any_action: Group

    def __init__(
        self,
        rules: Iterable[Rule],
        reports: Iterable[Report] = (),
        exceptions: Iterable[ItemReport] = (),
        before: RuleSet | None = None,
    ) -> None:
        self.rules: Sequence[Rule] = tuple(rules)
        self.reports: Sequence[Report] = tuple(reports)
        self.exceptions: Sequence[ItemReport] = tuple(exceptions)
        self._some: dict[frozenset[Group], Asked | None] = {}
        self._concerned: dict[tuple[str, frozenset[Group] | None], Asked | None] = {}
        self._glances: Glances | None = None
        self._kept: Kept = Kept() if before is None else Kept(before._kept.of(self.rules))
        if before is not None and before.rules == self.rules:
            self.scanner, self._actions, self._any_action = before.scanner, before._actions, before._any_action
            return
        demands = [demanded(rule.node, ACTION) for rule in self.rules]
        self.scanner = Scanner(map(Sought, (rule.needles for rule in self.rules), demands))
        self._actions = Actions({number: each for number, each in enumerate(demands) if each is not None})
        self._any_action = tuple(number for number, each in enumerate(demands) if each is None)

    def next_expiry_ms(self, now_ms: int) -> int | None:
        """The first moment after ``now_ms`` at which an exception of one of the rules expires."""
        moments = (item.expires_ms for rule in self.rules for item in rule.exceptions)
        return min((moment for moment in moments if moment is not None and moment > now_ms), default=None)

    def at(self, now_ms: int) -> RuleSet:
        """These rules with the exceptions that hold at ``now_ms``; the reports on exceptions are kept as they were."""
        return RuleSet([at(rule, now_ms) for rule in self.rules], self.reports, self.exceptions, self)

    def get_ready(self, between: Callable[[], None] = nothing) -> None:
        """Find out now what else is found out of each rule when the first record comes that it may match.

        That takes a good part of a millisecond each, which records would have to wait for. ``between`` is called after
        each of them.
        """
        for rule in self.rules:
            self._kept.traits(rule)
            between()

    def matches(self, view: Fields, asked: Iterable[Rule] | None = None) -> list[Rule]:
        """Those of the rules that match, in order; of ``asked``, where it is known that no other does."""
        return [rule for rule in (self._asked(view) if asked is None else asked) if rule.predicate(view)]

    def some(self, groups: Iterable[Group]) -> Asked | None:
        """The rules of these groups, each once, in order.

        None where they are many: then it is better to go by the action of the event, see `matches`.
        """
        wanted = frozenset(groups)
        try:
            return self._some[wanted]
        except KeyError:
            if len(self._some) >= _MOST_ASKED:
                self._some.clear()
                self._concerned.clear()
            rules = self._numbered(wanted)
            found = self._some[wanted] = Asked(rules, self._kept) if len(rules) <= _MOST_TOGETHER else None
            return found

    def concerned(self, action: str, groups: frozenset[Group] | None = None) -> Asked | None:
        """The rules that an event with this action may match, in whose bytes the needles of ``groups`` lie.

        As `some` has it. The others are those that `Scanner.by_action` leaves out.
        """
        try:
            return self._concerned[action, groups]
        except KeyError:
            found = self.some({self.scanner.by_action(action), *(groups or ())})
            if len(action) <= _LONGEST_ACTION:
                if len(self._concerned) >= _MOST_ACTIONS:
                    self._concerned.clear()
                self._concerned[action, groups] = found
            return found

    @property
    def glances(self) -> Glances:
        """How to glance at records where nobody knows yet which of the rules are to be asked: this shows all."""
        if self._glances is None:
            traits = [self._kept.traits(rule) for rule in self.rules]
            shown = [(each.asked, each.terms or frozenset()) for each in traits if each.asked is not None]
            self._glances = glances_at(path for asked, terms in shown for path in asked | terms)
            if self._glances is None:
                raise AssertionError("a glance shows each of them, and so all")
        return self._glances

    def _asked(self, view: Fields) -> Sequence[Rule]:
        """The rules that may match, by the action of the event."""
        return self._numbered((self._any_action, *(self._actions.of(text_of(each)) for each in view.values(ACTION))))

    def _numbered(self, groups: Iterable[Group]) -> Sequence[Rule]:
        return [self.rules[number] for number in sorted(set().union(*groups))]

    def matches_linear(self, view: Fields) -> list[Rule]:
        """The same for the whole set by the definition of the query language: slow, the measure of the rest."""
        return [rule for rule in self.rules if naive.evaluate(rule.node, view, field_type)]
