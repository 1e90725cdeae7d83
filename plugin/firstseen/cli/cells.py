"""Text in the cells of a terminal: how many it takes, cut and filled up, and nothing in it that is a command.

What records say is written by whoever is watched: no character of it that cannot be seen reaches the terminal as such.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import click

from firstseen.notation import spelled

ELLIPSIS = "…"


class Span(NamedTuple):
    """A piece of a line, and how it looks: a colour's name, ``bold``, ``dim``, or both with a space between."""

    text: str
    style: str = ""


Line = Sequence[Span]


def width(text: str) -> int:
    """The cells that printable ``text`` takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, cells: int) -> str:
    """``text`` as it can be printed, in at most so many cells: of a longer one the beginning."""
    text = spelled(text)
    if width(text) <= cells:
        return text
    taken, left = [], cells - 1
    for character in text:
        left -= _cells(character)
        if left < 0:
            break
        taken.append(character)
    return f"{''.join(taken)}{ELLIPSIS}" if cells > 0 else ""


def fill(text: str, cells: int) -> str:
    """The same in exactly so many cells, with spaces behind it."""
    shown = cut(text, cells)
    return shown + " " * (cells - width(shown))


def flush_right(text: str, cells: int) -> str:
    """The same, with spaces before it."""
    shown = cut(text, cells)
    return " " * (cells - width(shown)) + shown


def rendered(line: Line, cells: int, *, colour: bool) -> str:
    """The line, cut to so many cells, without spaces at its end; with ``colour``, as its styles say."""
    parts, left = [], cells
    for text, style in line:
        shown = cut(text, left)
        left -= width(shown)
        parts.append(_styled(shown, style) if colour and style else shown)
    made = "".join(parts)
    return made if colour else made.rstrip()


def _styled(text: str, style: str) -> str:
    words = style.split()
    colours = [word for word in words if word not in ("bold", "dim")]
    # None where it is not meant: click would turn it off explicitly, with one more command.
    return click.style(
        text, fg=colours[0] if colours else None, bold="bold" in words or None, dim="dim" in words or None
    )
