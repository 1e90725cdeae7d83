"""TOML files with the places of their keys: what a parser forgets, and every message about a file needs.

``tomli`` says what a file holds; the scan here says where. The scan relies on the text being valid TOML, which the
parser has made sure of, so that it only has to tell keys, strings, brackets and comments apart. What stands inside an
array or an inline table has no place of its own: it is found at the key that holds it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import tomli

from firstseen import plainfile
from firstseen.errors import FirstseenError, Problem

KeyPath = tuple[str | int, ...]
"""Keys from the top of a document down; an integer counts the tables of an array of tables, from 0."""


class TomlError(FirstseenError):
    """A file that cannot be read or is no TOML; ``problem`` says which, where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Position(NamedTuple):
    """A place in a file; both count from 1."""

    line: int
    column: int


class Document:
    """A TOML file: ``data`` is what it holds, ``raw`` its bytes, ``file`` the name it goes by in messages."""

    __slots__ = ("_places", "_text", "data", "file", "raw")

    def __init__(self, file: str, raw: bytes, text: str, data: dict[str, object]) -> None:
        self.file = file
        self.raw = raw
        self.data = data
        self._text = text
        self._places: dict[KeyPath, _Place] | None = None

    def line_of(self, *path: str | int) -> int | None:
        """The line on which the key or table at ``path`` is written, else that of the nearest one around it."""
        places = self.places
        for length in range(len(path), 0, -1):
            place = places.get(path[:length])
            if place is not None:
                return self._position(place.key).line
        return None

    def position_in(self, offset: int, *path: str | int) -> Position | None:
        """Where in the file the character ``offset`` of the string at ``path`` stands; None where no string does."""
        place = self.places.get(path)
        if place is None or _STRING.match(self._text, place.value) is None:
            return None
        return self._position(_source_offset(self._text, place.value, offset))

    def problem(self, what: str, *path: str | int) -> Problem:
        """A problem of this file at ``path``."""
        return Problem(self.file, self.line_of(*path), what)

    def _position(self, offset: int) -> Position:
        start = self._text.rfind("\n", 0, offset) + 1
        return Position(self._text.count("\n", 0, start) + 1, offset - start + 1)

    @property
    def places(self) -> Mapping[KeyPath, _Place]:
        """Where every key and table is written."""
        if self._places is None:
            self._places = _Scan(self._text).places()
        return self._places


def load(path: Path) -> Document:
    """Read a file; raises `TomlError`."""
    return parse(read(path), str(path))


def read(path: Path) -> bytes:
    """What is in the file, unread; raises `TomlError`, also for what is no plain file or larger than 16 MiB."""
    try:
        return plainfile.read(path)
    except FileNotFoundError as error:
        raise TomlError(Problem(str(path), None, "no such file")) from error
    except OSError as error:
        raise TomlError(Problem(str(path), None, f"cannot be read: {error.strerror}")) from error


def parse(raw: bytes, file: str) -> Document:
    """The document in ``raw``, called ``file`` in messages; raises `TomlError`."""
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        return Document(file, raw, text, tomli.loads(text))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1  # without a byte order mark
        raise TomlError(Problem(file, line, "not UTF-8, as TOML has to be")) from error
    except tomli.TOMLDecodeError as error:
        told = _clash(error) or _uncapitalised(error.msg)
        raise TomlError(Problem(file, error.lineno, f"{told} (column {error.colno})")) from error
    except RecursionError as error:
        raise TomlError(Problem(file, None, "arrays or inline tables are nested too deeply")) from error


def _clash(error: tomli.TOMLDecodeError) -> str | None:
    """What is written a second time, and where it stands first; None where the parser means something else."""
    if not error.msg.startswith(("Cannot declare", "Cannot overwrite", "Cannot mutate", "Cannot redefine")):
        return None
    text, close = error.doc, _CLOSE.match(error.doc, error.pos)
    scan = _Scan(text[: close.end() if close else error.pos])  # all of it is valid, but for its last statement's sense
    scan.places()
    path, is_header = scan.last, text.startswith("[", scan.start)
    before = Document("", b"", text[: scan.start], {})
    around = 0 if is_header else len(scan.table)
    known = next((path[:length] for length in range(len(path), around, -1) if path[:length] in before.places), None)
    if known is None:  # it is within one value
        return None
    line = before.line_of(*known)
    if known == path and not is_header:
        return f"{dotted(known)} is set at line {line} already"
    first = before.places[known].key
    name = f"[{dotted(known)}]" if text.startswith("[", first) else dotted(known)
    return f"{name} stands at line {line} already: what is to be set here belongs there"


def in_words(value: object) -> str:
    """What kind of value this is, for messages: "a string", "a table"."""
    match value:
        case bool():
            return "a boolean"
        case str():
            return "a string" if value else "an empty string"
        case int():
            return "an integer"
        case float():
            return "a number with a fraction"
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
        case datetime.date() | datetime.time():
            return "a date or time"
        case _:
            raise AssertionError(f"TOML has no {type(value).__name__}")


def dotted(path: KeyPath) -> str:
    """``path`` as it is read aloud: ``rule.threat[0].tactic``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


class _Place(NamedTuple):
    """Offsets into the text: where a key or header starts, and where its value does."""

    key: int
    value: int


_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*("(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_EQUALS = re.compile(r"=[ \t]*")
_CLOSE = re.compile(r"\]\]?")
_STRING = re.compile(
    r"""
      \"\"\" (?: \\. | [^\\] )*? \"{3,5}   # up to two quotes may stand before the closing three
    | ''' .*? '{3,5}
    | " (?: \\. | [^"\\] )* "
    | ' [^']* '
    """,
    re.DOTALL | re.VERBOSE,
)
_REST = re.compile(r"""#[^\n]*|[\[{]|[\]}]|[^"'#\[\]{}\n]+|\n""")


class _Scan:
    """Walks over valid TOML once, and notes where each key and each table is written.

    Of the last statement, ``start`` is where it starts, ``last`` the path it is about, and ``table`` that of its table.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.start = 0
        self.last: KeyPath = ()
        self.table: KeyPath = ()
        self._found: dict[KeyPath, _Place] = {}
        self._array_lengths: dict[KeyPath, int] = {}

    def places(self) -> dict[KeyPath, _Place]:
        while self._more():
            self.start = self._at
            if self._text[self._at] == "[":
                self.last = self.table = self._header()
            else:
                self.last = self._pair()
        return self._found

    def _more(self) -> bool:
        self._take(_BLANK)
        return self._at < len(self._text)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise AssertionError(f"the parser took what the scan cannot read, at offset {self._at}")
        self._at = match.end()
        return match[0]

    def _header(self) -> KeyPath:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 2 if is_array else 1
        table = self._note((), self._keys(), start)
        self._take(_CLOSE)
        place = _Place(start, start)
        if is_array:
            number = self._array_lengths.get(table, 0)
            self._array_lengths[table] = number + 1
            self._found.setdefault(table, place)
            table = (*table, number)
        self._found[table] = place
        return table

    def _pair(self) -> KeyPath:
        start = self._at
        path = self._note(self.table, self._keys(), start)
        self._take(_EQUALS)
        self._found[path] = _Place(start, self._at)
        self._value()
        return path

    def _keys(self) -> list[str]:
        keys = [_unquoted(self._take(_KEY).strip(" \t"))]
        while self._text.startswith(".", self._at):
            self._at += 1
            keys.append(_unquoted(self._take(_KEY).strip(" \t")))
        return keys

    def _note(self, path: KeyPath, keys: list[str], start: int) -> KeyPath:
        """The path of ``keys`` below ``path``; tables on the way that are written nowhere else are written here."""
        for key in keys[:-1]:
            path = (*path, key)
            self._found.setdefault(path, _Place(start, start))
            if path in self._array_lengths:
                path = (*path, self._array_lengths[path] - 1)
        return (*path, keys[-1])

    def _value(self) -> None:
        """Step over a value: to the end of its line, or, inside brackets, of the line on which they close."""
        depth = 0
        while self._at < len(self._text):
            sign = self._take(_STRING if self._text[self._at] in "\"'" else _REST)
            if sign in ("[", "{"):
                depth += 1
            elif sign in ("]", "}"):
                depth -= 1
            elif sign == "\n" and depth == 0:
                return


_UNIT = re.compile(
    r"\\[ \t]*\n[ \t\n]*|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|\\.|.",
    re.DOTALL,
)
"""What one character of a basic string is written as; a backslash at the end of a line stands for none."""


def _source_offset(text: str, start: int, offset: int) -> int:
    """Where in ``text`` the character ``offset`` of the string that starts at ``start`` is written."""
    quote = text[start]
    at = start + (3 if text.startswith(quote * 3, start) else 1)
    if at > start + 1 and text.startswith("\n", at):
        at += 1
    if quote == "'":
        return at + offset
    for unit in _UNIT.finditer(text, at):
        if unit[0].startswith("\\") and "\n" in unit[0]:
            continue
        at = unit.start()
        if offset == 0:
            break
        offset -= 1
    return at


def _unquoted(key: str) -> str:
    if key.startswith('"'):
        value = tomli.loads(f"key = {key}")["key"]
        return value if isinstance(value, str) else key
    return key.strip("'")


def _uncapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]
