"""Wildcards of a query, which are texts between stars: fitting them, and parting them where there are blanks.

On a field that is no keyword, Kibana hands a wildcard to Elasticsearch's ``query_string``, for which a blank ends a
word, and any of the words is enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Pieces = tuple[str, ...]

LONE_STAR: Pieces = ("", "")

_BLANK = re.compile("[ \t\n\r\u3000]")


def wildcard(pieces: Pieces) -> Callable[[str], bool]:
    """Test for the pieces in order, the first and the last at the ends: linear where a regex could backtrack."""
    first, *between, last = pieces
    middle = [piece for piece in between if piece]
    if not middle and not last:
        return lambda text: text.startswith(first)

    def fits(text: str) -> bool:
        at, end = len(first), len(text) - len(last)
        if at > end or not (text.startswith(first) and text.endswith(last)):
            return False
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return fits


def parted(pieces: Pieces) -> list[Pieces]:
    """The words of a wildcard, each as its own pieces: one piece for a word without a star."""
    words: list[list[str]] = [[]]
    for piece in pieces:
        first, *others = _BLANK.split(piece)
        words[-1].append(first)
        words.extend([other] for other in others)
    return [tuple(word) for word in words if word != [""]]
