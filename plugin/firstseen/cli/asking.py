"""Asks the agent that runs here with a configuration, on its ``http.listen``, how it does."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from contextlib import closing
from pathlib import Path

import msgspec

from firstseen.config import Http
from firstseen.errors import FirstseenError
from firstseen.net.tls import client_context
from firstseen.notation import Endpoint
from firstseen.status.report import Status

MOST_BYTES = 16 << 20
"""Of an answer: what is more is not read. A report of some thousand rules is 2 MiB."""

ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- nothing listens here
"""Where one is asked who listens everywhere."""


class StrangerError(FirstseenError):
    """Who answers under TLS does not show the certificate of the configuration, and is not told the token."""


def status(settings: Http, timeout_s: float) -> Status:
    """What the agent says of itself. Raises `FirstseenError` where there is no answer, or none that can be read."""
    code, said = ask(settings, "/status", timeout_s, settings.secret)
    if code != http.client.OK:
        hint = ": has the token changed since it started?" if code == http.client.UNAUTHORIZED else ""
        raise FirstseenError(f"{settings.listen} (http.listen) answers /status with {code}{hint}")
    try:
        return msgspec.convert(json.loads(said), Status)  # json knows texts that are none, as a path may be
    except ValueError as error:
        what = f"what {settings.listen} (http.listen) answers is no report of this version: {error}"
        raise FirstseenError(f"{what}; is it an agent, and of the same version?") from error


def ask(settings: Http, path: str, timeout_s: float, token: bytes | None = None) -> tuple[int, str]:
    """The status and the text of the agent's answer. Raises `FirstseenError` where there is none.

    ``token`` is shown under TLS only to who shows the certificate of the configuration: `StrangerError` where that is
    not so.
    """
    endpoint = settings.listen
    if endpoint is None:
        raise FirstseenError('nothing to ask: http.listen is ""')
    if endpoint.path is None and not endpoint.port:
        raise FirstseenError(f"nothing to ask: http.listen is {endpoint}, a port that is another one at each start")
    headers = {"Host": "localhost"}
    try:
        with closing(_connection(settings, endpoint, timeout_s)) as connection:
            if token is not None:
                connection.connect()
                _know(connection, settings)
                headers["Authorization"] = f"Bearer {token.decode('latin-1')}"
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(MOST_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise FirstseenError(f"no answer from {endpoint} (http.listen): {error or type(error).__name__}") from error


def _connection(settings: Http, endpoint: Endpoint, timeout_s: float) -> http.client.HTTPConnection:
    if endpoint.path is not None:
        return _UnixConnection(endpoint.path, timeout_s)
    host = ALL_ADDRESSES.get(endpoint.host, endpoint.host)
    if not endpoint.tls:
        return http.client.HTTPConnection(host, endpoint.port, timeout=timeout_s)
    # Its certificate is for others, under other names: what is secret waits until it is known to be the very one.
    tls = settings.tls
    context = client_context(cert=tls.cert, key=tls.key, verify=False)
    return http.client.HTTPSConnection(host, endpoint.port, timeout=timeout_s, context=context)


def _know(connection: http.client.HTTPConnection, settings: Http) -> None:
    """Raises `StrangerError` where TLS leads to somebody who does not show the certificate of the configuration."""
    if not isinstance(connection.sock, ssl.SSLSocket) or settings.tls.cert is None:
        return
    own = settings.tls.cert.read_text()
    begin = own.index(ssl.PEM_HEADER)
    end = own.index(ssl.PEM_FOOTER, begin) + len(ssl.PEM_FOOTER)
    if connection.sock.getpeercert(binary_form=True) != ssl.PEM_cert_to_DER_cert(own[begin:end]):
        raise StrangerError(
            f"{settings.listen} (http.listen) shows another certificate than {settings.tls.cert} (http.tls.cert), and"
            " is not told the token: if the file was renewed, reload the agent"
        )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket at ``path``."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Called by the base class when it has something to send."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
