"""HTML that is safe by construction: whatever is no `Html` is text, and is escaped when it becomes part of some.

What a page shows comes from whoever is watched: a user agent or an ARN may be written as markup.
"""

from __future__ import annotations

VOID = frozenset({"link", "meta"})
"""Elements without an end."""


class Html:
    """Markup, as it goes into a page."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __add__(self, other: Html) -> Html:
        return Html(self.text + other.text)


Child = Html | str | int | None
"""What may be inside of an element; None is nothing."""


def element(tag: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """``<tag attributes>children</tag>``. ``class_`` is the attribute class, ``aria_label`` is aria-label.

    An attribute that is None or False is left out, one that is True has no value. ``tag`` and the names of attributes
    are the program's own.
    """
    opening = f"<{tag}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if tag in VOID:
        return Html(opening)
    return Html(f"{opening}{joined(*children).text}</{tag}>")


def joined(*children: Child) -> Html:
    """All of them, one behind the other."""
    return Html("".join(_inside(child) for child in children if child is not None))


def _inside(child: Html | str | int) -> str:
    return child.text if isinstance(child, Html) else _escaped(child)


def _attribute(key: str, value: str | float | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{_escaped(value)}"'


def _escaped(value: object) -> str:
    from html import escape  # which comes with the names of all entities: not before somebody looks at a page

    return escape(str(value))
