"""The values of one rule file, read one by one: what is wrong with one never hides what is wrong with the next.

A *problem* is a fault of the file. A *reason* is something right that this version cannot do: such a rule does not run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from firstseen.errors import Problem
from firstseen.notation import Duration
from firstseen.toml import Document, KeyPath, dotted, in_words

UNSUPPORTED = "not supported by this version"


class RuleFile:
    """Collects ``problems`` and ``reasons`` while its values are read; a value with a problem reads as an empty one."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.reasons: list[str] = []

    def fault(self, what: str, *path: str | int) -> None:
        """Note what is wrong at ``path``."""
        self.problems.append(self.document.problem(f"{dotted(path)}: {what}", *path))

    def fault_at(self, line: int | None, what: str) -> None:
        """Note what is wrong on ``line``, where that is not the line of a key."""
        self.problems.append(Problem(self.document.file, line, what))

    def value(self, *path: str | int) -> object:
        """What stands at ``path``; None where nothing does."""
        node: object = self.document.data
        for key in path:
            if isinstance(node, dict) and isinstance(key, str):
                node = node.get(key)
            elif isinstance(node, list) and isinstance(key, int) and key < len(node):
                node = node[key]
            else:
                return None
        return node

    def text(self, *path: str | int, default: str | None = None, may_be_empty: bool = False) -> str:
        """The string at ``path``; it must be there unless there is a ``default``."""
        value = self.value(*path)
        if value is None:
            if default is None:
                self.fault("missing", *path)
            return default or ""
        if not isinstance(value, str):
            self.fault(f"expected a string, got {in_words(value)}", *path)
            return ""
        if not value.strip() and not may_be_empty:
            self.fault("must not be empty", *path)
        return value

    def texts(self, *path: str | int) -> tuple[str, ...]:
        """The strings in the list at ``path``; no list is an empty one."""
        value = self.value(*path)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.fault(f"expected a list of strings, got {in_words(value)}", *path)
            return ()
        odd = [each for each in value if not isinstance(each, str)]
        if odd:
            self.fault(f"expected a list of strings, got a list with {in_words(odd[0])} in it", *path)
            return ()
        return tuple(value)

    def number(self, *path: str | int, most: int) -> int:
        """The whole number from 0 to ``most`` at ``path``, which must be there."""
        value = self.value(*path)
        if value is None:
            self.fault("missing", *path)
        elif not isinstance(value, int) or isinstance(value, bool):
            self.fault(f"expected a whole number, got {in_words(value)}", *path)
        elif not 0 <= value <= most:
            self.fault(f"expected a whole number from 0 to {most}, got {value}", *path)
        else:
            return value
        return 0

    def choice(self, choices: Sequence[str], *path: str | int) -> str:
        """The string at ``path``, which must be there and be one of ``choices``."""
        faults = len(self.problems)
        value = self.text(*path)
        if len(self.problems) == faults and value not in choices:
            self.fault(f'expected one of {", ".join(choices)}, got "{value}"', *path)
        return value

    def tables(self, *path: str | int) -> list[KeyPath]:
        """The paths of the tables in the list at ``path``; no list is an empty one."""
        value = self.value(*path)
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(f"expected a list of tables, got {in_words(value)}", *path)
            return []
        odd = [each for each in value if not isinstance(each, dict)]
        if odd:
            self.fault(f"expected a list of tables, got a list with {in_words(odd[0])} in it", *path)
            return []
        return [(*path, number) for number in range(len(value))]

    def ago(self, *path: str | int, default: str | None = None) -> Duration | None:
        """How long before now the date math at ``path`` is; None if that cannot be said, which is then noted.

        Of Elasticsearch's date math, ``now-10d`` and its like are understood: weeks, days, hours, minutes and seconds
        have a fixed length in UTC.
        """
        faults = len(self.problems)
        text = self.text(*path, default=default)
        if len(self.problems) > faults:
            return None
        match = _AGO.fullmatch(text)
        if match is not None and int(match[1]):
            return Duration(f"{match[1]}{match[2].lower()}")
        if match is not None:
            self.fault(f'must lie before now, got "{text}"', *path)
        elif _CALENDAR.fullmatch(text):
            self.reasons.append(f'{dotted(path)}: months and years, as in "{text}", are {UNSUPPORTED}')
        elif _ROUNDED.fullmatch(text):
            self.reasons.append(f'{dotted(path)}: rounding, as in "{text}", is {UNSUPPORTED}')
        else:
            self.fault(f'expected date math such as "now-10d", got "{text}"', *path)
        return None


_AGO = re.compile(r"now-([0-9]{1,12})([smhHdw])")
_CALENDAR = re.compile(r"now-[0-9]+[My](/[smhHdwMy])?")
_ROUNDED = re.compile(r"now-[0-9]+[smhHdw]/[smhHdwMy]")
