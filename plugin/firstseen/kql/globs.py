"""Globs as Elasticsearch's ``wildcard`` query has them, and texts of which a fitting value holds every one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_PART = re.compile(r"\\(.)|([*?])|([^*?\\]+|\\\Z)", re.DOTALL)


@lru_cache(maxsize=1024)
def glob_expression(text: str, caseless: bool) -> re.Pattern[str]:
    """The regular expression that a whole value must match to fit the glob ``text``.

    What stands between two stars has a fixed length and is best found at the first place where it is, which is not
    taken back: so that no value takes long, however many stars there are.
    """
    segments = [""]
    for sign, plain in parts_of(text):
        if sign == "*":
            segments.append("")
        else:
            segments[-1] += "." if sign else re.escape(plain)
    first, *between = segments
    expression = first
    if between:
        *middle, last = between
        expression += "".join(f"(?>.*?{segment})" for segment in middle if segment) + f".*{last}"
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if caseless else 0))


def parts_of(text: str) -> Iterator[tuple[str, str]]:
    """The glob ``text`` in parts: ``("*", "")``, ``("?", "")``, or ``("", text)`` for what stands for itself."""
    for taken, sign, plain in (found.groups(default="") for found in _PART.finditer(text)):
        yield sign, taken or plain


def pieces_of(text: str) -> tuple[str, ...]:
    """What stands between the wildcards of the glob ``text``: texts that every value that fits holds."""
    pieces = [""]
    for sign, plain in parts_of(text):
        if sign:
            pieces.append("")
        else:
            pieces[-1] += plain
    return tuple(pieces)
