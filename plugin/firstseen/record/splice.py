"""Putting labels into a record without touching the rest of its bytes.

The record's map gets one pair more at its end: its header says so, in the width the sender chose where that can be, and
every other byte stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack

from firstseen.packing import Buffer, Kind, read_head, resized
from firstseen.record.spans import Span


def place_of_labels(record: Mapping[Any, Any], key: str) -> tuple[str, list[Any] | None]:
    """Under which key of ``record`` labels go that are meant for ``key``, and the list there that they make longer.

    That is a list that the record already has there (from another agent before this one). Anything else that it has
    there, be its key str or bin, belongs to somebody: the labels then go under the first free one of ``key_``,
    ``key__`` and so on, where no list is: None.
    """
    known = record.get(key)
    return (key, known) if isinstance(known, list) else (_free(record, key), None)


def _free(record: Mapping[Any, Any], key: str) -> str:
    while key in record or key.encode() in record:
        key += "_"
    return key


def labelled_entry(
    data: bytes | bytearray, span: Span, record: Mapping[Any, Any], key: str, labels: Sequence[Mapping[str, Any]]
) -> bytes:
    """The entry ``data[span.start:span.stop]`` with ``labels`` in its record, where `place_of_labels` says."""
    packed = [_pack(label) for label in labels]
    key, known = place_of_labels(record, key)
    if known is not None:
        place = _list_under(data, span, key)
        if place is not None:
            header, header_stop, stop = place
            longer = resized(data[header:header_stop], len(known) + len(packed))
            return b"".join(
                (data[span.start : header], longer, data[header_stop:stop], *packed, data[stop : span.stop])
            )
        key = _free(record, key)
    head = read_head(data, span.record, span.stop)
    if head is None:
        raise AssertionError("a span's record is whole")
    return b"".join(
        (
            data[span.start : span.record],
            resized(data[span.record : head.payload], head.size + 1),
            data[head.payload : span.stop],
            msgpack.packb(key),
            resized(b"\x90", len(packed)),
            *packed,
        )
    )


def _pack(label: Mapping[str, Any]) -> bytes:
    # Out of JSON text come integers of any size, which become text, and surrogates that stand for no byte.
    try:
        packed: bytes = msgpack.packb(label, default=str, unicode_errors="surrogateescape")
    except UnicodeEncodeError:
        packed = msgpack.packb(label, default=str, unicode_errors="surrogatepass")
    return packed


def _list_under(data: Buffer, span: Span, key: str) -> tuple[int, int, int] | None:
    """Where the list under ``key`` lies: its header, the header's end, its own end. The last one of duplicate keys."""
    head = read_head(data, span.record, span.stop)
    if head is None:
        return None
    unpacker = msgpack.Unpacker(max_buffer_size=span.stop - span.record)
    unpacker.feed(memoryview(data)[head.payload : span.stop])
    place = None
    wanted = key.encode("utf-8")
    for _ in range(head.size):
        key_head = read_head(data, head.payload + unpacker.tell(), span.stop)
        unpacker.skip()
        value = head.payload + unpacker.tell()
        unpacker.skip()
        if key_head is None or key_head.kind is not Kind.STR:
            continue
        if bytes(data[key_head.payload : key_head.payload + key_head.size]) == wanted:
            value_head = read_head(data, value, span.stop)
            if value_head is not None and value_head.kind is Kind.ARRAY:
                place = (value, value_head.payload, head.payload + unpacker.tell())
    return place
