"""Where HTTP clients connect: they get what is left over, and a hostile one takes nothing from the log stream.

At most `MOST_CONNECTIONS` are open. One that comes beyond that is let in, and the one that has kept us waiting for
longest has to go: whoever opens many and says nothing shuts himself out and nobody else. Those that negotiate TLS have
half of the places, so that they shut nobody out who has done so, nor the other way round. In a second so many are
accepted, and so many requests answered, one of each connection in turn; what comes beyond waits.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from firstseen.logs import complain, event
from firstseen.net import tcpsocket, unixsocket
from firstseen.net.http import REQUEST_S, HttpConnection, Request, Response, refusal
from firstseen.net.peers import in_brackets

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
MOST_VISITS_PER_S = 80
MOST_REQUESTS_PER_S = 100
BACKLOG = 64

PAUSE_S = 1.0
"""How long nobody is accepted after the system could not, as when it is out of files."""


class Pace:
    """Lets ``most`` through in each second of ``clock``, which is steady."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._since_s = clock()
        self._count = 0

    def wait_s(self) -> float:
        """0 where one more may go on now, which is counted; else in how many seconds to ask again."""
        now_s = self._clock()
        if now_s - self._since_s >= 1.0:
            self._since_s, self._count = now_s, 0
        if self._count < self._most:
            self._count += 1
            return 0.0
        return max(self._since_s + 1.0 - now_s, 0.001)


class HttpServer:
    """Answers with ``answer``; lives in the event loop. What ``answer`` raises is told of, and costs its request.

    ``headers`` are of every answer that does not have its own, also of one to what is no request.
    """

    def __init__(self, answer: Callable[[Request], Response], headers: Sequence[tuple[str, str]] = ()) -> None:
        self.headers = headers
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._connections: set[HttpConnection] = set()
        self._negotiating: dict[asyncio.Task[None], None] = {}
        self._accepting: list[asyncio.Task[None]] = []
        self._listening: list[socket.socket] = []
        self._paths: list[Path] = []
        self._visits = Pace(MOST_VISITS_PER_S, self._loop.time)
        self._requests = Pace(MOST_REQUESTS_PER_S, self._loop.time)
        self._waiting: deque[HttpConnection] = deque()
        self._next: asyncio.Handle | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> str:
        """Listen there; returns the address with the port that was given. Raises `OSError`."""
        sockets = await tcpsocket.bind(host, port)
        for listening in sockets:
            self._accept_on(listening, tls)
        address, port = sockets[0].getsockname()[:2]
        return f"{'https' if tls else 'http'}://{in_brackets(address)}:{port}"

    async def listen_unix(self, path: Path, mode: int) -> str:
        """Listen on a unix socket that only who ``mode`` lets may connect to. Raises `OSError`."""
        listening = unixsocket.bind(path, mode)
        listening.setblocking(False)
        self._paths.append(path)
        self._accept_on(listening, None)
        return f"unix:{path}"

    async def close(self) -> None:
        """Accept no more, and end every connection."""
        tasks = [*self._accepting, *self._negotiating]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self._listening:
            listening.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
        if self._next is not None:
            self._next.cancel()
        for connection in tuple(self._connections):
            connection.abort()

    def opened(self, connection: HttpConnection) -> None:
        """Called by a connection."""
        self._connections.add(connection)

    def closed(self, connection: HttpConnection) -> None:
        """Called by a connection."""
        self._connections.discard(connection)

    def wait(self, connection: HttpConnection) -> None:
        """Called by a connection."""
        self._waiting.append(connection)
        if self._next is None:
            self._next = self._loop.call_soon(self._answer_one)

    def answer(self, request: Request) -> Response:
        """Called by a connection."""
        try:
            return self._answer(request)
        except Exception as error:  # told of; the log stream goes on whatever is wrong with a page about it
            log.exception("http_answer_failed")
            return refusal(500, f"a mistake of the program: {type(error).__name__}; its log has the rest")

    def _answer_one(self) -> None:
        """Answer the request that waits for longest, and the next one when everybody else in the loop was served.

        A connection has one request here at a time: whoever asks for much at once is behind all others with the rest.
        """
        self._next = None
        while self._waiting and self._waiting[0] not in self._connections:
            self._waiting.popleft()
        if not self._waiting:
            return
        if wait_s := self._requests.wait_s():
            self._next = self._loop.call_later(wait_s, self._answer_one)
            return
        self._next = self._loop.call_soon(self._answer_one)
        self._waiting.popleft().answer()

    def _accept_on(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        listening.listen(BACKLOG)
        self._listening.append(listening)
        self._accepting.append(self._loop.create_task(self._accept(listening, tls)))

    async def _accept(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        while True:
            try:
                accepted, _ = await self._loop.sock_accept(listening)
            except OSError as error:
                complain(log, logging.ERROR, "http_accept_failed", (str(error),), reason=str(error))
                await asyncio.sleep(PAUSE_S)
                continue
            self._make_room()
            task = self._loop.create_task(self._let_in(accepted, tls))
            self._negotiating[task] = None
            task.add_done_callback(lambda done: self._negotiating.pop(done, None))
            await asyncio.sleep(0)  # it begins, and who has to go is gone, before the next one is accepted
            await self._keep_pace()

    async def _keep_pace(self) -> None:
        while wait_s := self._visits.wait_s():  # noqa: ASYNC110  # nothing but time has to pass
            await asyncio.sleep(wait_s)

    async def _let_in(self, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._loop.connect_accepted_socket(lambda: HttpConnection(self, self._loop), accepted, ssl=tls)
        except (OSError, TimeoutError) as error:  # no TLS, or gone already: nobody we could answer
            event(log, logging.DEBUG, "http_client_lost", reason=str(error) or repr(error))
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    def _make_room(self) -> None:
        if len(self._connections) + len(self._negotiating) < MOST_CONNECTIONS:
            return
        if len(self._negotiating) > MOST_CONNECTIONS // 2:
            negotiation = next(iter(self._negotiating))
            del self._negotiating[negotiation]
            negotiation.cancel()
        else:
            leaving = min(self._connections, key=lambda each: (each.busy, each.since_s))
            self._connections.discard(leaving)
            leaving.abort()
