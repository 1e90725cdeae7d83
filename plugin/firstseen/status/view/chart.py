"""Small pictures of numbers, drawn here: they say in words what they show, and their colours are the style sheet's."""

from __future__ import annotations

from collections.abc import Sequence

from firstseen.status.view.markup import Html, element

WIDTH, HEIGHT = 480, 100
"""Of a picture, in units of its own: it is as wide and high as there is room."""


def _picture(label: str, kind: str, *shapes: Html) -> Html:
    return element(
        "svg",
        *shapes,
        class_=kind,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def bars(label: str, lower: Sequence[int], upper: Sequence[int], before: int, titles: Sequence[str]) -> Html:
    """A bar for each step, of two parts on top of each other; the first ``before`` steps were before the start."""
    most = max((one + other for one, other in zip(lower, upper, strict=True)), default=0) or 1
    step = WIDTH / len(lower)
    shapes = []
    if before:
        shapes.append(element("rect", class_="before", x=0, y=HEIGHT - 6, width=_short(before * step), height=6))
    for number, (one, other, title) in enumerate(zip(lower, upper, titles, strict=True)):
        if not one + other:
            continue
        below, above = _height(one, most), _height(other, most)
        place = {"x": _short(number * step + step * 0.12), "width": _short(step * 0.76)}
        parts = [element("title", title)]
        if other:
            parts.append(
                element("rect", class_="other", y=_short(HEIGHT - below - above), height=_short(above), **place)
            )
        if one:
            parts.append(element("rect", class_="main", y=_short(HEIGHT - below), height=_short(below), **place))
        shapes.append(element("g", *parts))
    return _picture(label, "bars", *shapes)


def _height(value: int, most: int) -> float:
    """Nothing that happened is too little to be seen."""
    return max(value / most * HEIGHT, 3.0) if value else 0.0


def area(label: str, values: Sequence[float]) -> Html:
    """A line over time, and what lies under it."""
    most = max(values, default=0.0) or 1.0
    step = WIDTH / max(len(values) - 1, 1)
    points = [
        f"{_short(number * step)},{_short(HEIGHT - value / most * (HEIGHT - 4) - 1)}"
        for number, value in enumerate(values)
    ]
    line = "M" + " L".join(points)
    return _picture(
        label,
        "area",
        element("path", class_="under", d=f"{line} L{WIDTH},{HEIGHT} L0,{HEIGHT} Z"),
        element("path", class_="line", d=line, fill="none", vector_effect="non-scaling-stroke"),
    )


def bar(label: str, share: float, kind: str = "") -> Html:
    """How much of something is full, or behind us: 0 to 1."""
    full = _short(min(max(share, 0.0), 1.0) * WIDTH)
    return _picture(
        label,
        f"bar {kind}".strip(),
        element("rect", class_="all", width=WIDTH, height=HEIGHT),
        element("rect", class_="full", width=full, height=HEIGHT),
    )


def legend(*entries: tuple[str, str]) -> Html:
    """What the colours of bars mean."""
    return element("p", *(element("span", _key(kind), words) for kind, words in entries), class_="legend")


def _key(kind: str) -> Html:
    return element("span", class_=f"key {kind}", aria_hidden="true")


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
