"""Whatever an HTTP client sends, in whatever pieces: whole answers come, and none of them to what is no request.

An answer that closes is the last, what reads is all that is answered, and nothing depends on the splitting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from firstseen.net.http import LONGEST_HEAD, READING, HttpConnection, Request, Response
from fuzz.splitting import chooser, split

ALLOWED = ()

_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n((?:[A-Za-z-]+: [^\r\n]*\r\n)+)\r\n")
_LENGTH = re.compile(rb"content-length: (\d+)\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"connection: close\r\n", re.IGNORECASE)
_DATE = re.compile(rb"date: [^\r\n]*\r\n")


def test_one_input(data: bytes) -> None:
    whole = visit([data])
    if len(data) <= LONGEST_HEAD:  # a longer request may come whole before anybody could say that it is too long
        assert visit(split(data, chooser(data))) == whole
    answers, asked, closed = whole
    assert all(status == 200 and not last for status, last in answers[:-1])
    assert sum(status == 200 for status, _ in answers) == len(asked)
    assert all(method in READING for method in asked)
    assert closed or not any(last for _, last in answers)


def visit(parts: Iterable[bytes]) -> tuple[Sequence[tuple[int, bool]], Sequence[str], bool]:
    """The status of each answer, and whether it says that it is the last; the methods asked; whether it closed."""
    house, wire = _House(), _Wire()
    connection = HttpConnection(house, _Loop())  # type: ignore[arg-type]
    connection.connection_made(wire)  # type: ignore[arg-type]
    for part in parts:
        if part and not wire.closed:
            connection.data_received(part)
    return list(_answers(wire.written)), house.asked, wire.closed


def _answers(written: bytes) -> Iterable[tuple[int, bool]]:
    at = 0
    while at < len(written):
        head = _HEAD.match(written, at)
        assert head, written[at : at + 200]
        length = _LENGTH.search(head[2])
        assert length
        assert _DATE.search(head[2])
        at = head.end()
        body = written[at : at + int(length[1])]
        at += len(body) if not body.startswith(b"HTTP/1.1 ") else 0  # of HEAD there is none
        yield int(head[1]), bool(_CLOSES.search(head[2]))


class _House:
    """Answers everything at once, and notes what it was asked."""

    headers = (("x-house", "yes"),)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def opened(self, connection: HttpConnection) -> None:
        """Nobody needs to know."""

    def closed(self, connection: HttpConnection) -> None:
        """Nor of this."""

    def wait(self, connection: HttpConnection) -> None:
        connection.answer()

    def answer(self, request: Request) -> Response:
        self.asked.append(request.method)
        return Response(200, b"an answer")


class _Wire:
    """A transport that takes everything at once."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def write_eof(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def abort(self) -> None:
        self.closed = True

    def __getattr__(self, name: str) -> Any:
        assert name in ("pause_reading", "resume_reading", "set_write_buffer_limits"), name
        return lambda *_, **__: None


class _Loop:
    """A loop in which no time passes."""

    def time(self) -> float:
        return 0.0

    def call_later(self, seconds: float, call: object, *arguments: object) -> _Timer:
        return _Timer()


class _Timer:
    def cancel(self) -> None:
        """It would never have been over."""
