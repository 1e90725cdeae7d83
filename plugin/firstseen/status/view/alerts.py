"""The section of alerts: over time, and the latest of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firstseen.status.report import Alert, Status
from firstseen.status.view.chart import bars, legend
from firstseen.status.view.markup import Child, Html, element, joined
from firstseen.status.view.parts import badge, folded, section
from firstseen.status.view.tables import Column, table
from firstseen.status.view.words import NOTHING, length, moment, number, several

MOST_ROWS = 15
"""Alerts that are listed openly; where there are more, they fold away."""


def alerts(told: Status) -> Html:
    """Alerts over time, and the latest of them."""
    return section(
        "alerts",
        "Alerts",
        _over_time(told),
        element("h3", "Latest"),
        *(_latest(told.latest_alerts) if told.latest_alerts else [_no_alerts(told)]),
        _others(told.latest_others) if told.latest_others else None,
    )


def _over_time(told: Status) -> Html:
    opened, others = told.alerts_over_time.values, told.others_over_time.values
    step_s = told.alerts_over_time.step_seconds
    steps = list(zip(opened, others, strict=True))
    before = max(len(steps) - int(told.uptime_seconds // step_s) - 1, 0)
    titles = [
        f"{_when(len(steps) - number_, step_s)}: {several(one, 'alert')}, {number(other)} not for people"
        for number_, (one, other) in enumerate(steps)
    ]
    said = f"Alerts in the last 24 hours: {number(sum(opened))} for people, {number(sum(others))} others."
    most = max(one + other for one, other in steps)
    height = element("span", number(most) if most else None, class_="most")
    hours = [element("span", words) for words in ("24 h ago", "18", "12", "6", "now")]
    meanings = [("main", "for people"), ("other", "learning, in shadow, or too many")]
    if before:
        meanings.append(("before", "before the start"))
    return element(
        "figure",
        element("div", height, bars(said, opened, others, before, titles), class_="plot"),
        element("div", *hours, class_="axis", aria_hidden="true"),
        element("figcaption", legend(*meanings)),
    )


def _latest(listed: Sequence[Alert]) -> Iterator[Html]:
    yield _alert_table("The latest alerts, newest first", listed[:MOST_ROWS])
    rest = listed[MOST_ROWS:]
    if rest:
        yield folded("earlier", f"{number(len(rest))} more", _alert_table("Alerts before these", rest))


def _others(listed: Sequence[Alert]) -> Html:
    what = several(len(listed), "latest one that is", "latest ones that are")
    shown = _alert_table("The latest alerts that are not for people, newest first", listed)
    return folded("others", f"{what} not for people", shown)


def _when(steps: int, step_s: int) -> str:
    return f"{length(steps * step_s)} to {length((steps - 1) * step_s) if steps > 1 else '0'} ago"


def _no_alerts(told: Status) -> Html:
    """Why the table is empty, and whether that is good."""
    rules, records = told.rules, several(told.records.received, "record")
    if not rules.running:
        why = "No rule runs, so nothing can alert."
    elif not told.records.received:
        why = "No record came yet."
    elif rules.learning == len(rules.running):
        until = moment(rules.learning_until)
        why = f"Every rule still learns, until {until}: what is new is remembered, and raises nothing yet."
    elif told.matches.total:
        why = f"{several(told.matches.total, 'match', 'matches')} in {records}, and nothing new for people among them."
    else:
        why = f"No rule matched any of {records}."
    return element("p", why, class_="empty")


def _alert_table(caption: str, listed: Sequence[Alert]) -> Html:
    columns = [Column("Time"), Column("Severity"), Column("Rule"), Column("Terms")]
    return table(caption, columns, (_alert(alert) for alert in listed), "alerts")


def _alert(alert: Alert) -> Sequence[Child]:
    name, reason = alert.rule, alert.reason
    status = None if alert.status == "open" else badge(alert.status)
    return [
        element("time", moment(alert.time), datetime=alert.time, title=f"came {moment(alert.came)}"),
        joined(badge(alert.severity, "severity"), status),
        joined(element("strong", name), element("span", reason.removeprefix(f"{name}: "), class_="reason")),
        element(
            "ul", *(element("li", element("code", term.value or NOTHING), title=term.field) for term in alert.terms)
        ),
    ]
