"""One chunk: needles, spans, matches, claims, labels, and the frames that go on downstream.

A chunk in which no needle lies is not decoded, and copied only where it leaves in another shape. Of the others only the
entries around a needle are decoded, and only the labelled ones are written anew, between the untouched bytes around
them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from firstseen.candidates import Candidate, Candidates, span_of
from firstseen.detect.keys import digest_of
from firstseen.detect.label import is_for_people
from firstseen.detect.matches import Moment
from firstseen.engine import Engine
from firstseen.errors import ProtocolError, RecordError, StoreError
from firstseen.forward.compression import algorithm
from firstseen.forward.content import Content, reading
from firstseen.forward.messages import Chunk, Mode
from firstseen.forward.outgoing import Frame
from firstseen.forward.shapes import Edit, Shaper
from firstseen.forward.times import LAST_SECOND
from firstseen.logs import complain
from firstseen.metrics import Counts
from firstseen.packing import Buffer
from firstseen.record.eventtime import read_time_ms
from firstseen.record.glance import Glance
from firstseen.record.spans import Span, decode_record, entry_time_ms
from firstseen.record.splice import labelled_entry
from firstseen.record.view import Mode as ViewMode
from firstseen.seen import SETTLED, UNSEEN, Earlier, Glanced
from firstseen.steps import Steps, WaitingSteps, finished
from firstseen.store.base import Claim, NotReservedError, Reservation, SharedStore

log = logging.getLogger(__name__)

MAX_LABELS = 16 << 20
"""Bytes of entries with labels that are made for one chunk: an entry of some dozen bytes may get kilobytes of them."""

AT_ONCE = 32
"""Candidates in one step where a glance settles them; one that has to be decoded is a step by itself."""

_PAIR = b"\x92"
_EVENT_TIME = b"\xd7\x00"
"""How nearly all senders begin an entry, and its time."""

MOST_RESERVATIONS = 8
"""How often a chunk is begun again because what it claims is not what it has reserved, until it is refused."""


class Outcome(Struct, frozen=True):
    """What becomes of a chunk: the frames to deliver, the claims to confirm after that, and its number of records.

    ``held`` is how many bytes the frames take beside the chunk's own. A chunk without frames is delivered as it is.
    ``first_ms`` is the time of the first entry, None where that is not known.
    """

    frames: Sequence[Frame]
    claims: Sequence[Claim]
    records: int
    held: int
    first_ms: int | None = None


class Pipeline:
    """Takes chunks through ``engine``; one thread only.

    ``key`` is where labels go in a record, ``mode_of`` says how the records under a tag are read, None for not at all.
    Where the engine's state is ``shared``, what a chunk will claim is reserved there first.
    ``on_labels`` is told of the labels of each record that gets some, and when the record came.
    """

    def __init__(
        self,
        engine: Engine,
        shaper: Shaper,
        counts: Counts,
        *,
        key: str,
        max_decompressed: int,
        mode_of: Callable[[str], ViewMode | None],
        shared: SharedStore | None = None,
        on_labels: Callable[[Sequence[Mapping[str, Any]], int], None] | None = None,
    ) -> None:
        self._engine = engine
        self._shaper = shaper
        self._counts = counts
        self._key = key
        self._max_decompressed = max_decompressed
        self._mode_of = mode_of
        self._shared = shared
        self._on_labels = on_labels
        self._candidates = Candidates()

    def process(self, chunk: Chunk, now_ms: int) -> Outcome:
        """What to deliver for ``chunk``, which arrived at ``now_ms``.

        Raises `ProtocolError` for a chunk that cannot be read, `StoreError` where the state cannot; nothing is claimed
        then. The caller must confirm the claims once every frame is delivered, or release them.
        """
        return finished(self.steps(chunk, now_ms))

    def steps(self, chunk: Chunk, now_ms: int) -> WaitingSteps[Outcome]:
        """The same in steps: a chunk of the size of a log file, or one that means harm, may take seconds."""
        mode = self._mode_of(chunk.tag)
        if chunk.options.signal or (mode is None and self._may_pass_unread(chunk)):
            return Outcome((self._shaper.as_it_came(chunk),), (), chunk.count, 0)
        content = yield from reading(chunk, self._max_decompressed)
        if self._shared is None or mode is None:
            return (yield from self._looking(content, mode, now_ms))
        for _ in range(MOST_RESERVATIONS):
            reservation = self._shared.reservation()
            try:
                yield from self._reserving(reservation, content, mode, now_ms)
                return (yield from self._looking(content, mode, now_ms))
            except NotReservedError:  # the rules changed meanwhile, or what made a term known was given up
                continue
            finally:
                reservation.end()
        raise StoreError(f"what a chunk claims has changed {MOST_RESERVATIONS} times while it was reserved")

    def _reserving(self, reservation: Reservation, content: Content, mode: ViewMode, now_ms: int) -> WaitingSteps[None]:
        """Ask for what the chunk will claim, and wait for it.

        The chunk is read twice for that: all of what it is read into may not fit in memory.
        """
        for candidate in self._among(content, mode):
            if candidate is None:
                yield None
                continue
            asked, seen = candidate.asked, _seen(content, candidate, mode)
            glanced = None if asked is None or seen is None else self._engine.recall.wanted(seen, asked, now_ms)
            if glanced is not None:
                for wanted in glanced:
                    reservation.add(wanted)
                continue
            data, span = content.entries.data, span_of(content, candidate)
            rules = None if asked is None else asked.rules
            with contextlib.suppress(RecordError):  # told of when it is looked at
                record = decode_record(data, span)
                digest = _digest(data, span)
                moment = _moment(data, span, now_ms)
                for wanted in self._engine.wanted(record, moment, digest, mode, rules, bounded=True):
                    reservation.add(wanted)
            yield None
        ready = reservation.ask()
        yield ready
        ready.result()

    def _looking(self, content: Content, mode: ViewMode | None, now_ms: int) -> Steps[Outcome]:
        """Show the rules all that may concern them, and label it."""
        edits: list[Edit] = []
        claims: list[Claim] = []
        earlier: Earlier = {}
        labelled = passed = 0
        try:
            for candidate in self._among(content, mode) if mode is not None else ():
                if candidate is None:
                    yield
                    continue
                self._counts.candidates += 1
                if labelled > MAX_LABELS:
                    passed += 1
                    yield
                    continue
                glanced = self._glance(content, candidate, mode or "auto", now_ms, claims, earlier)
                if not glanced.rules and glanced is not UNSEEN:
                    continue
                edit = self._inspect(content, candidate, glanced, mode or "auto", now_ms, claims, earlier)
                if edit is not None:
                    edits.append(edit)
                    labelled += len(edit.entry)
                yield
            frames = yield from self._shaper.shaping(content, edits)
        except (StoreError, ProtocolError):
            self._engine.release(claims)
            raise
        if passed:
            self._counts.records_unseen += passed
            reason = f"{passed} records behind {MAX_LABELS} bytes of records with labels in one chunk are not looked at"
            complain(log, logging.WARNING, "records_unseen", (content.chunk.tag,), tag=content.chunk.tag, reason=reason)
        held = sum(len(edit.entry) for edit in edits)
        if edits or not content.travels:  # else it leaves as it came, and what was inflated is not needed any more
            held += content.held
        return Outcome(frames, claims, content.records, held, _first_ms(content))

    def _may_pass_unread(self, chunk: Chunk) -> bool:
        """Compressed entries have to be read in any case: peers lose parts of some, and acknowledge the whole."""
        if not self._shaper.fits(chunk) or chunk.body == chunk.body_stop:
            return False
        if chunk.mode is not Mode.PACKED:
            return True
        return algorithm(chunk.options.compressed, memoryview(chunk.data)[chunk.body : chunk.body_stop]) is None

    def _glance(
        self,
        content: Content,
        candidate: Candidate,
        mode: ViewMode,
        now_ms: int,
        claims: list[Claim],
        earlier: Earlier,
    ) -> Glanced:
        """What of a record a glance settles; its claims are added to ``claims``, or to those ``earlier``."""
        asked = candidate.asked
        if asked is None:
            return UNSEEN
        seen = _seen(content, candidate, mode)
        if seen is None:
            return Glanced(asked.rules, ())
        glanced = self._engine.recall.settle(seen, asked, now_ms, earlier)
        if glanced is not SETTLED:
            claims.extend(glanced.claims)
        return glanced

    def _among(self, content: Content, mode: ViewMode) -> Iterator[Candidate | None]:
        """See `Candidates`; None where others may be served.

        Were the rules loaded anew meanwhile, what was sought is no guide any more.
        """
        engine = self._engine
        rules = engine.rules
        for number, candidate in enumerate(self._candidates.of(content, rules, glancing=mode != "ecs"), 1):
            if candidate is None or engine.rules is rules:
                yield candidate
            else:
                yield candidate._replace(asked=None, seen=None)
            if number % AT_ONCE == 0:
                yield None

    def _inspect(
        self,
        content: Content,
        candidate: Candidate,
        glanced: Glanced,
        mode: ViewMode,
        now_ms: int,
        claims: list[Claim],
        earlier: Earlier,
    ) -> Edit | None:
        """One record, decoded and shown to the rules; its claims are added likewise."""
        data, span = content.entries.data, span_of(content, candidate)
        try:
            record = decode_record(data, span)
            moment = _moment(data, span, now_ms)
            inspection = self._engine.inspect(record, moment, _digest(data, span), mode, glanced, earlier, bounded=True)
        except RecordError as error:
            self._counts.records_unseen += 1
            complain(
                log, logging.WARNING, "record_unseen", (content.chunk.tag,), tag=content.chunk.tag, reason=str(error)
            )
            return None
        claims.extend(inspection.claims)
        if not inspection.labels:
            return None
        if self._on_labels is not None:
            self._on_labels(inspection.labels, now_ms)
        entry = labelled_entry(data, span, record, self._key, inspection.labels)
        return Edit(span.start, span.stop, entry, apart=any(map(is_for_people, inspection.labels)))


def _seen(content: Content, candidate: Candidate, mode: ViewMode) -> Glance | None:
    """What the glances of the rules that are asked show of it; None where they do not show all."""
    glances = None if candidate.asked is None else candidate.asked.glances
    if candidate.seen is not None or glances is None or mode == "ecs":
        return candidate.seen
    span = span_of(content, candidate)
    return glances.at(memoryview(content.entries.data)[span.record : span.stop])


def _moment(data: Buffer, span: Span, now_ms: int) -> Moment:
    entry_ms = entry_time_ms(data, span)
    return Moment(arrival=now_ms, entry=now_ms if entry_ms is None else entry_ms)


def _first_ms(content: Content) -> int | None:
    """The time of the first entry; None where it does not lie where most senders put it, or marks a group.

    It is only shown: a chunk may be one record, for which walking to its time would be much.
    """
    entries = content.entries
    data, at = entries.data, entries.start
    if content.chunk.mode is not Mode.MESSAGE:
        if data[at : at + 1] != _PAIR or at == entries.stop:
            return None
        at += 1
    if data[at : at + 1] == _PAIR:  # the time comes with metadata
        at += 1
    if data[at : at + 2] != _EVENT_TIME:
        return read_time_ms(data, at, entries.stop)
    seconds = int.from_bytes(data[at + 2 : at + 6])
    return seconds * 1_000 + int.from_bytes(data[at + 6 : at + 10]) // 1_000_000 if seconds <= LAST_SECOND else None


def _digest(data: Buffer, span: Span) -> Callable[[], str]:
    """Gives the identity of an event without an id: a digest of its entry's bytes, taken only if it is asked for."""
    return lambda: digest_of(memoryview(data)[span.start : span.stop])
