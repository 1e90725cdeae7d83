"""The report, shown over HTTP for as long as the agent is there: opened before it listens, closed when it is done."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from firstseen.config import Http
from firstseen.errors import FirstseenError
from firstseen.net.httpserver import HttpServer
from firstseen.notation import Endpoint
from firstseen.status.observer import Agency, Observer
from firstseen.status.process import PROC, ProcessReader
from firstseen.status.site import HEADERS, Site


class StatusService:
    """What is shown of ``agency`` under ``settings``; ``address`` is where, None where nothing is shown.

    ``stage`` is what the agent does: starting, running or stopping.
    """

    def __init__(self, settings: Http, agency: Agency, now_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._observer = Observer(agency, now_ms)
        process = ProcessReader() if (PROC / "stat").exists() else None
        site = Site(self._observer, settings, process, asyncio.get_running_loop().time)
        self._server = HttpServer(site.answer, HEADERS)
        self.address: str | None = None

    async def open(self, tls: ssl.SSLContext | None) -> None:
        """Listen, where that is wanted. Raises `FirstseenError` where it cannot be."""
        endpoint = self._settings.listen
        if endpoint is None:
            return
        try:
            self.address = await self._listen(endpoint, tls)
        except OSError as error:
            what = f"cannot listen on {endpoint} (http.listen): {error}"
            raise FirstseenError(f'{what}; name another port, or "" to show nothing') from error
        self._observer.sampling.start()

    def enter(self, stage: str) -> None:
        """The agent is now at this stage: running, or stopping."""
        self._observer.stage = stage

    async def close(self) -> None:
        """Show nothing more."""
        await self._server.close()
        await self._observer.sampling.stop()

    async def _listen(self, endpoint: Endpoint, tls: ssl.SSLContext | None) -> str:
        if endpoint.path is not None:
            return await self._server.listen_unix(endpoint.path, self._settings.unix_mode.bits)
        return await self._server.listen(endpoint.host, endpoint.port, tls if endpoint.tls else None)
