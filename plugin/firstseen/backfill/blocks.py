"""A file as blocks of events, of bounded size: lines some megabytes at a time, a single document whole.

The shapes are those of `firstseen.eventfiles`. A position is a number of bytes of the content, after decompression;
reading can begin anew behind a block of lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

import msgspec

from firstseen.errors import InputError
from firstseen.eventfiles import MAX_DOCUMENT, Texts, events_in, in_lines, texts_in, too_large

BLOCK = 4 << 20
"""Bytes that are read at a time."""


class Block(NamedTuple):
    """Some events, and the position behind them."""

    events: Texts
    stop: int


def read_blocks(stream: IO[bytes], name: str, start: int = 0, *, most: int = MAX_DOCUMENT) -> Iterator[Block]:
    """The events behind ``start``, which is 0 or the end of a block of lines.

    Raises `InputError` with the place of what is wrong, once what stands before it has been given.
    """
    return _Blocks(stream, name, most).behind(start)


class _Blocks:
    def __init__(self, stream: IO[bytes], name: str, most: int) -> None:
        self._stream = stream
        self._name = name
        self._most = most
        self._number = 0  # of lines before what comes next

    def behind(self, start: int) -> Iterator[Block]:
        self._pass_over(start)
        text, ended = self._more(b"")
        while not ended and b"\n" not in text.lstrip():  # blank lines
            if len(text) > self._most:
                raise too_large(f"{self._name}: a blank space", self._most)
            text, ended = self._more(text)
        if start or _begins_with_an_object(text):
            yield from self._lines(text, ended, start)
        else:
            yield from self._document(text, ended)

    def _pass_over(self, start: int) -> None:
        left = start
        while left:
            passed = self._stream.read(min(left, BLOCK))
            if not passed:
                raise InputError(f"{self._name}: it has become shorter than it was")
            self._number += passed.count(b"\n")
            left -= len(passed)

    def _more(self, text: bytes) -> tuple[bytes, bool]:
        """``text`` and what follows, to the end of some line, or of the file: then the second is true."""
        parts = [text]
        size = len(text)
        while True:
            part = self._stream.read(BLOCK)
            parts.append(part)
            size += len(part)
            if not part or b"\n" in part:
                return b"".join(parts), not part
            if size > self._most:
                raise too_large(f"{self._name}:{self._number + 1}: a line", self._most)

    def _document(self, text: bytes, ended: bool) -> Iterator[Block]:
        parts = [text]
        size = len(text)
        while not ended and (part := self._stream.read(BLOCK)):
            parts.append(part)
            size += len(part)
            if size > self._most:
                raise too_large(f"{self._name}: a JSON document", self._most)
        whole = b"".join(parts)
        if whole.strip():
            yield Block(texts_in(whole, self._name), size)

    def _lines(self, text: bytes, ended: bool, at: int) -> Iterator[Block]:
        while text:
            cut = len(text) if ended else text.rfind(b"\n") + 1
            events: list[bytes] = []
            stop = at
            try:
                for line in text[:cut].splitlines(keepends=True) if b"\r" not in text else _split(text[:cut]):
                    self._number += 1
                    if not line.isspace():
                        events += events_in(line, f"{self._name}:{self._number}")
                    stop += len(line)
            except InputError:
                if events:
                    yield Block(in_lines(events), stop)
                raise
            yield Block(in_lines(events), stop)
            at = stop
            text, ended = (b"", True) if ended else self._more(text[cut:])


def _split(text: bytes) -> list[bytes]:
    """Lines that end in a line feed only, which they keep."""
    lines = [line + b"\n" for line in text.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _begins_with_an_object(text: bytes) -> bool:
    """Whether the first line is a JSON object, and not the whole of the text."""
    line, more, _ = text.lstrip().partition(b"\n")
    if not more:
        return False
    try:
        return bytes(msgspec.json.decode(line, type=msgspec.Raw)).startswith(b"{")
    except (msgspec.DecodeError, RecursionError):
        return False
