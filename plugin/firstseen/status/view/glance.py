"""The first section of the page: what matters, at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firstseen.status.report import State, Status
from firstseen.status.view.chart import area, bar
from firstseen.status.view.markup import Html, element
from firstseen.status.view.words import NOTHING, length, moment, number, percent, rate, several, size

NEARLY_FULL = 0.8
"""Of the state or the memory, from where on a bar warns."""


def overview(told: Status) -> Html:
    """What matters, at a glance."""
    return element(
        "section",
        element("h2", "At a glance", class_="unseen", id="glance-heading"),
        element("div", *_tiles(told), class_="tiles"),
        id="glance",
        aria_labelledby="glance-heading",
        data_part=True,
    )


def _tiles(told: Status) -> Iterator[Html]:
    minutes = _per_minute(told.records_over_time.values)
    most = f"at most {rate(max(minutes, default=0.0))}" if any(minutes) else "none"
    yield _tile(
        "Records per second",
        rate(told.records.per_second),
        f"{number(told.records.received)} since the start",
        area(f"Records per second in the last hour: {most} in a minute.", minutes),
    )
    alerts = sum(told.alerts_over_time.values)
    others = sum(told.others_over_time.values)
    yield _tile(
        "Alerts in 24 hours",
        number(alerts),
        f"and {number(others)} that are not for people"
        if others
        else "all of them for people"
        if alerts
        else "none so far",
    )
    yield _tile("Learning", *_learning(told))
    yield _tile("State", *_state_tile(told.state))
    yield _tile(
        "On its way",
        number(told.records.in_flight),
        f"records; the oldest for {length(told.output.lag_seconds)}" if told.output.lag_seconds else "records",
        bar("Memory of what is on its way, of what it may take.", told.input.in_flight_bytes / told.input.bound_bytes),
    )


def _tile(name: str, value: str, rest: str, picture: Html | None = None) -> Html:
    return element(
        "div",
        element("h3", name),
        element("p", value, class_="value"),
        element("p", rest, class_="rest"),
        picture,
        class_="tile",
    )


def _per_minute(values: Sequence[int]) -> list[float]:
    """Records per second in each whole minute, from steps of ten seconds, the last of which is not over."""
    over = values[:-1]
    over = over[len(over) % 6 :]
    return [sum(over[at : at + 6]) / 60 for at in range(0, len(over), 6)]


def _learning(told: Status) -> tuple[str, str, Html | None]:
    learning = [rule for rule in told.rules.running if rule.learning_until is not None]
    running = len(told.rules.running)
    if not learning:
        return "none", f"{several(running, 'rule')} run{'s' if running == 1 else ''}, and none of them learns", None
    last = max(learning, key=lambda rule: rule.learning_seconds_left)
    share = min(rule.learning_share for rule in learning)
    left = f"{length(last.learning_seconds_left)} left, until {moment(told.rules.learning_until)}"
    rest = f"of {several(running, 'rule')}; {left}"
    return number(len(learning)), rest, bar(f"{percent(share)} of learning is over.", share, "learning")


def _state_tile(state: State | None) -> tuple[str, str, Html | None]:
    if state is None:
        return NOTHING, "not looked at yet", None
    if state.used_ratio is None or state.bound_bytes is None:
        return number(state.keys), f"terms in {size(state.used_bytes)}", None
    kind = "full" if state.used_ratio >= NEARLY_FULL else ""
    rest = f"{several(state.keys, 'term')} in {size(state.used_bytes)} of {size(state.bound_bytes)}"
    return (
        percent(state.used_ratio),
        rest,
        bar(f"{percent(state.used_ratio)} of the state is used.", state.used_ratio, kind),
    )
