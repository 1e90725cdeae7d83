"""Somebody who asks the agent over HTTP how it does, with the client of the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from support.scrape import Scrape

TIMEOUT_S = 60.0


class Visitor:
    """Asks an agent at ``address`` how it does."""

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        host, _, port = address.partition("://")[2].rpartition(":")
        self._host, self._port, self._tls = host, int(port), tls

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """The status and the body of the answer."""
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        else:
            connection = http.client.HTTPSConnection("localhost", self._port, timeout=TIMEOUT_S, context=self._tls)
        with closing(connection):
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def status(self) -> dict[str, Any]:
        """The report."""
        code, body = self.ask("/status")
        assert code == 200
        told: dict[str, Any] = json.loads(body)
        return told

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first report of which that is true."""
        end_s = time.monotonic() + TIMEOUT_S
        while True:
            told = self.status()
            if true(told):
                return told
            assert time.monotonic() < end_s, told
            time.sleep(0.2)

    def readyz(self) -> list[str]:
        """The codes of what is in the way."""
        code, body = self.ask("/readyz", accept="application/json")
        told = json.loads(body)
        assert (code == 200) == told["ready"] == (not told["reasons"])
        return [reason["code"] for reason in told["reasons"]]

    def until_ready(self) -> None:
        self.until(lambda told: bool(told["ready"]))

    def scrape(self) -> Scrape:
        code, body = self.ask("/metrics")
        assert code == 200
        return Scrape(body)
