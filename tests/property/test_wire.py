"""What holds for every byte stream, every legal encoding and every splitting, from the socket to the spliced entry."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstseen.errors import ProtocolError
from firstseen.forward.buffers import SMALLEST, Pool
from firstseen.forward.client import AckReader
from firstseen.forward.entries import Entries, walk
from firstseen.forward.messages import Chunk, Mode, read_options, usual_options
from firstseen.forward.outgoing import MAX_CHUNK_ID, Body, forward_frame, outgoing
from firstseen.forward.server import Received, Receiver, ack
from firstseen.packing import NIL, Head, read_head
from firstseen.record.spans import Span, decode_record, entry_span, entry_time_ms, message_span
from firstseen.record.splice import labelled_entry
from support import oddpack, wire
from support.frames import MARKER, NO_ID, any_header, generators, sent_frames, several_entries
from support.oddpack import Pairs, Text

# --- receiving


@st.composite
def broken_frames(draw: st.DrawFn) -> bytes:
    """A frame in which one byte is another, or is missing."""
    frame = bytearray(draw(sent_frames()).frame)
    at = draw(st.integers(0, len(frame) - 1))
    frame[at : at + 1] = draw(st.sampled_from([b"", b"\xc1", b"\xdd", b"\xdf", b"\xc6", b"\x92", b"\xc0"]))
    return bytes(frame)


frames = sent_frames().map(lambda sent: sent.frame)
pieces = st.one_of(frames, frames, broken_frames(), st.just(b"\xc0"), st.binary(max_size=3))
streams = st.one_of(st.binary(max_size=200), st.lists(pieces, max_size=4).map(b"".join))


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> Sequence[int]:
    """Where ``data`` is cut: anywhere, or everywhere."""
    if len(data) < 300 and draw(st.booleans()):
        return range(1, len(data))
    return draw(st.lists(st.integers(0, len(data)), max_size=6))


@given(st.data(), streams, st.sampled_from([16, 100, 1000, 1 << 20]))
def test_any_bytes_in_any_splitting_come_to_the_same(data, stream, max_frame):
    """Any bytes, whatever the splitting, give the same chunks, then the same error or the same wait; nothing else."""
    whole = wire.receive([stream], max_frame)
    assert wire.receive(wire.pieces(stream, data.draw(cuts(stream))), max_frame) == whole
    assert all(len(found.frame) <= max_frame for found in whole.chunks)
    at = 0
    for found in whole.chunks:
        while stream[at : at + 1] == b"\xc0":
            at += 1
        assert stream[at:].startswith(found.frame)
        at += len(found.frame)


@given(st.lists(sent_frames(), max_size=3))
def test_every_legal_frame_is_found(several):
    """Frames in any legal encoding are found, whole and in order, with their mode, tag, entries, id and exact spans."""
    outcome = wire.receive([b"".join(sent.frame for sent in several)])
    assert (outcome.error, outcome.waits) == (None, False)
    assert [found.frame for found in outcome.chunks] == [sent.frame for sent in several]
    for found, sent in zip(outcome.chunks, several, strict=True):
        assert (found.mode, found.tag) == (sent.mode, sent.tag.decode("utf-8", "surrogateescape"))
        assert sent.frame[slice(*found.body)] == sent.body
        assert found.count == {Mode.MESSAGE: 1, Mode.PACKED: 0, Mode.FORWARD: len(sent.entries)}[sent.mode]
        echoed = found.options.chunk
        assert (echoed is None) == (sent.chunk_id is NO_ID)
        if echoed is not None:
            assert echoed in sent.frame
            assert oddpack.read(ack(echoed)) == (same_as_read({"ack": sent.chunk_id}), 5 + len(echoed))


def same_as_read(value: Any) -> Any:
    """``value`` as `oddpack.read` gives it."""
    return oddpack.read(oddpack.encode(value, random.Random(0)))[0]


def option_keys() -> st.SearchStrategy[Any]:
    return st.sampled_from(["chunk", "chunk", "size", "compressed", "fluent_signal", "", b"chunk", "x", 1])


def option_values() -> st.SearchStrategy[Any]:
    numbers = st.one_of(st.integers(-3, 300), st.booleans(), st.none(), st.floats(width=32))
    return st.one_of(
        st.sampled_from(["gzip", "text", "zstd", "é" * 40, "x" * 65]),
        st.text(max_size=70),
        st.binary(max_size=3),
        numbers,
    )


@given(
    st.lists(st.tuples(option_keys(), option_values()), max_size=4),
    st.one_of(st.none(), generators),
    st.binary(max_size=4),
    st.integers(0, 3),
)
def test_usual_options_are_what_all_of_them_say(pairs, odd, behind, missing):
    """What is read in one go is what is read one by one, to the byte, whatever lies before and behind it."""
    encoded = [(msgpack.packb(key), msgpack.packb(value)) for key, value in pairs]
    if odd is not None:
        encoded = [(oddpack.encode(key, odd), oddpack.encode(value, odd)) for key, value in pairs]
    head = b"\xdf" + len(pairs).to_bytes(4) if odd is None else oddpack.map_header(len(pairs), odd)
    raw = head + b"".join(key + value for key, value in encoded)
    data = bytearray(b"\x93" + raw + behind)
    usual = usual_options(data, 1, len(data))
    if usual is not None:
        assert usual == (read_options(data, 1, 1 + len(raw)), 1 + len(raw))
    assert missing == 0 or usual_options(data, 1, max(1, 1 + len(raw) - missing)) is None


def test_options_of_most_senders_are_usual():
    for options in ({"size": 3, "chunk": "a" * 24}, {"chunk": "b" * 36, "size": 70_000, "compressed": "gzip"}):
        for raw in (msgpack.packb(options), b"\xdf" + len(options).to_bytes(4) + msgpack.packb(options)[1:]):
            assert usual_options(raw, 0, len(raw)) == (read_options(raw, 0, len(raw)), len(raw))
            assert usual_options(raw + b"\x93\xa3aws", 0, len(raw) + 5) == (read_options(raw, 0, len(raw)), len(raw))


def entries_of(chunk: Chunk) -> Entries:
    if chunk.mode is Mode.PACKED:
        return walk(chunk.data, chunk.body, chunk.body_stop)
    return Entries(chunk.data, chunk.body, chunk.body_stop, chunk.offsets)


@given(st.data(), sent_frames(modes=(Mode.FORWARD, Mode.PACKED)))
def test_the_entry_around_any_offset_is_found(data, sent):
    """Every entry is stepped over exactly, and around ascending offsets lie the entries that hold them, each once."""
    spans, at = [], 0
    for entry in sent.entries:
        spans.append((at, at + len(entry)))
        at += len(entry)
    offsets = sorted(data.draw(st.lists(st.integers(0, at - 1), max_size=8))) if at else []
    entries = entries_of(wire.chunk_of(sent.frame))
    base = entries.start
    assert entries.count == len(spans)
    assert [(start - base, stop - base) for start, stop in entries.every()] == spans
    around = [(start - base, stop - base) for start, stop in entries.around([base + offset for offset in offsets])]
    assert around == [span for span in spans if any(span[0] <= offset < span[1] for offset in offsets)]


@given(st.data(), several_entries())
def test_a_blob_that_is_cut_is_refused(data, inside):
    """A blob that ends inside an entry raises ProtocolError; one that ends between two holds what came before."""
    blob = b"".join(inside)
    ends = [sum(map(len, inside[:count])) for count in range(len(inside) + 1)]
    stop = data.draw(st.one_of(st.sampled_from(ends), st.integers(0, len(blob))))
    if stop in ends:
        assert walk(blob, 0, stop).count == ends.index(stop)
    else:
        with pytest.raises(ProtocolError):
            walk(blob, 0, stop)


@given(st.data(), st.one_of(st.binary(max_size=300), several_entries().map(b"".join)))
def test_any_blob_is_entries_or_an_error(data, blob):
    """Any bytes as a blob are stepped over to their end and can be looked at, or raise ProtocolError."""
    start = data.draw(st.integers(0, len(blob)))
    try:
        entries = walk(blob, start, len(blob))
    except ProtocolError:
        return
    spans = list(entries.every())
    assert len(spans) == entries.count
    assert [start, *(stop for _, stop in spans)] == [*(first for first, _ in spans), len(blob)]
    for first, stop in spans:
        span = entry_span(blob, first, stop)
        if span is not None:
            assert isinstance(decode_record(blob, span), dict)
            assert isinstance(entry_time_ms(blob, span), int | None)


# --- memory


class Connection:
    """One peer, and the frames it is going to send."""

    def __init__(self, pool: Pool, seed: int, sizes: Sequence[int]) -> None:
        rng = random.Random(seed)
        self.receiver = Receiver(pool, 1 << 20)
        self._frames = [oddpack.encode(["t", rng.randbytes(size)], rng) for size in sizes]
        self._stream = b"".join(self._frames)

    def send(self, size: int) -> list[tuple[Received, bytes]]:
        """The next bytes; each chunk that is complete now, with what its bytes must be."""
        piece, self._stream = self._stream[:size], self._stream[size:]
        chunks = wire.feed(self.receiver, piece)
        expected, self._frames = self._frames[: len(chunks)], self._frames[len(chunks) :]
        return list(zip(chunks, expected, strict=True))


def bytes_of(received: Received) -> bytes:
    chunk = received.chunk
    return bytes(chunk.data[chunk.start : chunk.stop])


sizes = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200_000)), max_size=8)
reads = st.tuples(
    st.integers(0, 1), st.one_of(st.integers(0, 60), st.integers(0, 100_000), st.just(2**20)), st.integers(0, 2)
)


@given(st.tuples(sizes, sizes), st.lists(reads, max_size=30), st.sampled_from([0, 1 << 17, 1 << 24]), st.booleans())
def test_chunks_keep_their_bytes_and_slabs_come_back(sizes, steps, spare_bytes, broken):
    """Whoever reads and releases when: a chunk's bytes stay what they were until it is released, the memory lent is a
    small multiple of what came, and when all is released and closed every slab is back.
    """
    pool = Pool(spare_bytes)
    connections = [Connection(pool, seed, each) for seed, each in enumerate(sizes)]
    held: list[tuple[Received, bytes]] = []
    came = 0
    for number, (which, size, releases) in enumerate(steps):
        held += connections[which].send(size)
        came += size
        assert pool.lent <= 4 * came + len(connections) * SMALLEST
        for _ in range(min(releases, len(held))):
            received, expected = held.pop(number % len(held))
            assert bytes_of(received) == expected
            received.slab.release()
    for connection in connections:
        if broken:
            for received in wire.feed(connection.receiver, b"\xc1" * 10):
                received.slab.release()
        connection.receiver.close()
    assert [bytes_of(received) for received, _ in held] == [expected for _, expected in held]
    for received, _ in held:
        received.slab.release()
    assert pool.lent == 0


# --- passing on


def is_usable(chunk_id: Any) -> bool:
    """Whether every peer takes the id and can echo it: a str of plain ASCII that fits into the read of an ack."""
    if isinstance(chunk_id, Text):
        chunk_id = chunk_id.data.decode("latin-1")
    return isinstance(chunk_id, str) and chunk_id.isascii() and 0 < len(chunk_id) <= MAX_CHUNK_ID


def pairs_without(option: bytes | None, *names: str) -> list[tuple[Any, Any]]:
    """The pairs of an option element as they lie, but for those of these names."""
    options = oddpack.read(option or b"\xc0")[0]
    dropped = [each for name in names for each in (name.encode(), Text(name.encode()))]
    return [] if options is None else [(key, value) for key, value in options.pairs if key not in dropped]


def option_of(frame: bytes, chunk: Chunk) -> bytes | None:
    return None if chunk.option is None else frame[chunk.option : chunk.option_stop]


@given(sent_frames(), st.binary(min_size=16, max_size=16), st.booleans())
def test_what_no_rule_labels_passes_untouched(sent, noise, require_ack):
    """Without a new body a frame leaves byte for byte; where it needs an id, nothing but its option changes.

    Nor where a PackedForward frame has nil for one, which no Fluent Bit reads.
    """
    chunk = wire.chunk_of(sent.frame)
    frame = outgoing(chunk, require_ack=require_ack, random_bytes=lambda size: noise[:size])
    out = b"".join(frame.pieces)
    again = wire.chunk_of(out)
    assert (frame.size, frame.tag) == (len(out), chunk.tag)
    assert (frame.chunk is None) == (not require_ack)
    if frame.chunk is not None:
        assert again.options.chunk is not None
        assert list(AckReader().feed(ack(again.options.chunk))) == [frame.chunk]
    if not require_ack or is_usable(sent.chunk_id):
        option = chunk.option
        if sent.mode is Mode.PACKED and option is not None and sent.frame[option] == NIL:
            assert out == sent.frame[:option] + b"\x80" + sent.frame[option + 1 :]
        else:
            assert out == sent.frame
        return
    assert (again.mode, again.tag) == (sent.mode, chunk.tag)
    assert out[again.body : again.body_stop] == sent.body
    assert out[again.carrier : again.body_stop] == bytes(chunk.data[chunk.carrier : chunk.body_stop])
    assert pairs_without(option_of(out, again), "chunk") == pairs_without(sent.option, "chunk")
    assert out[again.option_stop :] == bytes(chunk.data[chunk.option_stop : chunk.stop])


@given(sent_frames(), several_entries(least=1), st.none() | st.just("alert.t"), st.booleans(), st.booleans())
def test_new_entries_leave_the_rest_as_it_was(sent, new, tag, require_ack, shortened):
    """A frame with other entries or another tag reads as exactly those, with the sender's other options unchanged."""
    chunk = wire.chunk_of(sent.frame)
    inside = b"\x01\x80" if sent.mode is Mode.MESSAGE else b"".join(new)
    body = Body((inside[:5], inside[5:]), len(new), shortened=shortened)
    frame = outgoing(chunk, require_ack=require_ack, random_bytes=bytes, body=body, tag=tag)
    out = b"".join(frame.pieces)
    again = wire.chunk_of(out)
    assert frame.size == len(out)
    assert (again.mode, again.tag) == (sent.mode, frame.tag) == (sent.mode, tag or chunk.tag)
    assert out[again.body : again.body_stop] == inside
    assert sent.mode is not Mode.FORWARD or again.count == len(new)
    option, dropped = option_of(out, again), ("chunk", "size") if shortened else ("chunk",)
    assert pairs_without(option, *dropped) == pairs_without(sent.option, *dropped)
    assert not shortened or pairs_without(option) == pairs_without(option, "size")
    assert out[again.option_stop :] == bytes(chunk.data[chunk.option_stop : chunk.stop])


@given(st.text(min_size=1, max_size=300), several_entries(), st.none() | st.text(max_size=40))
def test_frames_of_our_own_read_as_what_they_were_made_of(tag, new, chunk_id):
    """A frame made here is read back with its tag, its entries and its id, and announces the number of its entries."""
    frame = forward_frame(tag, Body(tuple(new), len(new)), chunk_id)
    out = b"".join(frame.pieces)
    chunk = wire.chunk_of(out)
    assert (chunk.mode, chunk.tag, chunk.count, frame.size) == (Mode.FORWARD, tag, len(new), len(out))
    assert out[chunk.body : chunk.body_stop] == b"".join(new)
    assert chunk.option is not None
    options = msgpack.unpackb(out[chunk.option :])
    assert options == {"size": len(new), **({} if chunk_id is None else {"chunk": chunk_id})}


# --- labels

labels = st.lists(
    st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=5), st.integers(-(2**63), 2**64 - 1)), max_size=3),
    min_size=1,
    max_size=3,
)


def any_alert_record(rng: random.Random) -> Pairs:
    """A record that may have the keys that labels go under."""
    pairs = list(oddpack.any_map(rng).pairs)
    for _ in range(rng.randrange(3)):
        key = rng.choice(("alerts", "alerts", "alerts_", "alerts__", b"alerts", Text(b"alerts")))
        a_list = [oddpack.any_value(rng) for _ in range(rng.choice((0, 1, 14, 15)))]
        pairs.insert(rng.randint(0, len(pairs)), (key, rng.choice((a_list, a_list, oddpack.any_value(rng)))))
    return Pairs(pairs)


def placed(pairs: Sequence[tuple[Any, Any]], packed: list[Any]) -> list[tuple[Any, Any]]:
    """Where labels under "alerts" have to be, worked out pair by pair."""
    pairs, key = list(pairs), b"alerts"
    mine = [number for number, (name, _) in enumerate(pairs) if name == Text(key)]
    if mine and isinstance(pairs[mine[-1]][1], list):
        pairs[mine[-1]] = (Text(key), pairs[mine[-1]][1] + packed)
        return pairs
    while any(name in (Text(key), key) for name, _ in pairs):
        key += b"_"
    return [*pairs, (Text(key), packed)]


@given(generators, labels, st.binary(max_size=9))
def test_labels_change_nothing_but_where_they_are(rng, new, around):
    """A labelled entry is the old header and pairs, byte for byte and in order, with the labels under the right key."""
    entry = oddpack.encode([any_header(rng), any_alert_record(rng)], rng)
    data = around + entry + around
    span = entry_span(data, len(around), len(around) + len(entry))
    if span is None:
        assert MARKER.data in entry
        return
    labelled = labelled_entry(data, span, decode_record(data, span), "alerts", new)
    (old_header, old), (new_header, found) = oddpack.read(entry)[0], oddpack.read(labelled)[0]
    assert oddpack.read(labelled)[1] == len(labelled)
    assert new_header == old_header
    assert list(found.pairs) == placed(old.pairs, [oddpack.read(msgpack.packb(label))[0] for label in new])
    record, added = span.record - span.start, b"".join(map(msgpack.packb, new))
    head, new_head = read_head(entry, record, len(entry)), read_head(labelled, record, len(labelled))
    assert head is not None
    assert new_head is not None
    assert labelled[:record] == entry[:record]
    if new_head.size > head.size:
        assert labelled[new_head.payload :].startswith(entry[head.payload :])
        assert labelled.endswith(added)
    else:
        at, behind, stop = last_list(entry, head)
        assert labelled.startswith(entry[:at])
        assert labelled.endswith(entry[behind:stop] + added + entry[stop:])


def last_list(entry: bytes, record: Head) -> tuple[int, int, int]:
    """Where the last value under "alerts" begins, where its first item does, and where it ends."""
    place, at = (0, 0), record.payload
    for _ in range(record.size):
        key, value_at = oddpack.read(entry, at)
        _, at = oddpack.read(entry, value_at)
        if key == Text(b"alerts"):
            place = value_at, at
    head = read_head(entry, *place)
    assert head is not None
    return place[0], head.payload, place[1]


def text(key: str | Text) -> str:
    return key if isinstance(key, str) else key.data.decode("utf-8", "surrogateescape")


@given(generators)
def test_any_record_is_decoded(rng):
    """Every legal record decodes to a dict: by the library or, where that gives up, by hand to the same."""
    record = oddpack.any_map(rng, depth=3)
    data = b"\x01" + oddpack.encode(record, rng)
    span = message_span(data, 0, len(data))
    assert span == Span(0, 0, 1, len(data))
    decoded = decode_record(data, span)
    by_text = {text(key): value for key, value in record.pairs if isinstance(key, str | Text)}
    for key, value in by_text.items():
        assert key in decoded
        if isinstance(value, str | bytes | bool | int | None):
            assert decoded[key] == value


# --- acks

acks = st.tuples(st.one_of(st.text(max_size=30), st.binary(max_size=30), st.binary(max_size=30).map(Text)), generators)
garbage = st.one_of(
    st.just(b""), st.binary(max_size=30), generators.map(lambda rng: oddpack.encode(oddpack.any_value(rng), rng))
)


def read_acks(sent: Iterable[bytes]) -> tuple[list[str], bool]:
    """The ids, and whether an error followed them."""
    reader, ids = AckReader(), []
    try:
        for piece in sent:
            for chunk_id in reader.feed(piece):
                ids.append(chunk_id)
    except ProtocolError:
        return ids, True
    return ids, False


@given(st.data(), st.lists(acks, max_size=5), garbage)
def test_acks_are_read_in_any_splitting(data, several, behind):
    """Acks in any legal encoding and any splitting give their ids in order; what is no ack raises ProtocolError."""
    stream = b"".join(oddpack.encode({"ack": chunk_id}, rng) for chunk_id, rng in several) + behind
    whole = read_acks([stream])
    texts = [each.data if isinstance(each, Text) else each for each, _ in several]
    expected = [each if isinstance(each, str) else each.decode("utf-8", "surrogateescape") for each in texts]
    assert whole[0][: len(expected)] == expected
    assert behind or whole == (expected, False)
    assert read_acks(wire.pieces(stream, data.draw(cuts(stream)))) == whole
