"""Somebody on a port who answers every request as a test says, and keeps what he was asked."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from types import TracebackType

import msgspec

from firstseen.status.report import Status


def http_answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status.encode(), len(body), body)


def reported(*reports: Status) -> list[bytes]:
    """The answers of an agent that says this of itself, one after the other."""
    return [http_answer(json.dumps(msgspec.to_builtins(each)).encode()) for each in reports]


class Answering:
    """Gives these answers, one a connection, the last again and again; an empty one is no answer at all."""

    def __init__(self, answers: list[bytes], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._answers, self._tls = answers, tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            try:
                self._answer(connection)
            except OSError:
                connection.close()  # whoever asked has left

    def _answer(self, connection: socket.socket) -> None:
        with connection, self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as peer:
            request = b""
            while b"\r\n\r\n" not in request:
                received = peer.recv(4096)
                if not received:
                    return
                request += received
            self.requests.append(request)
            peer.sendall(self._answers[0] if len(self._answers) == 1 else self._answers.pop(0))

    def __enter__(self) -> Answering:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(60.0)
