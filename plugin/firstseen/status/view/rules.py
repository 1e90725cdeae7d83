"""The section of rules: how each of them does, and which do not run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firstseen.status.report import Rule, Rules, Status
from firstseen.status.view.chart import bar
from firstseen.status.view.markup import Child, Html, element, joined
from firstseen.status.view.parts import badge, folded, section
from firstseen.status.view.tables import Column, table
from firstseen.status.view.words import clock, length, moment, number, percent, several

MOST_ROWS = 20
"""Rules without a match that are listed openly; where there are more, they fold away."""

MOST_LISTED = 100
"""Rules of one sort: a page is made in some milliseconds, in which no record moves."""


RULE_COLUMNS = (
    Column("Rule"),
    Column("Status"),
    Column("Matches", numeric=True),
    Column("Alerts", numeric=True),
    Column("Others", numeric=True),
    Column("Known", numeric=True),
)


def rules(told: Status) -> Html:
    """The rules and how they do: what has something to say first."""
    listed = sorted(told.rules.running, key=_rank)
    quiet = [rule for rule in listed if not rule.matches and rule.status == "open"]
    if len(quiet) <= MOST_ROWS:
        quiet = []
    silent = {rule.id for rule in quiet}
    shown = [rule for rule in listed if rule.id not in silent]
    return section(
        "rules",
        "Rules",
        _rules_said(told),
        *_some("Rules that run", shown),
        _quiet(quiet) if quiet else None,
        _idle(told.rules) if told.rules.not_running else None,
    )


def _some(caption: str, listed: Sequence[Rule]) -> Iterator[Html]:
    """As many as a page has room for."""
    if listed:
        yield table(caption, RULE_COLUMNS, map(_rule, listed[:MOST_LISTED]), "rules")
    if len(listed) > MOST_LISTED:
        yield element("p", f"and {number(len(listed) - MOST_LISTED)} more, which /status has", class_="note")


def _quiet(listed: Sequence[Rule]) -> Html:
    what = f"{several(len(listed), 'rule')} without a match since the start"
    return folded("quiet", what, *_some("Rules without a match", listed))


def _idle(rules: Rules) -> Html:
    count, listed = rules.not_runnable + rules.skipped, rules.not_running[:MOST_LISTED]
    what = several(count, "rule that does", "rules that do")
    rows: Iterator[Sequence[Child]] = (
        [joined(element("strong", rule.name or rule.id), badge(rule.status.replace("_", " "), "idle")), rule.reason]
        for rule in listed
    )
    more = f"and {number(count - len(listed))} more, which firstseen rules list has"
    return folded(
        "idle",
        f"{what} not run",
        table("Rules that do not run", [Column("Rule"), Column("Reason")], rows),
        element("p", more, class_="note") if count > len(listed) else None,
    )


def _rules_said(told: Status) -> Html:
    rules = told.rules
    if not rules.running:
        return element("p", "No rule runs. ", element("code", "firstseen rules list"), " says why.", class_="empty")
    said = [f"{several(len(rules.running), 'rule')}, loaded {moment(rules.loaded)}"]
    if rules.flagged:
        said.append(f"{number(rules.flagged)} at a cost that rules list names")
    if rules.errors:
        said.append(f"{several(rules.errors, 'event')} on which a rule failed")
    return element("p", f"{'; '.join(said)}.", class_="said")


def _rank(rule: Rule) -> tuple[bool, int, int, str]:
    return (not rule.breaker.tripped, -rule.open, -rule.matches, rule.name)


def _rule(rule: Rule) -> Sequence[Child]:
    return [
        joined(
            element("strong", rule.name),
            element("span", f"{rule.type}, {rule.severity}", class_="detail", title=rule.id),
        ),
        _standing(rule),
        number(rule.matches),
        number(rule.open),
        number(rule.learning + rule.shadow + rule.degraded),
        number(rule.suppressed),
    ]


def _standing(rule: Rule) -> Html:
    """How an alert of it would be meant now, and until when."""
    rest: list[Child] = []
    if rule.status == "learning":
        rest = [
            bar(f"{percent(rule.learning_share)} of learning is over.", rule.learning_share, "learning"),
            element(
                "span",
                f"{length(rule.learning_seconds_left)} left",
                class_="detail",
                title=f"until {moment(rule.learning_until)}",
            ),
        ]
    elif rule.status == "shadow":
        until = "until further notice" if rule.shadow_until == "ever" else f"until {moment(rule.shadow_until)}"
        rest = [element("span", until, class_="detail")]
    if rule.breaker.tripped:
        limit = f"more than {number(rule.breaker.max_signals)} in {length(rule.breaker.interval_seconds)}"
        rest.append(element("span", f"{limit}; over at {clock(rule.breaker.recovers)}", class_="detail"))
    return joined(badge(rule.status), *rest)
