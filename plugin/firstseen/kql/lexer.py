r"""Words and signs of a query, read one at a time from wherever the parser stands.

The language cannot be cut into tokens ahead of the parser: blanks belong to an unquoted word until a keyword or a sign
ends it, ``or`` is a word where a condition is due and a keyword after one, and ``not`` followed by a blank ends a word
even in the middle (``cannot be``). So the parser asks for what may come next, and the lexer moves on if it is there.

A blank is one of space, tab, carriage return, newline and U+00A0. An unquoted word consists of escapes, stars and all
characters but ``\ ( ) : < > " * { }``, up to the first keyword: ``or`` or ``and`` between blanks, or ``not`` before a
blank. In the expressions below no two alternatives start with the same character and runs are possessive, so nothing is
read twice.
"""

from __future__ import annotations

import re
from typing import TypeVar

from msgspec import Struct

from firstseen.errors import KqlError

_Sign = TypeVar("_Sign", bound=str)

BLANKS = " \t\r\n\u00a0"
"""The characters that separate words."""

_SIGNS = "(){}:<>"
"""What signs start with. One look at a character is cheaper than asking each expression whether it fits."""

_BLANK = f"[{BLANKS}]"
_SKIPPED = re.compile(f"{_BLANK}*+")
_NOT = re.compile(f"not{_BLANK}++", re.IGNORECASE)
_CHAINS = {word: re.compile(f"{_BLANK}++{word}{_BLANK}++", re.IGNORECASE) for word in ("and", "or")}

_PLAIN = re.compile(
    rf"""(?: [^nN\\():<>"*{{}}{BLANKS}]++
           | (?!not{_BLANK}) n
           | {_BLANK}++ (?!(?:or|and){_BLANK})
         )+""",
    re.IGNORECASE | re.VERBOSE,
)
_STAR = re.compile(r"\*")
_ESCAPE = re.compile(r"""\\(?:([trn])|([\\():<>"*{}])|u([0-9a-fA-F]{4})|((?i:or|and|not)))""")

_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*)"', re.DOTALL)
_QUOTED_ESCAPE = re.compile(r'\\(?:([trn])|([\\"])|u([0-9a-fA-F]{4}))')

_CONTROL = {"t": "\t", "r": "\r", "n": "\n"}
_SURROGATE = re.compile(r"[\ud800-\udfff]")

# What ECMAScript's trim() takes off, which is what Kibana trims with; Python's strip() takes other characters.
_TRIMMED = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


class Word(Struct, frozen=True):
    """A field or a value as written, escapes resolved: ``pieces`` are the texts between its unescaped stars.

    A word without a star has one piece. Unquoted words are trimmed, quoted ones are not and have no stars.
    ``span`` is the word's place in the query, quotes included and blanks after it not.
    """

    pieces: tuple[str, ...]
    quoted: bool
    span: tuple[int, int]


class Lexer:
    """A position in ``text``; each method that finds what it is asked for moves the position behind it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def at_end(self) -> bool:
        """Whether all of the text has been read."""
        return self.position == len(self.text)

    def skip_blanks(self) -> None:
        """Move to the next character that is no blank."""
        if self.text[self.position : self.position + 1] in BLANKS:
            self._accept(_SKIPPED)

    def sign(self, *signs: _Sign) -> _Sign | None:
        """Read the first of ``signs`` that stands here, after any blanks; where none does, the blanks stay unread."""
        before = self.position
        self.skip_blanks()
        if self.text[self.position : self.position + 1] in _SIGNS:
            for sign in signs:
                if self.text.startswith(sign, self.position):
                    self.position += len(sign)
                    return sign
        self.position = before
        return None

    def chain(self, keyword: str) -> bool:
        """Read ``and`` or ``or`` with the blanks it needs on both sides."""
        return self.text[self.position : self.position + 1] in BLANKS and self._accept(_CHAINS[keyword])

    def negation(self) -> bool:
        """Read ``not`` and the blanks it needs after it."""
        return self.text[self.position : self.position + 1] in "nN" and self._accept(_NOT)

    def word(self) -> Word | None:
        """Read a quoted or unquoted word; ``KqlError`` for a quote that is not closed and for an unknown escape."""
        start = self.position
        if self.text.startswith('"', start):
            return self._quoted()
        pieces = self._pieces()
        if self.position == start:
            return None
        # Blanks are given back: what follows may ask for them, and they are no part of the word.
        self.position = start + len(self.text[start : self.position].rstrip(BLANKS))
        return Word(_trim(pieces), False, (start, self.position))

    def _quoted(self) -> Word:
        found = _QUOTED.match(self.text, self.position)
        if found is None:
            raise KqlError("this quote is never closed", self.text, self.position)
        self.position = found.end()
        return Word((_joined(_QUOTED_ESCAPE.sub(_unescape, found[1])),), True, found.span())

    def _pieces(self) -> list[str]:
        pieces: list[str] = []
        parts: list[str] = []
        while not self.at_end():
            if found := _PLAIN.match(self.text, self.position):
                parts.append(found[0])
            elif found := _ESCAPE.match(self.text, self.position):
                parts.append(_unescape(found))
            elif found := _STAR.match(self.text, self.position):
                pieces.append(_joined("".join(parts)))
                parts.clear()
            else:
                self._check_escape()
                break
            self.position = found.end()
        return [*pieces, _joined("".join(parts))]

    def _check_escape(self) -> None:
        if self.text.startswith("\\", self.position):
            escape = self.text[self.position : self.position + 2]
            raise KqlError(f'unknown escape "{escape}": a backslash is written "\\\\"', self.text, self.position)

    def _accept(self, expression: re.Pattern[str]) -> bool:
        found = expression.match(self.text, self.position)
        if found is None:
            return False
        self.position = found.end()
        return True


def _unescape(found: re.Match[str]) -> str:
    control, itself, code, *keyword = found.groups()
    if control is not None:
        return _CONTROL[control]
    if code is not None:
        return chr(int(code, 16))
    return itself or keyword[0]


def _joined(text: str) -> str:
    """``text`` with each pair of surrogates as the one character it stands for, as in a language of UTF-16 strings."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _trim(pieces: list[str]) -> tuple[str, ...]:
    first, *rest = pieces
    if not rest:
        return (first.strip(_TRIMMED),)
    *middle, last = rest
    return (first.lstrip(_TRIMMED), *middle, last.rstrip(_TRIMMED))
