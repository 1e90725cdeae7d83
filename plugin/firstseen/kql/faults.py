"""The words for what is wrong with a query: what was found, what was expected, and how to write it instead.

The parser knows where it had to stop; why it had to is guessed here from the text around that place. Nothing here
decides whether a query is valid.
"""

from __future__ import annotations

import re

from firstseen.errors import KqlError
from firstseen.kql.lexer import BLANKS

_SIGNS = r"""\\():<>"*{}"""
_KEYWORD = re.compile(rf"(and|or|not)(?=[{BLANKS}{_SIGNS}]|\Z)", re.IGNORECASE)
_KEYWORD_BEFORE = re.compile(rf"(?:\A|[{BLANKS}{_SIGNS}])(and|or|not)\Z", re.IGNORECASE)
_SHOWN = re.compile(rf"[^{BLANKS}{_SIGNS}]{{1,20}}|.", re.DOTALL)

_CLOSING = {"(": ")", "{": "}"}


def nested_too_deeply(text: str, offset: int, limit: int) -> KqlError:
    """Say that the bracket at ``offset`` opens one level more than ``limit``."""
    return KqlError(f"nested too deeply: at most {limit} levels of brackets are allowed", text, offset)


def no_condition(text: str, offset: int) -> KqlError:
    """Say that neither a condition nor a value in a list starts at ``offset``."""
    if _keyword_at(text, offset) == "not":
        return KqlError('"not" cannot follow "not": write not (not ...)', text, offset)
    return KqlError(f"expected a field or a value, found {_found(text, offset)}", text, offset)


def no_value(text: str, offset: int, sign: str) -> KqlError:
    """Say that no value starts at ``offset``, behind ``sign``, which is a colon or a range operator."""
    if _keyword_at(text, offset) == "not":
        what = 'expected a value, found "not": write not field: value, or field: (not value)'
    elif sign == ":" and text[offset : offset + 1] in ("<", ">"):
        what = 'a range is written without a colon, as in "field > value"'
    else:
        what = f'expected a value after "{sign}", found {_found(text, offset)}'
    return KqlError(what, text, offset)


def left_over(text: str, offset: int, *, opened: int | None, after_bare_word: bool) -> KqlError:
    """Say why the query cannot go on at ``offset``, where only a keyword or a closing bracket could follow.

    ``opened`` is where the innermost open bracket stands; ``after_bare_word`` tells that a word without a field, which
    may have been meant as a field, is what ended before ``offset``.
    """
    if offset == len(text) and opened is not None:
        return KqlError(f'this "{text[opened]}" is never closed', text, opened)
    if keyword := _keyword_at(text, offset):
        return _misplaced_keyword(text, offset, keyword)
    if (sign := text[offset]) in '({"' and (before := _KEYWORD_BEFORE.search(text[max(0, offset - 4) : offset])):
        return _no_blank(text, offset - len(before[1]), before[1])
    if sign in ":<>":
        what = f'found "{sign}" inside a value: quote the value, or put "and" or "or" before the next condition'
    elif sign in ")}" and opened is None:
        what = f'this "{sign}" closes nothing'
    elif after_bare_word:
        what = f'expected ":" or an operator after the field, found {_found(text, offset)}'
    else:
        end = "the end of the query" if opened is None else f'"{_CLOSING[text[opened]]}"'
        what = f'expected "and", "or" or {end}, found {_found(text, offset)}'
    return KqlError(what, text, offset)


def _misplaced_keyword(text: str, offset: int, keyword: str) -> KqlError:
    if keyword == "not":
        what = 'found "not" inside a value: quote the value, or put "and" or "or" before "not"'
        return KqlError(what, text, offset)
    if not text[offset + len(keyword) :].strip(BLANKS):
        return KqlError(f'expected a condition after "{keyword}"', text, len(text))
    return _no_blank(text, offset, keyword)


def _no_blank(text: str, offset: int, keyword: str) -> KqlError:
    where = "after it" if keyword.lower() == "not" else "on both sides"
    return KqlError(f'"{keyword}" needs a blank {where}', text, offset)


def _keyword_at(text: str, offset: int) -> str | None:
    found = _KEYWORD.match(text, offset)
    return None if found is None else found[0].lower()


def _found(text: str, offset: int) -> str:
    found = _SHOWN.match(text, offset)
    if found is None:
        return "the end of the query"
    return "a quote" if found[0] == '"' else f'"{found[0]}"'
