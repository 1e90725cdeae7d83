"""Frames taken apart without a line of the product: records with their group, time and metadata, as values.

Equal values mean equal content; see `support.oddpack`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fuzz.decompression import gunzip, unzstd
from support import oddpack
from support.oddpack import Ext, Float, Pairs, Text

DEEPEST = 20_000
"""How deep calls have to be allowed to go for all of this: the reader enters a level of nesting with two."""

Mode = Literal["message", "forward", "packed"]

STARTS, ENDS = b"\xff\xff\xff\xff\0\0\0\0", b"\xff\xff\xff\xfe\0\0\0\0"


@dataclass(frozen=True)
class Record:
    """A record; ``group`` is the entry that opened its log group, None outside of any."""

    group: Any
    time: Any
    metadata: Any
    record: Pairs


@dataclass(frozen=True)
class Read:
    """A frame. ``entries`` are all of them as they lie, ``algorithm`` is what they were compressed with."""

    tag: Text
    mode: Mode
    elements: int
    options: Pairs | None
    algorithm: str | None
    members: int
    entries: list[Any]

    @property
    def chunk(self) -> Any:
        return self.option(b"chunk")

    def option(self, name: bytes) -> Any:
        """The value under that name, the last one where it stands twice."""
        values = [value for key, value in self.options.pairs if key in (Text(name), name)] if self.options else []
        return values[-1] if values else None

    @property
    def records(self) -> list[Record]:
        """The records, without the entries that open and close groups."""
        return list(self._records())

    def _records(self) -> Iterator[Record]:
        group = None
        for header, record in self.entries:
            time, metadata = header if isinstance(header, list) else (header, None)
            if self.mode != "message" and time in (Ext(0, STARTS), Ext(0, ENDS)):
                group = (header, record) if time == Ext(0, STARTS) else None
            else:
                yield Record(group, time, metadata, record)


def object_at(data: bytes, at: int = 0) -> tuple[Any, int] | None:
    """The object there and the offset behind it; None where it does not end, or is no msgpack."""
    try:
        return oddpack.read(data, at)
    except (IndexError, KeyError):
        return None


def read(frame: bytes, limit: int) -> Read:
    """``frame``, which must be one whole frame and nothing else."""
    value, stop = oddpack.read(frame)
    assert stop == len(frame)
    tag, carrier, *rest = value
    assert isinstance(tag, Text)
    algorithm, members = None, 0
    if isinstance(carrier, list):
        mode: Mode = "forward"
        entries = carrier
    elif isinstance(carrier, (bytes, Text)):
        mode = "packed"
        blob = carrier if isinstance(carrier, bytes) else carrier.data
        algorithm = named(blob)
        plain: bytes | None = blob
        if algorithm is not None:
            plain, members = gunzip(blob, limit) if algorithm == "gzip" else unzstd(blob, limit)
        assert plain is not None
        entries = objects(plain)
    else:
        mode, record, *rest = "message", *rest
        entries = [(carrier, record)]
    options = rest[0] if rest else None
    assert options is None or isinstance(options, Pairs)
    return Read(tag, mode, len(value), options, algorithm, members, entries)


def named(blob: bytes) -> str | None:
    """What a blob is compressed with, by its first bytes."""
    if blob[:2] == b"\x1f\x8b":
        return "gzip"
    is_skippable = 0x50 <= (blob[0] if blob else 0) < 0x60 and blob[1:4] == b"\x2a\x4d\x18"
    return "zstd" if is_skippable or blob[:4] == b"\x28\xb5\x2f\xfd" else None


def objects(data: bytes) -> list[Any]:
    """The objects that fill ``data``."""
    found = []
    at = 0
    while at < len(data):
        value, at = oddpack.read(data, at)
        found.append(value)
    return found


def is_entry(value: Any) -> bool:
    """Whether it is a ``[time, record]`` or a ``[[time, metadata], record]``."""
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[1], Pairs)):
        return False
    time = value[0]
    if isinstance(time, list):
        if len(time) != 2 or not isinstance(time[1], Pairs):
            return False
        time = time[0]
    return is_time(time)


def is_time(value: Any) -> bool:
    is_event_time = isinstance(value, Ext) and value.code == 0 and len(value.data) == 8
    return is_event_time or isinstance(value, Float) or (isinstance(value, int) and not isinstance(value, bool))
