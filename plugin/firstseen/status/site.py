"""Which address leads to what, and who may look: everybody who can connect, or who shows the token where there is one.

What is shown names identities, and is worth something to whoever has stolen one. So it is asked for under names that
are known to be ours, because a web page elsewhere can make a name of its own lead here; it is never kept by a browser,
never shown inside of another page, and loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from firstseen.config import Http
from firstseen.net.http import Request, Response, refusal
from firstseen.status import view
from firstseen.status.exposition import CONTENT_TYPE, exposition
from firstseen.status.families import Facts, described
from firstseen.status.observer import Observer
from firstseen.status.process import ProcessReader
from firstseen.status.report import Reason
from firstseen.status.view.page import HEADERS as PAGE_HEADERS
from firstseen.status.view.page import page

FRESH_S = 1.0
"""For how long an answer is given again: whoever asks often gets the same, and costs nothing."""

REALM = 'realm="firstseen", charset="UTF-8"'

HEADERS = (
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
)
"""Of every answer that does not have its own."""

JSON = "application/json"

ASSETS = {
    "/page.css": "text/css; charset=utf-8",
    "/page.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}


class Site:
    """Answers requests from ``observer``; ``clock`` is steady, in seconds."""

    def __init__(
        self, observer: Observer, settings: Http, process: ProcessReader | None, clock: Callable[[], float]
    ) -> None:
        self._observer = observer
        self._process = process
        self._clock = clock
        self._token = settings.secret
        names = [*settings.hosts, *([settings.listen.host] if settings.listen is not None else [])]
        self._names = frozenset(["localhost", *(_plain(str(name)) for name in names if name)])
        self._made: dict[str, tuple[float, Response]] = {}
        self._pages = MappingProxyType({"/": self._page, "/metrics": self._metrics, "/status": self._status})
        self._assets = MappingProxyType({path: _asset(path, kind) for path, kind in ASSETS.items()})

    def answer(self, request: Request) -> Response:
        """The answer to any request that reads."""
        host = request.headers.get("host")
        if host is not None and not self._is_ours(host):
            return refusal(421, "not under this name: if it is one of this agent's, list it in http.hosts")
        if request.path == "/livez":
            return Response(200, b"alive\n")
        allowed = self._is_allowed(request)
        if request.path == "/readyz":
            return _readiness(self._observer.reasons(), request, in_full=allowed)
        if not allowed:
            asked = (("www-authenticate", f"Bearer {REALM}"), ("www-authenticate", f"Basic {REALM}"))
            return refusal(401, "http.token is asked for, as a Bearer token or as a password", *asked)
        if request.path in self._assets:
            return self._assets[request.path]
        make = self._pages.get(request.path)
        if make is None:
            return Response(404, f"there is {', '.join([*self._pages, '/livez', '/readyz'])}\n".encode())
        return self._fresh(request.path, make)

    def _fresh(self, path: str, make: Callable[[], Response]) -> Response:
        now_s = self._clock()
        made_s, response = self._made.get(path, (-FRESH_S, None))
        if response is None or now_s - made_s >= FRESH_S:
            response = make()
            self._made[path] = (now_s, response)
        return response

    def _page(self) -> Response:
        return Response(200, page(self._observer.observe()), "text/html; charset=utf-8", PAGE_HEADERS)

    def _metrics(self) -> Response:
        process = None if self._process is None else self._process.read()
        facts = Facts(self._observer.observe(), self._observer.agency.durations, process)
        return Response(200, exposition(described(facts)), CONTENT_TYPE)

    def _status(self) -> Response:
        return _json(200, msgspec.to_builtins(self._observer.observe()))

    def _is_ours(self, host: str) -> bool:
        """Whether the name is an address, which nobody can make lead elsewhere, or one of those that are known."""
        name = _plain(host)
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _is_allowed(self, request: Request) -> bool:
        if self._token is None:
            return True
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return hmac.compare_digest(shown.strip().encode("latin-1"), self._token)
        if scheme.lower() == "basic":
            try:
                pair = base64.b64decode(shown.strip().encode("latin-1"), validate=True)
            except binascii.Error:
                return False
            return hmac.compare_digest(pair.partition(b":")[2], self._token)
        return False


def _asset(path: str, kind: str) -> Response:
    return Response(200, (Path(view.__file__).parent / f"assets{path}").read_bytes(), kind)


def _readiness(reasons: Sequence[Reason], request: Request, *, in_full: bool) -> Response:
    status = 503 if reasons else 200
    if JSON in request.headers.get("accept", ""):
        told = [{"code": each.code} | ({"text": each.text} if in_full else {}) for each in reasons]
        return _json(status, {"ready": not reasons, "reasons": told})
    lines = [f"{each.code}: {each.text}" if in_full else each.code for each in reasons]
    said = "".join(f"{line}\n" for line in ["not ready" if reasons else "ready", *lines])
    return Response(status, said.encode("utf-8", "backslashreplace"))  # a path may hold bytes that are no text


def _json(status: int, told: object) -> Response:
    # In ASCII, with escapes: a path may hold bytes that are no text.
    return Response(status, (json.dumps(told, separators=(",", ":")) + "\n").encode(), JSON)


def _plain(host: str) -> str:
    """The name of a Host header: without a port, brackets, a dot at the end, in small letters."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    name, _, port = host.rpartition(":")
    if name and port.isdecimal() and ":" not in name:
        host = name
    return host.rstrip(".").lower()
