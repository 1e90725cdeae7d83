"""Events out of files, in every shape that people have them: CloudTrail log files, arrays, single objects, lines.

Each event keeps its own JSON text, so that what is printed again is what was read: number spellings, escapes and key
order included.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from firstseen.errors import InputError

SUFFIXES = (".json", ".ndjson", ".jsonl", ".log")
"""Names (also with ``.gz`` behind) that are taken from a directory; a file that is named is read whatever its name."""

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Event:
    """``raw`` is the event's JSON object on one line; ``source`` and ``number`` (from 1) say where it stood."""

    raw: bytes
    source: str
    number: int

    def decode(self) -> dict[str, Any]:
        """The event as Python values."""
        return decode_object(self.raw)

    def digest(self) -> str:
        """What stands for the event where it has no id."""
        return "sha256:" + hashlib.sha256(self.raw).hexdigest()


class _Envelope(msgspec.Struct):
    """A CloudTrail log file; ``records`` stays unset where the object is no such file."""

    records: list[msgspec.Raw] | msgspec.UnsetType = msgspec.field(name="Records", default=msgspec.UNSET)


def decode_object(raw: bytes) -> dict[str, Any]:
    """The JSON object ``raw`` as Python values. Raises ValueError where it is none."""
    try:
        value = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        # Integers beyond 64 bits, NaN: the standard library reads what is valid enough for most writers.
        value = json.loads(raw)
    if not isinstance(value, dict):
        raise ValueError("it is no object")  # noqa: TRY004  # the caller's input is wrong, not its type
    return value


def encode_object(value: object) -> bytes:
    """``value`` as JSON on one line, also where it holds what `decode_object` takes only leniently."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, an integer beyond 64 bits
        return json.dumps(value, separators=(",", ":")).encode()


def event_files(arguments: Sequence[str]) -> Iterator[str]:
    """The files that are meant: directories walked in order of names, ``-`` for standard input. Raises `InputError`."""
    for argument in arguments:
        path = Path(argument)
        if argument == "-" or path.is_file():
            yield argument
        elif path.is_dir():
            yield from (str(file) for file in sorted(path.rglob("*")) if file.is_file() and _is_event_file(file))
        else:
            raise InputError(f"{argument}: there is no such file or directory")


def _is_event_file(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(SUFFIXES)


def read_events(file: str) -> Iterator[Event]:
    """The events in one file (or in standard input), in order; raises `InputError` with the place of what is wrong."""
    name = "standard input" if file == "-" else file
    try:
        with _open(file) as stream:
            for number, raw in enumerate(_events(stream, name), 1):
                yield Event(_one_line(raw), name, number)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: {error}") from error


@contextmanager
def _open(file: str) -> Iterator[IO[bytes]]:
    with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as stream:
        if cast("io.BufferedReader", stream).peek(2)[:2] != _GZIP_MAGIC:
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as inflated:
            yield cast("IO[bytes]", inflated)


def _events(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """Lines if the first line is an object and another follows; else one document."""
    first = _next_line(stream)
    if not first.strip():
        return
    second = _next_line(stream) if _is_object(first) else b""
    if not second:
        yield from _document(first + stream.read(), name, None)
        return
    yield from _document(first, name, 1)
    number = 1
    line = second
    while line:
        number += 1
        if line.strip():
            yield from _document(line, name, number)
        line = stream.readline()


def _next_line(stream: IO[bytes]) -> bytes:
    line = stream.readline()
    while line and not line.strip():
        line = stream.readline()
    return line


def _is_object(text: bytes) -> bool:
    try:
        return bytes(msgspec.json.decode(text, type=msgspec.Raw)).lstrip().startswith(b"{")
    except msgspec.DecodeError:
        return False


def _document(text: bytes, name: str, line: int | None) -> Iterator[bytes]:
    """The events of one JSON document: an array's elements, a log file's records, or the object itself."""
    place = name if line is None else f"{name}:{line}"
    text = text.strip()
    try:
        if text.startswith(b"["):
            records: list[msgspec.Raw] = msgspec.json.decode(text, type=list[msgspec.Raw])
        else:
            records = _records(text)
    except (msgspec.DecodeError, ValueError) as error:
        raise InputError(f"{place}: this is no JSON: {error}") from None
    for number, record in enumerate(records, 1):
        raw = bytes(record).strip()
        if not raw.startswith(b"{"):
            raise InputError(f"{place}: element {number} is no JSON object")
        yield raw


def _records(text: bytes) -> list[msgspec.Raw]:
    try:
        records = msgspec.json.decode(text, type=_Envelope).records
    except msgspec.ValidationError:
        return [msgspec.Raw(text)]
    except msgspec.DecodeError:
        json.loads(text)  # the standard library takes some texts that msgspec refuses
        return [msgspec.Raw(text)]
    return [msgspec.Raw(text)] if records is msgspec.UNSET else records


def _one_line(raw: bytes) -> bytes:
    return msgspec.json.format(raw, indent=-1) if b"\n" in raw or b"\r" in raw else raw
