"""One chunk: needles, spans, matches, claims, labels, and the spliced bytes that go on downstream.

A chunk in which no needle lies is neither decoded nor copied. Of the others only the entries around a needle are
decoded, and only the labelled ones are written anew, between the untouched bytes around them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from firstseen.engine import Engine, Moment
from firstseen.errors import ProtocolError, RecordError, StoreError
from firstseen.forward.compression import gunzip, gzip
from firstseen.forward.entries import Entries, walk
from firstseen.forward.messages import Chunk, Mode
from firstseen.forward.outgoing import Body, Frame, RandomBytes, forward_frame, outgoing
from firstseen.logs import event
from firstseen.metrics import Counts
from firstseen.packing import Buffer
from firstseen.record.spans import Span, decode_record, entry_span, entry_time_ms, message_span
from firstseen.record.splice import labelled_entry
from firstseen.store.base import Claim

log = logging.getLogger(__name__)

MAX_COMPRESSED_PLAIN = 6_000_000
"""Plain bytes up to which a compressed chunk goes on compressed: a default Fluent Bit loses what inflates to more."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How what leaves is built: the labels' ``key`` and ``tag_prefix``, if downstream acks, how much may inflate."""

    key: str
    tag_prefix: str
    require_ack: bool
    max_decompressed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a chunk: the frames to deliver, the claims to confirm after that, and its number of records."""

    frames: Sequence[Frame]
    claims: Sequence[Claim]
    records: int


class Pipeline:
    """Takes chunks through ``engine``; one thread only."""

    def __init__(self, engine: Engine, shape: Shape, counts: Counts, random_bytes: RandomBytes) -> None:
        self._engine = engine
        self._shape = shape
        self._counts = counts
        self._random_bytes = random_bytes

    def process(self, chunk: Chunk, now_ms: int) -> Outcome:
        """What to deliver for ``chunk``, which arrived at ``now_ms``.

        Raises `ProtocolError` for a chunk that cannot be read, `StoreError` where the state cannot; nothing is claimed
        then. The caller must confirm the claims once every frame is delivered, or release them.
        """
        if chunk.options.signal:
            return Outcome((self._passed_on(chunk),), (), 0)
        entries, members = self._entries(chunk)
        edits, claims = self._inspect(chunk, entries, now_ms)
        if edits:
            frames = self._labelled(chunk, entries, edits)
        elif members > 1 or (members and len(entries.data) > MAX_COMPRESSED_PLAIN):
            frames = [self._passed_on(chunk, Body((entries.data,), entries.count))]
        else:
            frames = [self._passed_on(chunk)]
        return Outcome(frames, claims, entries.count)

    def _entries(self, chunk: Chunk) -> tuple[Entries, int]:
        """The chunk's entries, and of how many gzip members they were inflated."""
        compressed = chunk.options.compressed
        if chunk.mode is not Mode.PACKED:
            return Entries(chunk.data, chunk.body, chunk.body_stop, chunk.count, chunk.marks), 0
        if compressed is None:
            return walk(chunk.data, chunk.body, chunk.body_stop), 0
        if compressed != "gzip":
            raise ProtocolError(
                f"entries compressed with {compressed!r}, which this version does not read", tag=chunk.tag
            )
        blob = memoryview(chunk.data)[chunk.body : chunk.body_stop]
        plain = gunzip(blob, self._shape.max_decompressed)
        return walk(plain.data, 0, len(plain.data)), plain.members

    def _inspect(self, chunk: Chunk, entries: Entries, now_ms: int) -> tuple[list[_Edit], list[Claim]]:
        edits: list[_Edit] = []
        claims: list[Claim] = []
        try:
            for span in self._candidates(chunk, entries):
                self._counts.candidates += 1
                edit = self._look(chunk, entries.data, span, now_ms, claims)
                if edit is not None:
                    edits.append(edit)
        except StoreError:
            self._engine.release(claims)
            raise
        return edits, claims

    def _look(
        self, chunk: Chunk, data: bytes | bytearray, span: Span, now_ms: int, claims: list[Claim]
    ) -> _Edit | None:
        """One record, decoded and shown to the rules; its claims are added to ``claims``."""
        try:
            record = decode_record(data, span)
        except RecordError as error:
            self._counts.records_unseen += 1
            event(log, logging.WARNING, "record_unseen", tag=chunk.tag, reason=str(error))
            return None
        entry_ms = entry_time_ms(data, span)
        moment = Moment(arrival=now_ms, entry=now_ms if entry_ms is None else entry_ms)
        inspection = self._engine.inspect(record, moment, _digest(data, span))
        claims.extend(inspection.claims)
        if not inspection.labels:
            return None
        return _Edit(span, labelled_entry(data, span, record, self._shape.key, inspection.labels))

    def _candidates(self, chunk: Chunk, entries: Entries) -> Iterator[Span]:
        scanner = self._engine.rules.scanner
        if chunk.mode is Mode.MESSAGE:
            if scanner.always or scanner.hits(entries.data, entries.start, entries.stop):
                yield message_span(entries.data, entries.start, entries.stop)
            return
        found: Iterable[tuple[int, int]]
        if scanner.always:
            found = entries.every()
        else:
            found = entries.around(scanner.hits(entries.data, entries.start, entries.stop))
        for start, stop in found:
            span = entry_span(entries.data, start, stop)
            if span is not None:
                yield span

    def _labelled(self, chunk: Chunk, entries: Entries, edits: Sequence[_Edit]) -> list[Frame]:
        if not self._shape.tag_prefix:
            return [self._passed_on(chunk, self._body(chunk, _spliced(entries, edits), entries.count))]
        tag = self._shape.tag_prefix + chunk.tag
        if chunk.mode is Mode.MESSAGE:
            return [self._passed_on(chunk, Body((edits[0].entry,), 1), tag)]
        frames = [
            forward_frame(
                tag,
                [edit.entry for edit in edits],
                require_ack=self._shape.require_ack,
                random_bytes=self._random_bytes,
            )
        ]
        if len(edits) < entries.count:
            rest = [_Edit(edit.span, b"") for edit in edits]
            body = self._body(chunk, _spliced(entries, rest), entries.count - len(edits), shortened=True)
            frames.append(self._passed_on(chunk, body))
        return frames

    def _body(self, chunk: Chunk, pieces: Sequence[Buffer], count: int, *, shortened: bool = False) -> Body:
        """The content of a chunk anew: compressed as it came, unless it is too large for that shape."""
        if chunk.options.compressed and sum(map(len, pieces)) <= MAX_COMPRESSED_PLAIN:
            return Body((gzip(pieces),), count, gzipped=True, shortened=shortened)
        return Body(tuple(pieces), count, shortened=shortened)

    def _passed_on(self, chunk: Chunk, body: Body | None = None, tag: str | None = None) -> Frame:
        return outgoing(chunk, require_ack=self._shape.require_ack, random_bytes=self._random_bytes, body=body, tag=tag)


@dataclass(frozen=True, slots=True)
class _Edit:
    """The entry at ``span`` becomes ``entry``; empty bytes take it out."""

    span: Span
    entry: bytes


def _spliced(entries: Entries, edits: Sequence[_Edit]) -> list[Buffer]:
    """The entries' bytes with each edit in place: views of what stays, and what is new between them."""
    view = memoryview(entries.data)
    pieces: list[Buffer] = []
    behind = entries.start
    for edit in edits:
        pieces += (view[behind : edit.span.start], edit.entry)
        behind = edit.span.stop
    pieces.append(view[behind : entries.stop])
    return [piece for piece in pieces if len(piece)]


def _digest(data: Buffer, span: Span) -> Callable[[], str]:
    """Gives the identity of an event without an id: a digest of its entry's bytes, taken only if it is asked for."""
    return lambda: "sha256:" + hashlib.sha256(memoryview(data)[span.start : span.stop]).hexdigest()
