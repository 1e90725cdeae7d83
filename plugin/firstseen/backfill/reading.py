"""Some files through the engine: one task, told of in reports that can each be made durable by itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from firstseen.backfill.blocks import read_blocks
from firstseen.backfill.gathering import UNDATED, Gatherer, Span
from firstseen.detect.keys import digest_of
from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.errors import InputError
from firstseen.eventfiles import Texts, decode_object, name_of, one_line, opened
from firstseen.metrics import Counts
from firstseen.notation import spelled
from firstseen.record.enrichment import UNENRICHED, Enrichment
from firstseen.record.view import Mode
from firstseen.rules.actions import Group, Hit
from firstseen.rules.alike import Asked
from firstseen.rules.ruleset import RuleSet
from firstseen.seen import UNSEEN, Earlier
from firstseen.store.base import Entry, RuleState

DONE = -1
"""The position of a file that was read to its end."""

REPORT_BYTES = 64 << 20
"""Bytes of content after which a report is made, if the task is not over before."""

REPORT_TERMS = 5_000
"""Terms after which one is made."""

SCANNED = 4_096
"""Events that are scanned at a time: what is found in them is held in memory."""

_SHOWN = 200
"""Bytes of an event that tell which one is meant."""


class Part(NamedTuple):
    """What is to be read of a file: what lies behind ``start``. ``mark`` is its name in the state, if it has one."""

    file: str
    mark: bytes | None = None
    start: int = 0


Task = Sequence[Part]


class Totals(Struct):
    """How much was read, and what it came to.

    ``stored`` are bytes as they lie on disk, ``content`` is what they hold, in bytes. Of the ``matches``, some tell
    nothing: ``undated`` events, and those ``outside`` of the time that is asked for. ``dropped`` are terms of events
    that have too many of them, ``failed`` events on which a rule failed.
    """

    files: int = 0
    stored: int = 0
    content: int = 0
    events: int = 0
    candidates: int = 0
    matches: int = 0
    undated: int = 0
    outside: int = 0
    dropped: int = 0
    failed: int = 0

    def add(self, more: Totals) -> None:
        """Add ``more`` to these."""
        for name in Totals.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(more, name))


class Report(Struct):
    """What was found since the report before, and with it how far each file was read: a position, or `DONE`.

    ``unreadable`` says which files are broken, and where.
    """

    found: Mapping[bytes, Entry] = field(default_factory=dict)
    marks: dict[bytes, int] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    unreadable: list[str] = field(default_factory=list)


class Reader:
    """Takes events through ``rules``, each of which looks for first sightings within its span of time.

    Events are read as ``mode`` says.
    """

    def __init__(
        self, rules: RuleSet, spans: Mapping[str, Span], enrichment: Enrichment = UNENRICHED, mode: Mode = "auto"
    ) -> None:
        self._gatherer = Gatherer(spans)
        self._counts = Counts()
        self._rules = rules
        self._mode = mode
        self._engine = Engine(rules, self._gatherer, self._counts, lambda: 0, enrichment)
        self._report = Report()
        self._earlier: Earlier = {}
        self._name = ""  # of what is read

    @property
    def rules(self) -> Sequence[RuleState]:
        """The histories that are filled."""
        return self._gatherer.registered

    def read(self, task: Task) -> Iterator[Report]:
        """Read the files of the task, one after the other; at the end of all is always a report."""
        for part in task:
            try:
                yield from self._read(part)
                self._mark(part, DONE)
            except InputError as error:
                self._report.unreadable.append(str(error))
            self._report.totals.files += 1
        yield self._reported()

    def _read(self, part: Part) -> Iterator[Report]:
        with opened(part.file) as (content, stored):
            place, at = 0, part.start
            self._name = name_of(part.file)
            for block in read_blocks(content, self._name, part.start):
                self.look_at(block.events)
                totals = self._report.totals
                totals.content += block.stop - at
                at = block.stop
                if part.mark:
                    totals.stored += stored.tell() - place
                    place = stored.tell()
                self._mark(part, at)
                if totals.content >= REPORT_BYTES or len(self._gatherer) >= REPORT_TERMS:
                    yield self._reported()

    def _mark(self, part: Part, position: int) -> None:
        if part.mark is not None:
            self._report.marks[part.mark] = position

    def look_at(self, events: Texts) -> None:
        """Let the engine see those that some rule may match."""
        self._report.totals.events += len(events)
        scanner = self._rules.scanner
        if scanner.always:
            for event in events:
                self._inspect(event, None)
            return
        for first in range(0, len(events), SCANNED):
            last = min(first + SCANNED, len(events)) - 1
            hits = scanner.hits(events.text, events.starts[first], events.stops[last])
            for number, groups in _by_event(events, hits, first):
                self._ask(events.text, events.starts[number], events.stops[number], groups)

    def _ask(self, text: bytes, start: int, stop: int, groups: Iterable[Group]) -> None:
        """Let the engine see the event that lies there if a rule of these groups may match."""
        asked = self._rules.some(groups)
        if asked is not None:
            asked = asked.within(text, start, stop)
            if not asked.rules:
                return
        self._inspect(text[start:stop], asked)

    def _inspect(self, event: bytes, asked: Asked | None) -> None:
        self._report.totals.candidates += 1
        glanced = UNSEEN
        if asked is not None and self._mode != "ecs":
            glanced = self._engine.recall.glance(event, asked, None, self._earlier, json=True)
            if not glanced.rules:
                return
        try:
            record = decode_object(event)
        except ValueError as error:
            # The events before it may be gathered already, so the file is read on: else they would be read twice.
            begins = spelled(event[:_SHOWN].decode(errors="backslashreplace"))
            self._report.unreadable.append(f"{self._name}: an event is passed over: {error}; it begins with {begins}")
            return
        moment = Moment(arrival=None, entry=UNDATED)
        self._engine.inspect(record, moment, _digest(event), self._mode, glanced, self._earlier)

    def _reported(self) -> Report:
        """What there is to report; from here on anew."""
        report, gatherer, counts = self._report, self._gatherer, self._counts
        report.found = gatherer.take()
        self._earlier.clear()
        totals = report.totals
        totals.matches, totals.undated, totals.outside = counts.matches, gatherer.undated, gatherer.outside
        totals.dropped, totals.failed = counts.terms_dropped, counts.rule_errors
        counts.matches = counts.terms_dropped = counts.rule_errors = gatherer.undated = gatherer.outside = 0
        self._report = Report()
        return report


def _by_event(events: Texts, hits: Sequence[Hit], first: int) -> Iterator[tuple[int, set[Group]]]:
    """The events that have hits, from the one of number ``first``, and the groups that these name; ``hits`` ascend."""
    starts, stops = events.starts, events.stops
    number, stop = first, -1
    groups: set[Group] = set()
    for at, group in hits:
        if at >= stop:
            if groups:
                yield number, groups
                groups = set()
            number = bisect_right(starts, at, number) - 1
            stop = stops[number]
        if at < stop:  # else it is of no event, but lies between two
            groups.add(group)
    if groups:
        yield number, groups


def _digest(event: bytes) -> Callable[[], str]:
    """What identifies an event without an id, as `firstseen replay` has it."""
    return lambda: digest_of(one_line(event))
