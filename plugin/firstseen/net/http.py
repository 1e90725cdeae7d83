"""One HTTP client: requests in, answers out, one after the other. Only what shows is served: GET and HEAD, no bodies.

The bytes are h11's to read. What is bounded here is how long a client may take and how much it may have us hold: a
request has to come whole in `REQUEST_S` and be no longer than `LONGEST_HEAD`, an answer has to be read in `WRITE_S`,
and the next request is not looked at before that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Protocol, cast

import h11
from msgspec import Struct, field

LONGEST_HEAD = 16 << 10
"""Bytes of a request."""

REQUEST_S = 10.0
IDLE_S = 75.0
"""Between two requests; longer than Prometheus' default of a scrape a minute."""
WRITE_S = 20.0
LINGER_S = 1.0
"""How long what still comes is dropped, once the last answer is out: closing with bytes unread could take it back."""

READING = ("GET", "HEAD")


class Request(Struct, frozen=True):
    """What is asked for: ``path`` without its query, and ``headers`` by their names in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]


class Response(Struct, frozen=True):
    """What is answered. Where it says ``closes``, it is the last one on its connection."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Sequence[tuple[str, str]] = field(default=())
    closes: bool = False


def refusal(status: int, why: str, *headers: tuple[str, str]) -> Response:
    """An answer that is none, and the last one."""
    return Response(status, f"{why}\n".encode(), headers=headers, closes=True)


class House(Protocol):
    """Where connections live, and what they all share."""

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """What every answer has, whoever gives it, unless it has its own; names are in small letters."""

    def opened(self, connection: HttpConnection) -> None:
        """A client connected."""

    def closed(self, connection: HttpConnection) -> None:
        """It is gone."""

    def wait(self, connection: HttpConnection) -> None:
        """It has a request: call its `answer` when it is its turn, which may be now."""

    def answer(self, request: Request) -> Response:
        """The answer; never fails."""


class HttpConnection(asyncio.Protocol):
    """One client of ``house``, in ``loop``."""

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        self._house = house
        self._loop = loop
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
        self._transport: asyncio.Transport | None = None
        self._request: h11.Request | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._waiting = False
        self._writing = False
        self._idle = False
        self._lingering = False
        self.since_s = self._loop.time()
        """Since when a request is waited for."""

    @property
    def busy(self) -> bool:
        """Whether it waits for us, and not for its client: for its turn, or until an answer is written."""
        return self._waiting or self._writing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)  # to be told when all of an answer is with the kernel
        self._house.opened(self)
        self._end_in(REQUEST_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._transport = None
        if self._limit is not None:
            self._limit.cancel()
        self._house.closed(self)

    def data_received(self, data: bytes) -> None:
        """Some of a request, or several."""
        if self._lingering:
            return
        if self._idle:
            self._idle = False
            self._end_in(REQUEST_S)
        self._http.receive_data(data)
        self._go_on()

    def eof_received(self) -> None:
        """The client asks for nothing more; what was answered is still written."""

    def pause_writing(self) -> None:
        """The client has to read its answer first."""
        self._writing = True
        self._end_in(WRITE_S)

    def resume_writing(self) -> None:
        """It did."""
        self._writing = False
        self._begin_anew()
        self._go_on()

    def answer(self) -> None:
        """Called by its house: it is its turn."""
        self._waiting = False
        if self._transport is not None and self._request is not None:
            self._answer(self._request)
            self._go_on()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _go_on(self) -> None:
        """Look at what came, up to where the client has to do something, or has to wait."""
        while self._transport is not None and not (self.busy or self._lingering):
            try:
                happened = self._http.next_event()
            except h11.RemoteProtocolError as error:
                why, _, _ = str(error).partition(": bytearray(")  # h11 repeats what came, which nobody needs to read
                self._send(refusal(error.error_status_hint, f"no request: {why}"))
                return
            if happened is h11.NEED_DATA:
                if self._idle and self._http.trailing_data[0]:  # some of the next request came with the last one
                    self._idle = False
                    self._end_in(REQUEST_S)
                self._transport.resume_reading()
                return
            if isinstance(happened, h11.Request):
                self._request = happened
                if _has_body(happened):
                    self._answer(happened)
                    return
            elif isinstance(happened, h11.EndOfMessage) and self._request is not None:
                self._waiting = True
                self._transport.pause_reading()  # until it is answered
                self._house.wait(self)
            else:  # the end of the connection, or bytes behind what was the last request
                self._close()
                return

    def _answer(self, request: h11.Request) -> None:
        asked = _read(request)
        if asked.method not in READING:
            self._send(refusal(405, "nothing here can be changed: GET or HEAD", ("allow", ", ".join(READING))))
        elif _has_body(request):
            self._send(refusal(400, "a request that brings a body"))
        else:
            self._send(self._house.answer(asked))

    def _send(self, response: Response) -> None:
        if self._transport is None:
            return
        http = self._http
        own = {name for name, _ in response.headers}
        headers = [
            ("date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())),
            ("content-type", response.content_type),
            ("content-length", str(len(response.body))),
            *response.headers,
            *(header for header in self._house.headers if header[0] not in own),
        ]
        if response.closes:
            headers.append(("connection", "close"))
        reason = HTTPStatus(response.status).phrase
        pieces = [http.send(h11.Response(status_code=response.status, headers=headers, reason=reason))]
        if self._request is None or self._request.method != b"HEAD":
            pieces.append(http.send(h11.Data(data=response.body)))
        pieces.append(http.send(h11.EndOfMessage()))
        self._request = None
        last = self._is_last()
        if not last:
            http.start_next_cycle()
            self._begin_anew()
        self._transport.pause_reading()
        self._transport.write(b"".join(piece for piece in pieces if piece))
        if last:
            self._close()

    def _is_last(self) -> bool:
        """Whether nothing can be asked any more: one of the two ends said so, or cannot be understood."""
        return self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE

    def _begin_anew(self) -> None:
        """Wait for the next request."""
        if self._transport is not None and not self._lingering:
            self._idle = True
            self.since_s = self._loop.time()
            self._end_in(IDLE_S)

    def _close(self) -> None:
        """Close once everything is written. What still comes is dropped for a moment: it could take the answer back."""
        if self._transport is None or self._lingering:
            return
        self._lingering = True
        if not self._transport.can_write_eof():  # as under TLS, whose end both sides agree on
            self._end_in(WRITE_S if self._writing else LINGER_S)
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._end_in(WRITE_S if self._writing else LINGER_S)

    def _end_in(self, seconds: float) -> None:
        """End the connection so soon, unless something happens."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self._loop.call_later(seconds, self.abort)


def _has_body(request: h11.Request) -> bool:
    given = dict(request.headers)
    return b"transfer-encoding" in given or bool(given.get(b"content-length", b"").strip(b"0"))


def _read(request: h11.Request) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path = request.target.decode("latin-1").partition("?")[0]
    return Request(request.method.decode("ascii"), path, headers)
