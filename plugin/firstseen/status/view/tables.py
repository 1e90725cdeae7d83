"""Tables of the page, which become lists of cards where it is narrow: each cell says what it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from firstseen.status.view.markup import Child, Html, element


class Column(NamedTuple):
    """A column: its head, and whether it has numbers."""

    head: str
    numeric: bool = False


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Child]], kind: str = "") -> Html:
    """A table whose first cell in each row is what the row is about."""
    head = element("tr", *(element("th", column.head, scope="col", class_=_class(column)) for column in columns))
    body = [
        element("tr", *(_cell(number, column, cell) for number, (column, cell) in _numbered(columns, row)))
        for row in rows
    ]
    return element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", head),
        element("tbody", *body),
        class_=kind or None,
    )


def _numbered(columns: Sequence[Column], row: Sequence[Child]) -> Iterable[tuple[int, tuple[Column, Child]]]:
    return enumerate(zip(columns, row, strict=True))


def _cell(number: int, column: Column, cell: Child) -> Html:
    if not number:
        return element("th", cell, scope="row")
    return element("td", cell, data_label=column.head, class_=_class(column))


def _class(column: Column) -> str | None:
    return "number" if column.numeric else None
