"""Which files are to be read, and which of them need not be: those that were read before, and those that are too old.

A file is known by its path, its size and when it was changed, together with what is looked for: the same files are read
again for other rules or another span of time.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeAlias

from firstseen.backfill.gathering import Span
from firstseen.backfill.reading import DONE, Part, Task
from firstseen.detect.keys import encode_terms
from firstseen.errors import InputError
from firstseen.eventfolders import SUFFIXES, event_files
from firstseen.notation import Duration
from firstseen.record.view import Mode
from firstseen.rules.rule import NewTerms
from firstseen.rules.ruleset import RuleSet
from firstseen.store.base import RuleState

TASK_BYTES = 1 << 20
"""Bytes on disk from which on a task is large enough."""

TASK_FILES = 256

MARK_SIZE = 16
"""Bytes of a file's name in the state: 2^64 files before two are likely to share one."""

_DELIVERED = re.compile(r"_CloudTrail_[a-z0-9-]+_([0-9]{8}T[0-9]{4})Z_[A-Za-z0-9]+\.json(\.gz)?", re.ASCII)
_SLACK_MS = 3_600_000
"""How much later than its name says a log file may have been written: its time is cut to minutes, and clocks differ."""

_FOREVER = 1 << 62


Bound: TypeAlias = int | Duration | None
"""An end of a span of time: milliseconds since the epoch, or how long before now; None leaves it to the rules."""


class Bounds(NamedTuple):
    """The span of time that the user asks for, as it was asked for."""

    since: Bound = None
    until: Bound = None

    def is_empty(self, now_ms: int) -> bool:
        """Whether no moment lies in it."""
        since, until = _moment(self.since, now_ms), _moment(self.until, now_ms)
        return since is not None and until is not None and since >= until

    def spans(self, rules: RuleSet, now_ms: int) -> dict[str, Span]:
        """By the rules' ids, what is looked at for each: by default its history window, up to ``now_ms``.

        Of what was last seen before that, no alert of the rule depends on.
        """
        since, until = _moment(self.since, now_ms), _moment(self.until, now_ms)
        windows = {rule.id: rule.kind.window_ms for rule in rules.rules if isinstance(rule.kind, NewTerms)}
        return {
            rule_id: Span(now_ms - window_ms if since is None else since, _FOREVER if until is None else until)
            for rule_id, window_ms in windows.items()
        }


def _moment(bound: Bound, now_ms: int) -> int | None:
    return now_ms - bound.ms if isinstance(bound, Duration) else bound


def purpose(states: Iterable[RuleState], bounds: Bounds, mode: Mode = "auto") -> bytes:
    """What files are read for: the histories of which rules, from when to when, and how their events are read.

    How long ago is kept as that, not as the moment that it means now: the same command has the same purpose later.
    """
    keys = sorted(state.key for state in states)
    ends = (f"{bound.ms}ms ago" if isinstance(bound, Duration) else bound for bound in bounds)
    return b"".join(keys) + encode_terms((*ends, *(() if mode == "auto" else (mode,))))


class Plan(NamedTuple):
    """The parts of files that are to be read, and their sizes on disk in bytes; how many files need not be."""

    parts: Sequence[tuple[Part, int]]
    known: int
    older: int

    @property
    def stored(self) -> int:
        """Bytes on disk that are to be read, all in all."""
        return sum(size for _, size in self.parts)

    def tasks(self) -> Iterator[Task]:
        """The parts in tasks of a fraction of a second, large files apart: workers shall end at about one time."""
        task: list[Part] = []
        bytes_in_task = 0
        for part, size in self.parts:
            task.append(part)
            bytes_in_task += size
            if bytes_in_task >= TASK_BYTES or len(task) >= TASK_FILES:
                yield task
                task, bytes_in_task = [], 0
        if task:
            yield task


def plan(
    arguments: Sequence[str], wanted: bytes, spans: Mapping[str, Span], position_of: Callable[[bytes], int | None]
) -> Plan:
    """What is to be read of the files that ``arguments`` name, for the purpose ``wanted``.

    ``position_of`` tells how far a file was read, by its mark: None for not at all. A file that has several names is
    meant once. Raises `InputError` for a name that is none of a file, and where there is no file at all; what lies
    below a directory and cannot be read is a part, whose reader is told.
    """
    earliest = min((span.since for span in spans.values()), default=0)
    parts: list[tuple[Part, int]] = []
    known = older = 0
    marks: set[bytes] = set()
    for file in dict.fromkeys(event_files(arguments)):
        found = _identity(file, wanted)
        if found is None:
            parts.append((Part(file), 0))
            continue
        size, mark = found
        if mark in marks:
            continue
        marks.add(mark)
        position = position_of(mark)
        if position == DONE:
            known += 1
        elif _is_older(file, earliest):
            older += 1
        else:
            parts.append((Part(file, mark, position or 0), size))
    if not parts and not marks:
        endings = ", ".join(SUFFIXES)
        raise InputError(
            f"{', '.join(arguments)}: there is nothing to read: no file below has a name that ends "
            f"with {endings}, or with .gz behind that"
        )
    return Plan(parts, known, older)


def _identity(file: str, wanted: bytes) -> tuple[int, bytes] | None:
    """A file's size in bytes and its mark; None for what cannot be known again: a stream, or what cannot be read."""
    if file == "-":
        return None
    try:
        found = Path(file).stat()
    except OSError:  # whoever opens it is told
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    identity = encode_terms((str(Path(file).resolve()), found.st_size, found.st_mtime_ns))
    return found.st_size, sha256(wanted + identity).digest()[:MARK_SIZE]


def _is_older(file: str, earliest_ms: int) -> bool:
    """Whether all events in a file are older, by the name that CloudTrail gave it: when it was delivered."""
    name = _DELIVERED.search(Path(file).name)
    if name is None:
        return False
    try:
        delivered = datetime.strptime(name[1], "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:
        return False
    return delivered.timestamp() * 1000 + _SLACK_MS < earliest_ms
