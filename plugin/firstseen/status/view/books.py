"""The section of what is kept: the state, and whether the sums add up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from firstseen.status.report import State, Status
from firstseen.status.view.markup import Child, Html, element, joined
from firstseen.status.view.parts import badge, section
from firstseen.status.view.tables import Column, table
from firstseen.status.view.words import moment, number, size


def books(told: Status) -> Html:
    """What is remembered, and whether the sums add up."""
    return section("books", "State and sums", element("div", _state(told.state), _sums(told), class_="halves"))


def _state(state: State | None) -> Html:
    if state is None:
        return element("div", element("h3", "State"), element("p", "It was not looked at yet.", class_="empty"))
    bound = "no bound" if state.bound_bytes is None else size(state.bound_bytes)
    return element(
        "div",
        element("h3", "State"),
        _facts(
            ("Terms remembered", number(state.keys)),
            ("Used", f"{size(state.used_bytes)} of {bound}"),
            ("File", size(state.file_bytes)),
            ("Remembers since", moment(state.since)),
            ("Forgotten, being over", number(state.forgotten)),
        ),
    )


def _facts(*facts: tuple[str, str]) -> Html:
    return element("dl", *(joined(element("dt", name), element("dd", value)) for name, value in facts))


def _sums(told: Status) -> Html:
    columns = [Column("Sum"), Column("In", numeric=True), Column("What came of it"), Column("Adds up")]
    rows: Iterator[Sequence[Child]] = (
        [name, number(total), _added(parts), badge("yes" if holds else "no", "holds")]
        for name, total, holds, parts in _books(told)
    )
    return element("div", element("h3", "Sums"), table("Whether the sums add up", columns, rows))


def _books(told: Status) -> Iterator[tuple[str, int, bool, Mapping[str, int]]]:
    records, chunks, matches = told.records, told.chunks, told.matches
    came_out = {"delivered": records.delivered, "rejected": records.rejected, "on their way": records.in_flight}
    yield "Records", records.received, told.sums.records, came_out
    became = {"delivered": chunks.delivered, "rejected": chunks.rejected, "quarantined": chunks.quarantined}
    rest = {"repeated": chunks.repeated, "on their way": chunks.in_flight}
    yield "Chunks", chunks.received, told.sums.chunks, became | rest
    others = matches.learning + matches.shadow + matches.degraded
    meant = {"for people": matches.open, "not for people": others, "known": matches.suppressed}
    yield "Matches", matches.total, told.sums.matches, meant


def _added(parts: Mapping[str, int]) -> str:
    return " + ".join(f"{number(count)} {name}" for name, count in parts.items())
