"""The words of a text field, nearly as Elasticsearch's standard analyser finds them.

A word is a run of letters, digits and underscores, in lower case. One of ``.`` ``'`` ``:`` between two letters, or one
of ``.`` ``'`` ``,`` ``;`` between two digits, does not end it. Approximate: the analyser goes by the rules of Unicode,
which know more marks and cut scripts without blanks into single signs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_LETTER = r"[^\W\d_]"
_WORD = re.compile(rf"\w+(?:(?:(?<={_LETTER})[.':](?={_LETTER})|(?<=\d)[.',;](?=\d))\w+)*")
_LONGEST = 255
_LONGEST_KEPT = 65_536


def words_of(text: str) -> tuple[str, ...]:
    """The words of ``text``, in order; those of more than 255 characters in pieces."""
    return _words_again(text) if len(text) <= _LONGEST_KEPT else _words(text)


def _words(text: str) -> tuple[str, ...]:
    found = _WORD.findall(text.lower())
    return tuple(word[at : at + _LONGEST] for word in found for at in range(0, len(word), _LONGEST))


_words_again = lru_cache(maxsize=16)(_words)  # many rules ask for the words of one text


def holds_phrase(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether ``phrase`` stands in ``words``, its words next to each other and in this order; an empty one does not."""
    length = len(phrase)
    return bool(phrase) and any(
        words[at : at + length] == phrase for at in range(len(words) - length + 1) if words[at] == phrase[0]
    )
