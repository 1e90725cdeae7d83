"""Every exception firstseen raises on purpose, in one tree.

    FirstseenError
    ├── ProtocolError     a peer broke the Forward protocol: its connection closes, everything else goes on
    ├── RecordError       a record would take too much to be looked at: it passes unseen, and that is counted
    ├── KqlError          a query cannot be parsed or cannot be run; knows the place inside the query
    ├── ConfigError       the operator's configuration cannot be used; holds every problem found
    ├── RuleError         one rule cannot be used; holds every problem found in it
    ├── StoreError        the state cannot be read or written: nothing may be acknowledged
    ├── QuarantineFullError  a chunk that cannot be read cannot be kept either: it is refused
    └── InputError        an event file cannot be read

Anything else that escapes is a bug of ours and ends the process: the sender still has the chunk.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One thing that is wrong, and where: printed as ``file:line: what``."""

    file: str
    line: int | None
    what: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.what}"


class FirstseenError(Exception):
    """Base of every deliberate error."""


class ProtocolError(FirstseenError):
    """The peer sent bytes that are no Forward protocol, or more of them than is allowed.

    The connection cannot be resynchronised (there is no frame delimiter) and must be closed without an ack.
    ``tag`` is the tag of the broken frame where it was already readable.
    """

    def __init__(self, reason: str, *, tag: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tag = tag

    def __str__(self) -> str:
        return self.reason if self.tag is None else f"{self.reason} (tag {self.tag!r})"


class RecordError(FirstseenError):
    """A record that would take too much memory or time to be looked at; says what there is too much of."""


class KqlError(FirstseenError):
    """A KQL query that cannot be parsed or compiled.

    ``offset`` is a character index into ``query`` (``len(query)`` when the text ended too soon).
    ``line`` and ``column`` count from 1.
    """

    def __init__(self, what: str, query: str, offset: int) -> None:
        super().__init__(what)
        self.what = what
        self.query = query
        self.offset = offset
        before = query[:offset]
        self.line = before.count("\n") + 1
        self.column = offset - (before.rfind("\n") + 1) + 1

    def __str__(self) -> str:
        text = self.query.split("\n")[self.line - 1]
        return f"{self.what} at column {self.column}\n  {text}\n  {' ' * (self.column - 1)}^"


class _ProblemsError(FirstseenError):
    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ConfigError(_ProblemsError):
    """The configuration cannot be used; ``problems`` lists everything that is wrong with it."""


class RuleError(_ProblemsError):
    """A rule file cannot be used; ``problems`` lists everything that is wrong with it."""


class StoreError(FirstseenError):
    """The state on disk cannot be opened, read or written; says what to do next."""


class QuarantineFullError(FirstseenError):
    """There is no room for another chunk in the quarantine: it is refused, and somebody has to look."""


class InputError(FirstseenError):
    """An event file cannot be read or holds something that is no event; says file and place."""
