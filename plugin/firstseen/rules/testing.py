"""Tests of rules, as they lie beside them: ``NAME.test.toml`` holds those of the rule in ``NAME.toml``.

    [events.call]                       # an event by name, as its source writes it
    record = {eventName = "…", …}       # or json = "{…}", or file = "call.json"

    [[test]]
    name = "the same call eleven days later is news again"
    [[test.event]]
    use = "call"
    alerts = 1                          # how many; left out for none
    [[test.event]]
    use = "call"
    after = "11d"                       # since the event before; or at = 2026-09-21T08:00:00Z
    set = {"userIdentity.arn" = "…"}    # and unset = ["errorCode"]
    alerts = [{values = ["…"], severity = "high"}]      # or what each of them says, in part

An event that is used twice is another one each time: it gets an id of its own, unless ``same = true`` says that it is
the very event that came before. One may come often: ``repeat = 30, every = "1s"``. Here files are read;
`firstseen.trials` runs them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from firstseen import toml
from firstseen.errors import RuleError
from firstseen.notation import Duration
from firstseen.rules.rulefile import RuleFile
from firstseen.toml import KeyPath, TomlError, in_words

SUFFIX = ".test.toml"

Record = dict[str, Any]

MOST_REPEATS = 100_000

_TEST_KEYS = frozenset(("name", "event"))
_FILE_KEYS = frozenset(("rule", "events", "test"))
_SOURCES = ("record", "json", "file", "use")
_STEP_KEYS = frozenset((*_SOURCES, "set", "unset", "at", "after", "repeat", "every", "same", "alerts"))


class Expected(Struct, frozen=True):
    """What an event should come to: so many alerts, and in ``said`` a part of what each of them says, if it matters."""

    count: int
    said: Sequence[Mapping[str, Any]]


class Step(Struct, frozen=True):
    """Records that come one after the other, ``repeat`` times, ``every_ms`` apart; and what they come to in all.

    ``at_ms`` is when the first one comes, ``after_ms`` how long after the step before; with neither it keeps its own
    time. With ``same`` each has the id that it had when it came before in the test; one that did not keeps its own.
    ``line`` is where it stands in the file.
    """

    records: Sequence[Record]
    at_ms: int | None
    after_ms: int | None
    repeat: int
    every_ms: int
    same: bool
    expected: Expected
    line: int | None


class RuleTest(Struct, frozen=True):
    """One test: on a state of its own, these steps."""

    name: str
    line: int | None
    steps: Sequence[Step]


class TestFile(Struct, frozen=True):
    """The tests in ``path``, of the rule in the file ``rule``."""

    __test__ = False

    path: Path
    rule: Path
    tests: Sequence[RuleTest]


def is_test_file(name: str) -> bool:
    """Whether a file of this name holds tests and no rule."""
    return name.endswith(SUFFIX)


def load_tests(path: Path) -> TestFile:
    """The tests in ``path``. Raises `RuleError` with every problem in it."""
    try:
        document = toml.load(path)
    except TomlError as error:
        raise RuleError([error.problem]) from error
    reader = _Reader(RuleFile(document), path.parent)
    named = reader.file.text("rule", default=path.name.removesuffix(SUFFIX) + ".toml")
    tests = list(reader.tests())
    if reader.file.problems:
        raise RuleError(sorted(reader.file.problems, key=lambda problem: problem.line or 0))
    return TestFile(path, path.parent / named, tests)


class _Reader:
    """Reads one file; what is wrong is noted, and what is read of it then means nothing."""

    def __init__(self, file: RuleFile, folder: Path) -> None:
        self.file = file
        self.folder = folder

    def tests(self) -> Iterator[RuleTest]:
        self._known((), _FILE_KEYS)
        named = self._named_events()
        tests = self.file.tables("test")
        if not tests:
            self.file.fault("no [[test]] in this file", "test")
        for path in tests:
            self._known(path, _TEST_KEYS)
            steps: list[Step] = []
            for each in self.file.tables(*path, "event"):
                step = self._step(each, named)
                if step.same and step.repeat == 1 and steps and not _came(step.records, steps):
                    self.file.fault("no event of this test that says just this came before", *each, "same")
                steps.append(step)
            if not steps:
                self.file.fault("a test needs an [[test.event]]", *path)
            yield RuleTest(self.file.text(*path, "name"), self._line(path), steps)

    def _named_events(self) -> Mapping[str, Sequence[Record]]:
        table = self.file.value("events")
        if table is None:
            return {}
        if not isinstance(table, dict):
            self.file.fault(f"expected a table of events, got {in_words(table)}", "events")
            return {}
        found: dict[str, Sequence[Record]] = {}
        for name in table:
            path = ("events", name)
            self._known(path, frozenset((*_SOURCES, "set", "unset")))
            found[name] = self._records(path, found)
        return found

    def _step(self, path: KeyPath, named: Mapping[str, Sequence[Record]]) -> Step:
        self._known(path, _STEP_KEYS)
        repeat = self._whole((*path, "repeat"), 1, MOST_REPEATS)
        every = self._duration((*path, "every"))
        after = self._duration((*path, "after"))
        at_ms = self._moment((*path, "at"))
        if at_ms is not None and after is not None:
            self.file.fault("at or after, not both", *path)
        return Step(
            records=self._records(path, named),
            at_ms=at_ms,
            after_ms=None if after is None else after.ms,
            repeat=max(repeat, 1),
            every_ms=0 if every is None else every.ms,
            same=self._flag((*path, "same")),
            expected=self._expected((*path, "alerts")),
            line=self._line(path),
        )

    def _records(self, path: KeyPath, named: Mapping[str, Sequence[Record]]) -> Sequence[Record]:
        given = [key for key in _SOURCES if self.file.value(*path, key) is not None]
        if len(given) != 1:
            self.file.fault(f"needs exactly one of {', '.join(_SOURCES)}", *path)
            return ()
        key = given[0]
        at = (*path, key)
        match key, self.file.value(*at):
            case "use", str(name) if name in named:
                records: Sequence[Record] = copy.deepcopy(named[name])
            case "use", str(name):
                self.file.fault(f"there is no event {name!r} in [events] above", *at)
                return ()
            case "record", dict(record):
                records = [_plain(record)]
            case "json", str(text):
                records = self._parsed(text, at)
            case "file", str(name):
                records = self._read(self.folder / name, at)
            case _, value:
                self.file.fault(f"expected {'a table' if key == 'record' else 'a string'}, got {in_words(value)}", *at)
                return ()
        for record in records:
            self._edit(record, path)
        return records

    def _edit(self, record: Record, path: KeyPath) -> None:
        changes = self.file.value(*path, "set")
        if isinstance(changes, dict):
            for dotted, value in changes.items():
                put(record, dotted, _plain(value))
        elif changes is not None:
            self.file.fault(f"expected a table, got {in_words(changes)}", *path, "set")
        for dotted in self.file.texts(*path, "unset"):
            if not take(record, dotted):
                self.file.fault(f"the event has no {dotted}", *path, "unset")

    def _read(self, file: Path, at: KeyPath) -> Sequence[Record]:
        try:
            return self._parsed(file.read_text("utf-8"), at)
        except (OSError, UnicodeDecodeError) as error:
            self.file.fault(f"{file} cannot be read: {error}", *at)
            return ()

    def _parsed(self, text: str, at: KeyPath) -> Sequence[Record]:
        """A JSON object, an array of them, a CloudTrail log file, or an object on each line."""
        try:
            value = json.loads(text)
        except ValueError:
            lines = [line for line in text.split("\n") if line.strip()]  # JSON may hold all other ends of lines
            try:
                value = [json.loads(line) for line in lines]
            except ValueError as error:
                self.file.fault(f"no JSON: {error}", *at)
                return ()
        if isinstance(value, dict) and isinstance(value.get("Records"), list):
            value = value["Records"]
        records = value if isinstance(value, list) else [value]
        if not all(isinstance(record, dict) for record in records):
            self.file.fault("expected JSON objects", *at)
            return ()
        return records

    def _expected(self, at: KeyPath) -> Expected:
        value = self.file.value(*at)
        if value is None:
            return Expected(0, ())
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return Expected(value, ())
        if isinstance(value, list) and all(isinstance(each, dict | list) for each in value):
            said = [{"values": each} if isinstance(each, list) else each for each in value]
            return Expected(len(said), [_plain(each) for each in said])
        self.file.fault(f"expected a number, or a list with what each alert says, got {in_words(value)}", *at)
        return Expected(0, ())

    def _known(self, path: KeyPath, keys: frozenset[str]) -> None:
        table = self.file.value(*path) if path else self.file.document.data
        for key in table if isinstance(table, dict) else ():
            if key not in keys:
                self.file.fault(f"unknown; known are {', '.join(sorted(keys))}", *path, key)

    def _line(self, path: KeyPath) -> int | None:
        return self.file.document.line_of(*path)

    def _flag(self, at: KeyPath) -> bool:
        value = self.file.value(*at)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.file.fault(f"expected true or false, got {in_words(value)}", *at)
        return False

    def _whole(self, at: KeyPath, default: int, most: int) -> int:
        return default if self.file.value(*at) is None else self.file.number(*at, most=most)

    def _duration(self, at: KeyPath) -> Duration | None:
        if self.file.value(*at) is None:
            return None
        try:
            return Duration(self.file.text(*at))
        except ValueError as error:
            self.file.fault(str(error), *at)
            return None

    def _moment(self, at: KeyPath) -> int | None:
        value = self.file.value(*at)
        if value is None:
            return None
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return round(aware.timestamp() * 1000)
        self.file.fault(f"expected a date and time, such as 2026-09-21T08:00:00Z, got {in_words(value)}", *at)
        return None


def _came(records: Sequence[Record], before: Sequence[Step]) -> bool:
    return all(any(record in step.records for step in before) for record in records)


def put(record: Record, dotted: str, value: object) -> None:
    """Set what ``dotted`` leads to, where it is spelt so or nested; made, nested, where it is not there."""
    table, key = _owner(record, dotted)
    *parents, last = [key] if key in table else key.split(".")
    for parent in parents:
        below = table.get(parent)
        table[parent] = table = below if isinstance(below, dict) else {}
    table[last] = value


def take(record: Record, dotted: str) -> bool:
    """Remove what ``dotted`` leads to; whether it was there."""
    table, key = _owner(record, dotted)
    return table.pop(key, table) is not table


def _owner(record: Record, dotted: str) -> tuple[Record, str]:
    """The innermost table that ``dotted`` leads into, and the rest of the name, which may hold dots."""
    table, rest = record, dotted
    while rest not in table:
        keys = rest.split(".")
        heads = (".".join(keys[:count]) for count in range(1, len(keys)))
        head = next((head for head in heads if isinstance(table.get(head), dict)), None)
        if head is None:
            break
        table, rest = table[head], rest[len(head) + 1 :]
    return table, rest


def _plain(value: Any) -> Any:
    """``value`` as JSON would have it: TOML knows dates, and JSON has them as text."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value if isinstance(value, str | int | float | bool) else str(value)
