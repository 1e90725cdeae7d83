"""``firstseen health``: is the agent of this configuration ready? For health checks where there is no HTTP client."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing
from pathlib import Path

import click

from firstseen import config
from firstseen.cli import EXIT_FAILED
from firstseen.config import Http
from firstseen.errors import FirstseenError
from firstseen.net.tls import client_context
from firstseen.notation import Endpoint

MOST_BYTES = 65_536
"""Of an answer: what is more is not read."""

ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- nothing listens here
"""Where one is asked who listens everywhere."""


@click.command("health")
@click.option("-c", "--config", "file", required=True, type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--live", is_flag=True, help="Ask whether it lives (/livez), not whether it is ready (/readyz).")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds to wait.")
@click.pass_context
def command(ctx: click.Context, file: Path, live: bool, timeout: float) -> None:
    """Ask the agent that runs here with this configuration whether it is ready, on its http.listen.

    Exit 0 if it is. Else exit 1, and what it said.
    """
    settings = config.load(file).http
    code, said = ask(settings, "/livez" if live else "/readyz", timeout)
    click.echo(said.rstrip("\n"), err=code != http.client.OK)
    ctx.exit(0 if code == http.client.OK else EXIT_FAILED)


def ask(settings: Http, path: str, timeout_s: float) -> tuple[int, str]:
    """The status and the text of the agent's answer. Raises `FirstseenError` where there is none."""
    endpoint = settings.listen
    if endpoint is None:
        raise FirstseenError('nothing to ask: http.listen is ""')
    if endpoint.path is None and not endpoint.port:
        raise FirstseenError(f"nothing to ask: http.listen is {endpoint}, a port that is another one at each start")
    try:
        with closing(_connection(settings, endpoint, timeout_s)) as connection:
            connection.request("GET", path, headers={"Host": "localhost"})
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
    # Its certificate is for others, under other names; and nothing that is secret is sent.
    tls = settings.tls
    context = client_context(cert=tls.cert, key=tls.key, verify=False)
    return http.client.HTTPSConnection(host, endpoint.port, timeout=timeout_s, context=context)


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
