"""Whatever a client sends, in whatever pieces: it is found to be the same whole frames, or broken at the same place.

Each frame that is found says what another reader of msgpack finds in it; its content is entries or ProtocolError; every
record can be read, or is refused with RecordError, and seen; and no memory stays lent.
"""

from __future__ import annotations

from collections.abc import Iterable

from firstseen.errors import ProtocolError, RecordError
from firstseen.forward.buffers import Pool
from firstseen.forward.content import content_of
from firstseen.forward.messages import Mode
from firstseen.forward.server import Receiver, ack
from firstseen.record.spans import decode_record, entry_span, entry_time_ms, message_span
from firstseen.record.view import views
from fuzz import reading
from fuzz.splitting import chooser, split
from support import oddpack
from support.oddpack import Pairs, Text
from support.wire import Found, Outcome, chunk_of, feed, found

ALLOWED = (ProtocolError, RecordError)

MAX_FRAME = 1 << 16
LIMIT = 1 << 16

MOST_LENT = 8 * MAX_FRAME
"""Bytes of memory that a connection takes when its chunks are released at once."""

FIELDS = ("event.action", "event.outcome", "aws.cloudtrail.user_identity.arn", "source.ip", "message")


def test_one_input(data: bytes) -> None:
    whole = receive([data])
    assert receive(split(data, chooser(data))) == whole
    at = 0
    for chunk in whole.chunks:
        at = behind_nils(data, at)
        assert data.startswith(chunk.frame, at)
        at += len(chunk.frame)
        _check_chunk(chunk)
    if whole.error is None and not whole.waits:
        assert behind_nils(data, at) == len(data)


def receive(sent: Iterable[bytes]) -> Outcome:
    """What a connection comes to; every chunk is released at once."""
    pool = Pool()
    receiver = Receiver(pool, MAX_FRAME)
    chunks = []
    for piece in sent:
        for received in feed(receiver, piece):
            chunks.append(found(received.chunk))
            received.slab.release()
        assert pool.lent <= MOST_LENT
    error = None if receiver.error is None else str(receiver.error)
    waits = error is None and receiver.inside_frame
    receiver.close()
    assert pool.lent == 0
    return Outcome(chunks, error, waits)


def behind_nils(data: bytes, at: int) -> int:
    while data[at : at + 1] == b"\xc0":
        at += 1
    return at


def _check_chunk(chunk: Found) -> None:
    value, stop = oddpack.read(chunk.frame)
    assert stop == len(chunk.frame)
    assert chunk.elements == len(value)
    assert value[0] == Text(chunk.tag.encode("utf-8", "surrogateescape"))
    if chunk.mode is Mode.FORWARD:
        assert chunk.count == len(value[1])
    behind = value[3 if chunk.mode is Mode.MESSAGE else 2 :]
    named = [each for key, each in behind[0].pairs if key in (Text(b"chunk"), b"chunk")] if behind and behind[0] else []
    assert (chunk.options.chunk is not None) == bool(named)
    if chunk.options.chunk is not None:
        assert oddpack.read(ack(chunk.options.chunk))[0] == Pairs(((Text(b"ack"), named[-1]),))
    if not chunk.options.signal:
        _check_content(chunk.frame)


def _check_content(frame: bytes) -> None:
    try:
        content = content_of(chunk_of(frame), LIMIT)
    except ALLOWED:
        return
    whole = reading.read(frame, LIMIT)
    assert content.members == whole.members
    assert content.entries.count == len(whole.entries)
    assert content.records == len(whole.records)
    data = content.entries.data
    if whole.mode == "message":
        assert reading.is_time(whole.entries[0][0])
        spans = [message_span(data, content.entries.start, content.entries.stop)]
    else:
        assert all(map(reading.is_entry, whole.entries))
        found = [entry_span(data, start, stop) for start, stop in content.entries.every()]
        spans = [span for span in found if span is not None]
        assert len(spans) == len(whole.records)
    for span, expected in zip(spans, whole.records, strict=True):
        assert oddpack.read(bytes(data), span.record)[0] == expected.record
        assert oddpack.read(bytes(data), span.time)[0] == expected.time
        entry_time_ms(data, span)
        try:
            record = decode_record(data, span)
        except ALLOWED:
            continue
        for view in views(record):
            for field in FIELDS:
                view.values(field)
            assert isinstance(view.document(), dict)
