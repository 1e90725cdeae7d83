"""Events out of files, in every shape that people have them: CloudTrail log files, arrays, single objects, lines.

What Elasticsearch writes is read as well: documents in their envelopes (``{"_index": …, "_source": {…}}``, a line each
as elasticdump writes them), and responses to searches (``{"hits": {"hits": […]}}``).

Each event keeps its own JSON text, so that what is printed again is what was read: number spellings, escapes and key
order included.
"""

from __future__ import annotations

import codecs
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec
from isal import igzip, isal_zlib
from msgspec import Struct

from firstseen.detect.keys import digest_of
from firstseen.errors import InputError
from firstseen.record.view import parse_int

MAX_DOCUMENT = 128 << 20
"""Bytes of the largest document, or line, that is read: it is held in memory some three times."""

_GZIP_MAGIC = b"\x1f\x8b"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LOG_FILE = b'{"Records":['
_BRACE = ord("{")
_gzip_file = cast(Callable[..., object], igzip.GzipFile)
_Broken = cast(type[Exception], isal_zlib.error)


class Event(Struct, frozen=True):
    """``raw`` is the event's JSON object on one line; ``source`` and ``number`` (from 1) say where it stood."""

    raw: bytes
    source: str
    number: int

    def decode(self) -> dict[str, Any]:
        """The event as Python values. Raises `InputError`, with its place, where it cannot be had as such."""
        try:
            return decode_object(self.raw)
        except ValueError as error:
            raise InputError(f"{self.source}: event {self.number} cannot be read: {error}") from None

    def digest(self) -> str:
        """What stands for the event where it has no id."""
        return digest_of(self.raw)


class _Hit(msgspec.Struct):
    """A document as Elasticsearch hands it out."""

    index: str = msgspec.field(name="_index")
    source: msgspec.Raw = msgspec.field(name="_source")


class _Hits(msgspec.Struct):
    """What a search found."""

    hits: list[_Hit]


class _Envelope(msgspec.Struct):
    """What lies around events; all stays unset where the object is an event itself."""

    records: list[msgspec.Raw] | msgspec.UnsetType = msgspec.field(name="Records", default=msgspec.UNSET)
    index: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_index", default=msgspec.UNSET)
    source: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="_source", default=msgspec.UNSET)
    hits: _Hits | msgspec.UnsetType = msgspec.UNSET


_envelope = msgspec.json.Decoder(_Envelope).decode
_hit = msgspec.json.Decoder(_Hit).decode
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_whole = msgspec.json.Decoder(msgspec.Raw).decode
_lenient = json.JSONDecoder(parse_int=parse_int)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def decode_object(raw: bytes) -> dict[str, Any]:
    """The JSON object ``raw`` as Python values. Raises ValueError where it is none.

    Bytes that are no UTF-8 are kept by surrogateescape, as they are in what comes from a sender.
    """
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Integers beyond 64 bits, NaN: the standard library reads what is valid enough for most writers.
        value = _lenient.decode(raw.decode("utf-8", "surrogateescape"))
    except RecursionError:  # how deep is too deep hangs on who asks: what was read may be it all the same
        raise ValueError("it is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")  # noqa: TRY004  # the caller's input is wrong, not its type
    return value


def encode_object(value: object) -> bytes:
    """``value`` as JSON on one line, also where it holds what `decode_object` takes only leniently."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, an integer beyond 64 bits
        return json.dumps(value, separators=(",", ":")).encode()


def in_ascii(raw: bytes) -> bytes:
    """The JSON ``raw`` with escapes for all that is not ASCII: the same values, and no command to a terminal.

    It is otherwise the text that it was, as outside of strings JSON has nothing but ASCII.
    """
    if raw.isascii():
        return raw
    text = raw.decode("utf-8", "surrogateescape")
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text).encode()


def read_events(file: str, *, most: int = MAX_DOCUMENT) -> Iterator[Event]:
    """The events in one file (or in standard input), in order; raises `InputError` with the place of what is wrong.

    So it does for a document, or a line, of more than ``most`` bytes.
    """
    name = name_of(file)
    with opened(file) as (stream, _):
        for number, raw in enumerate(_events(stream, name, most), 1):
            yield Event(one_line(raw), name, number)


def too_large(what: str, most: int) -> InputError:
    """What is told of ``what`` that has more than ``most`` bytes."""
    return InputError(
        f"{what} of more than {most >> 20} MiB, which would take too much memory: "
        "put each event on a line of its own, with `jq -c '.[]'` for an array, `jq -c '.Records[]'` for a log file"
    )


def name_of(file: str) -> str:
    """What messages call it."""
    return "standard input" if file == "-" else file


class Opened(NamedTuple):
    """``content`` is what is in the file, ``stored`` the file itself: another stream where it is compressed.

    A byte order mark of UTF-8 is no part of the content.
    """

    content: IO[bytes]
    stored: IO[bytes]


@contextmanager
def opened(file: str) -> Iterator[Opened]:
    """Open it; what goes wrong with the file, now or while it is read, is raised as `InputError`."""
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as stream:
            if _head(stream, 2) != _GZIP_MAGIC:
                _pass_over_mark(stream, file)
                yield Opened(stream, stream)
                return
            with cast("IO[bytes]", _gzip_file(fileobj=stream)) as inflated:
                _pass_over_mark(inflated, file)
                yield Opened(inflated, stream)
    except (OSError, EOFError, _Broken) as error:
        raise InputError(f"{name_of(file)}: {error}") from error


def _head(stream: IO[bytes], size: int) -> bytes:
    return cast("io.BufferedReader", stream).peek(size)[:size]


def _pass_over_mark(stream: IO[bytes], file: str) -> None:
    head = _head(stream, len(codecs.BOM_UTF8))
    if head.startswith(_UTF16_MARKS):
        raise InputError(
            f"{name_of(file)}: its text is UTF-16, by its first two bytes, and events are read in UTF-8: "
            "convert it with `iconv -f UTF-16 -t UTF-8`"
        )
    if head == codecs.BOM_UTF8:
        stream.read(len(head))


def _events(stream: IO[bytes], name: str, most: int) -> Iterator[bytes]:
    """Lines if the first line is an object and another follows; else one document."""

    def line_at(place: str) -> bytes:
        line = stream.readline(most + 1)
        if len(line) > most:
            raise too_large(f"{place}: a line or a document", most)
        return line

    def next_line() -> bytes:
        line = line_at(name)
        while line and not line.strip():
            line = line_at(name)
        return line

    first = next_line()
    if not first.strip():
        return
    second = next_line() if _is_object(first) else b""
    if not second:
        text = first + stream.read(most + 1 - len(first))
        if len(text) > most:
            raise too_large(f"{name}: a document", most)
        yield from _document(text, name, None)
        return
    yield from _document(first, name, 1)
    number = 1
    line = second
    while line:
        number += 1
        if line.strip():
            yield from _document(line, name, number)
        line = line_at(f"{name}:{number + 1}")


def _is_object(text: bytes) -> bool:
    try:
        return bytes(msgspec.json.decode(text, type=msgspec.Raw)).lstrip().startswith(b"{")
    except RecursionError:
        return False
    except (msgspec.DecodeError, UnicodeDecodeError):  # also where only part of a document is on the line: mostly a {
        try:
            return isinstance(_lenient.decode(text.decode("utf-8", "surrogateescape")), dict)
        except (ValueError, RecursionError):
            return False


def _document(text: bytes, name: str, line: int | None) -> Iterator[bytes]:
    return events_in(text, name if line is None else f"{name}:{line}")


class Texts(Struct, frozen=True):
    """Events that lie in ``text`` one after the other: where each starts, and where it stops."""

    text: bytes
    starts: Sequence[int]
    stops: Sequence[int]

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[bytes]:
        return (self.text[start:stop] for start, stop in zip(self.starts, self.stops, strict=True))


def in_lines(events: Sequence[bytes]) -> Texts:
    """These events, put into one text."""
    return _one_apart(b"\n".join(events), map(len, events), 0)


def _one_apart(text: bytes, sizes: Iterable[int], first: int) -> Texts:
    """Events of these sizes, the first of which lies there, with one character between each and the next."""
    starts = list(accumulate(sizes, lambda start, size: start + size + 1, initial=first))
    return Texts(text, starts[:-1], [start - 1 for start in starts[1:]])


def events_in(text: bytes, place: str) -> Iterator[bytes]:
    """The events of one JSON document: an array's elements, what an envelope holds, or the object itself.

    Each is the text of an object, as it stands there. Raises `InputError`, which begins with ``place``.
    """
    return _objects(_found(text.strip(), place), place)


def texts_in(text: bytes, place: str) -> Texts:
    """The same events, where they lie if that is where CloudTrail's log files have them: else copied."""
    text = text.strip()
    found = _found(text, place)
    if found and text.startswith(_LOG_FILE):
        # If the elements are as long as the list is with nothing but a comma between them, then that is how they lie.
        there = _one_apart(text, map(len, found), len(_LOG_FILE))
        if there.stops[-1] + len(b"]}") == len(text) and {text[start] for start in there.starts} == {_BRACE}:
            return there
    return in_lines(list(_objects(found, place)))


def _found(text: bytes, place: str) -> Sequence[bytes | msgspec.Raw]:
    try:
        return _elements(text) if text.startswith(b"[") else _enveloped(text)
    except (msgspec.DecodeError, ValueError) as error:
        raise InputError(f"{place}: this is no JSON: {error}") from None
    except RecursionError:
        raise InputError(f"{place}: this is nested too deep to be an event") from None


def _objects(found: Iterable[bytes | msgspec.Raw], place: str) -> Iterator[bytes]:
    for number, raw in enumerate(map(bytes, found), 1):
        if raw[:1] != b"{":
            raise InputError(f"{place}: element {number} is no JSON object")
        yield raw


def _elements(text: bytes) -> Sequence[bytes | msgspec.Raw]:
    """An array's elements; documents of Elasticsearch without their envelopes."""
    elements: Sequence[bytes | msgspec.Raw]
    try:
        elements = _raw_list(text)
    except msgspec.DecodeError:
        content = text.decode("utf-8", "surrogateescape")
        _lenient.decode(content)
        elements = _pieces(content)
    if b'"_source"' not in text:
        return elements
    return [_document_of(element) for element in elements]


def _document_of(element: bytes | msgspec.Raw) -> bytes | msgspec.Raw:
    try:
        return _hit(element).source
    except msgspec.DecodeError:
        return element


def _enveloped(text: bytes) -> Sequence[bytes | msgspec.Raw]:
    """What the object holds where it is an envelope, else the object itself."""
    try:
        envelope = _envelope(text)
    except msgspec.ValidationError:
        return _itself(text)  # what is not as in an envelope may be no JSON behind it
    except msgspec.DecodeError:
        return _leniently(text)
    if envelope.records is not msgspec.UNSET:
        return envelope.records
    if envelope.hits is not msgspec.UNSET:
        return [hit.source for hit in envelope.hits.hits]
    if envelope.source is not msgspec.UNSET and envelope.index is not msgspec.UNSET:
        return [envelope.source]
    return [text]


def _itself(text: bytes) -> Sequence[bytes]:
    try:
        _whole(text)
    except msgspec.DecodeError:
        return _leniently(text)
    return [text]


def _leniently(text: bytes) -> Sequence[bytes]:
    """The same for what only the standard library takes, NaN and half a surrogate pair: log files, or an event."""
    content = text.decode("utf-8", "surrogateescape")
    if isinstance(_lenient.decode(content), dict):
        items = [content[item] for item in _items(content)]
        named = dict(zip(map(json.loads, items[::2]), items[1::2], strict=True))
        records = named.get("Records", "")
        if records.startswith("["):
            return _pieces(records)
    return [text]


def _pieces(array: str) -> Sequence[bytes]:
    return [array[item].encode("utf-8", "surrogateescape") for item in _items(array)]


def _items(content: str) -> Iterator[slice]:
    """Where each item lies of an array or object that is sound: of an object, names and values in turn."""
    at = 0
    while content[at] not in "]}":
        at = _past_blanks(content, at + 1)  # behind what opens it, or parts the items
        if content[at] in "]}":
            return
        _, stop = _lenient.raw_decode(content, at)
        yield slice(at, stop)
        at = _past_blanks(content, stop)


def _past_blanks(content: str, at: int) -> int:
    while content[at : at + 1].isspace():
        at += 1
    return at


def one_line(raw: bytes) -> bytes:
    """The same JSON without line breaks."""
    if b"\n" not in raw and b"\r" not in raw:
        return raw
    try:
        return msgspec.json.format(raw, indent=-1)
    except msgspec.DecodeError:  # what only the standard library takes: it has no line breaks in strings either
        return raw.replace(b"\n", b" ").replace(b"\r", b" ")
