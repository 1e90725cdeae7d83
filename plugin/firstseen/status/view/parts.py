"""What the sections of the page are made of."""

from __future__ import annotations

from firstseen.status.view.markup import Child, Html, element


def section(name: str, heading: str, *content: Child) -> Html:
    """A part of the page that is renewed on its own."""
    title = element("h2", heading, id=f"{name}-heading")
    return element("section", title, *content, id=name, aria_labelledby=f"{name}-heading", data_part=True)


def folded(name: str, summary: str, *content: Child) -> Html:
    """What is there, and not shown at first."""
    return element("details", element("summary", summary, id=f"{name}-summary"), *content, id=name)


def badge(word: str, kind: str = "status") -> Html:
    """A word that is one of few."""
    return element("span", word, class_=f"badge {kind} {word}")
