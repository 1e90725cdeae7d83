"""The values of a file of rules or exceptions, one by one: what is wrong with one never hides what is with the next.

A *problem* is a fault of the file. A *reason* is something right that this version cannot do: such a rule does not run.
A *remark* is what somebody should know of a rule that runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from firstseen.errors import Problem
from firstseen.notation import Duration
from firstseen.record.fields import field_type
from firstseen.toml import Document, KeyPath, dotted, in_words

UNSUPPORTED = "not supported by this version"

_OBJECTS = ("object", "nested")
"""Types of fields that have fields below them, and no values."""


class RuleFile:
    """Collects ``problems``, ``reasons`` and ``remarks`` on its values; one with a problem reads as an empty one."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.reasons: list[str] = []
        self.remarks: list[str] = []

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

    def number(self, *path: str | int, most: int, least: int = 0, default: int | None = None) -> int:
        """The whole number from ``least`` to ``most`` at ``path``; it must be there unless there is a ``default``."""
        value = self.value(*path)
        if value is None:
            if default is None:
                self.fault("missing", *path)
            return default or 0
        if not isinstance(value, int) or isinstance(value, bool):
            self.fault(f"expected a whole number, got {in_words(value)}", *path)
        elif not least <= value <= most:
            self.fault(f"expected a whole number from {least} to {most}, got {value}", *path)
        else:
            return value
        return 0

    def flag(self, *path: str | int) -> bool:
        """The boolean at ``path``; false where there is none."""
        value = self.value(*path)
        if value is not None and not isinstance(value, bool):
            self.fault(f"expected true or false, got {in_words(value)}", *path)
        return value is True

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

    def names(self, path: KeyPath, *, least: int, most: int) -> tuple[str, ...]:
        """The names of fields in the list at ``path``, ``least`` to ``most`` different ones; none if it has a fault.

        What has no values in any event, an object or a pattern, is a reason not to run.
        """
        faults = len(self.problems)
        names = self.texts(*path)
        if len(self.problems) > faults:
            return ()
        if not least <= len(names) <= most:
            self.fault(f"expected {least} to {most} fields, got {len(names)}", *path)
        if not all(name.strip() for name in names):
            self.fault("a field must have a name", *path)
        if len(set(names)) < len(names):
            self.fault("a field is named twice", *path)
        for name in names:
            what = "a pattern" if "*" in name else "an object" if field_type(name) in _OBJECTS else ""
            if what:
                self.reasons.append(f"{dotted(path)}: {name} is {what}, and no field with values")
        return names

    def table(self, *path: str | int) -> bool:
        """Whether there is a table at ``path``, which must be one if it is anything."""
        value = self.value(*path)
        if value is not None and not isinstance(value, dict):
            self.fault(f"expected a table, got {in_words(value)}", *path)
        return isinstance(value, dict)

    def duration(self, *path: str | int, default: str) -> int:
        """The length of time at ``path``, such as ``5m``, in milliseconds; 0 if it has a fault."""
        faults = len(self.problems)
        text = self.text(*path, default=default)
        if len(self.problems) > faults:
            return 0
        if _LENGTH.fullmatch(text) is None:
            self.fault(f'expected a length of time such as "5m", got "{text}"', *path)
            return 0
        return Duration(text.lower()).ms

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


_LENGTH = re.compile(r"0*[1-9][0-9]{0,11}[smhHdw]")
_AGO = re.compile(r"now-([0-9]{1,12})([smhHdw])")
_CALENDAR = re.compile(r"now-[0-9]+[My](/[smhHdwMy])?")
_ROUNDED = re.compile(r"now-[0-9]+[smhHdw]/[smhHdwMy]")
