"""What goes out for an accepted chunk are whole frames of the same records in order and in their groups, plus labels.

Frames keep to their limit unless one record alone is larger, carry ids that differ and that they are acked by, and turn
into v1 frames of the same records without metadata and markers. A chunk that is not accepted raises ProtocolError.
"""

from __future__ import annotations

import atexit
import struct
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from firstseen.engine import Engine
from firstseen.errors import ProtocolError
from firstseen.forward.conversion import as_v1, with_event_time
from firstseen.forward.outgoing import Frame
from firstseen.forward.shapes import Shaper
from firstseen.forward.times import LAST_SECOND
from firstseen.metrics import Counts
from firstseen.pipeline import Outcome, Pipeline
from firstseen.store.lmdb import LmdbStore
from fuzz.frames import LIMIT, receive
from fuzz.reading import Read, Record, read
from fuzz.splitting import chooser
from support.oddpack import Ext, Float, Pairs, Text
from support.rulebook import rule_set, rule_text
from support.wire import chunk_of

ALLOWED = (ProtocolError,)

PREFIX = "alert."


@lru_cache(1)
def engine() -> Engine:
    """One rule, and a state that is thrown away."""
    folder = tempfile.TemporaryDirectory()
    store = LmdbStore.open(Path(folder.name), 1 << 24, durable=False)
    atexit.register(folder.cleanup)
    atexit.register(store.close)
    return Engine(rule_set(rule_text()), store, Counts(), lambda: 0)


def test_one_input(data: bytes) -> None:
    for found in receive([data]).chunks[:8]:
        _check(found.frame)


def _check(data: bytes) -> None:
    rng = chooser(data)
    prefix = rng.choice(("", PREFIX))
    limit = rng.choice((300, 2_000, 1 << 16, 1 << 16))
    require_ack = rng.random() < 0.7
    inspected = rng.random() < 0.8
    shaper = Shaper(limit, prefix, require_ack, rng.randbytes)
    pipeline = Pipeline(
        engine(),
        shaper,
        Counts(),
        key="alerts",
        max_decompressed=LIMIT,
        mode_of=lambda tag: "auto" if inspected else None,
    )
    chunk = chunk_of(data)
    try:
        outcome = pipeline.process(chunk, 0)
    except ALLOWED:
        return
    engine().release(outcome.claims)
    for frame in outcome.frames:
        _check_frame(frame, require_ack)
    ids = [frame.chunk for frame in outcome.frames]
    assert len(set(ids)) == len(ids) or not require_ack
    if chunk.options.signal or (not inspected and len(outcome.frames) == 1):
        return  # what is not looked into may be anything
    before = read(data, LIMIT)
    assert outcome.records == len(before.records)
    _check_records(before, outcome, prefix)
    for frame in outcome.frames:
        _check_size(read(raw(frame), LIMIT), frame, limit)
        _check_v1(frame)


def raw(frame: Frame) -> bytes:
    return b"".join(bytes(piece) for piece in frame.pieces)


def _check_frame(frame: Frame, require_ack: bool) -> None:
    assert frame.size == len(raw(frame))
    made = chunk_of(raw(frame))
    assert made.tag == frame.tag
    assert (frame.chunk is not None) == require_ack
    if frame.chunk is not None:
        assert made.options.chunk is not None
        assert not made.options.id_in_doubt
        assert made.options.chunk.endswith(frame.chunk.encode())


def _check_records(before: Read, outcome: Outcome, prefix: str) -> None:
    tag = before.tag.data
    rest: list[Record] = []
    apart: list[Record] = []
    for frame in outcome.frames:
        after = read(raw(frame), LIMIT)
        assert after.tag.data in (tag, prefix.encode() + tag)
        (rest if after.tag.data == tag else apart).extend(after.records)
    labelled = 0
    records = with_event_times(before.records) if before.mode == "message" else before.records
    for record in records:
        if rest and rest[0] == record:
            del rest[0]
        else:
            labelled += 1
            (after_it,) = (apart if prefix else rest)[:1]
            assert is_labelled(record, after_it)
            del (apart if prefix else rest)[0]
    assert not rest
    assert not apart
    assert labelled <= len(outcome.claims)


def is_labelled(before: Record, after: Record) -> bool:
    """Whether there is one more pair with a list of labels, or a list of labels is longer."""
    if (before.group, before.time, before.metadata) != (after.group, after.time, after.metadata):
        return False
    old, new = before.record.pairs, after.record.pairs
    if len(new) == len(old) + 1:
        key, labels = new[-1]
        return new[:-1] == old and key.data.startswith(b"alerts") and _are_labels(labels)
    changed = [(was, now) for (_, was), (_, now) in zip(old, new, strict=True) if was != now]
    keys_stay = [key for key, _ in old] == [key for key, _ in new]
    ((was, now),) = changed
    return keys_stay and now[: len(was)] == was and _are_labels(now[len(was) :])


def _are_labels(labels: Sequence[Any]) -> bool:
    return bool(labels) and all(isinstance(label, Pairs) and Text(b"id") in dict(label.pairs[:1]) for label in labels)


def _check_size(made: Read, frame: Frame, limit: int) -> None:
    assert frame.size <= limit or len(made.records) <= 1
    if made.algorithm is None:
        assert made.option(b"compressed") in (None, Text(b"text"), b"text")
        return
    assert made.option(b"compressed") == Text(made.algorithm.encode())
    assert made.members == 1
    assert made.elements == 3


def _check_v1(frame: Frame) -> None:
    before = read(raw(frame), LIMIT)
    converted = as_v1(frame, LIMIT)
    after = read(raw(converted), LIMIT)
    assert (converted.chunk, converted.tag, after.tag, after.chunk) == (
        frame.chunk,
        frame.tag,
        before.tag,
        before.chunk,
    )
    bare = [replace(each, group=None, metadata=None) for each in with_event_times(before.records)]
    assert bare == after.records
    assert len(after.records) == len(after.entries)
    assert as_v1(converted, LIMIT) is converted
    assert raw(with_event_time(frame)) == raw(frame)


def with_event_times(records: Iterable[Record]) -> list[Record]:
    """The records as they are where a float for a time became an EventTime."""
    return [replace(each, time=Near(each.time)) if isinstance(each.time, Float) else each for each in records]


@dataclass(frozen=True, eq=False)
class Near:
    """Equal to an EventTime that is a microsecond or less away from the float, as far as there are such times."""

    time: Float

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ext) or other.code != 0 or len(other.data) != 8:
            return False
        (seconds,) = struct.unpack(">f" if len(self.time.data) == 5 else ">d", self.time.data[1:])
        if not 0 < seconds < LAST_SECOND + 1:
            return other.data in (bytes(8), struct.pack(">II", LAST_SECOND, 999_999_000))
        whole, nanoseconds = struct.unpack(">II", other.data)
        return nanoseconds < 10**9 and abs(Fraction(seconds) - whole - Fraction(nanoseconds, 10**9)) <= Fraction(
            1, 10**6
        )

    __hash__ = None  # type: ignore[assignment]
