import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from firstseen.config import Http
from firstseen.config.secret import Secret
from firstseen.net.http import Request, Response
from firstseen.notation import Endpoint, HostName
from firstseen.status.observer import Observer
from firstseen.status.process import ProcessReader
from firstseen.status.site import Site
from support.agency import agency, now_ms
from support.scrape import Scrape

TOKEN = "correct horse battery"


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())


class Visitor:
    """A site, and somebody who asks it; time stands still but for `later`."""

    def __init__(self, observer: Observer, settings: Http) -> None:
        self.observer = observer
        self.now_s = 100.0
        self._site = Site(observer, settings, ProcessReader(), lambda: self.now_s)

    def ask(self, path: str, host: str | None = "127.0.0.1:24226", **headers: str) -> Response:
        given = {} if host is None else {"host": host}
        return self._site.answer(Request("GET", path, given | headers))


@asynccontextmanager
async def visiting(folder: Path, **settings: Any):
    async with agency(folder) as parts:
        yield Visitor(Observer(parts, now_ms), Http(**settings))


def ready(visitor: Visitor) -> None:
    visitor.observer.stage = "running"
    visitor.observer.agency.forwarder._cut_off_s = None
    visitor.observer.agency.forwarder.reached = True


def test_alive_and_ready(tmp_path: Path) -> None:
    async def test() -> None:
        async with visiting(tmp_path) as visitor:
            assert (visitor.ask("/livez").status, visitor.ask("/livez").body) == (200, b"alive\n")
            assert visitor.ask("/readyz").status == 503
            assert visitor.ask("/readyz").body == (
                b"not ready\nstarting: it does not listen yet\n"
                b"downstream_unreachable: no server downstream was reached yet\n"
            )
            ready(visitor)
            assert (visitor.ask("/readyz").status, visitor.ask("/readyz").body) == (200, b"ready\n")

    run(test)


def test_a_name_that_is_no_text_does_not_hide_why_it_is_not_ready(tmp_path: Path) -> None:
    async def test() -> None:
        async with visiting(tmp_path) as visitor:
            ready(visitor)
            visitor.observer.agency.reloads.problems = ["rules/\udcff.toml:1: no rule"]
            why = r"rules_not_loaded: all is as it was before: rules/\udcff.toml:1: no rule"
            response = visitor.ask("/readyz")
            assert (response.status, response.body.decode()) == (503, f"not ready\n{why}\n")
            (reason,) = json.loads(visitor.ask("/readyz", accept="application/json").body)["reasons"]
            assert reason["text"].endswith("rules/\udcff.toml:1: no rule")
            assert r"rules/\udcff.toml:1: no rule" in visitor.ask("/").body.decode()

    run(test)


def test_ready_as_json(tmp_path: Path) -> None:
    async def test() -> None:
        async with visiting(tmp_path) as visitor:
            ready(visitor)
            response = visitor.ask("/readyz", accept="application/json")
            assert (response.status, response.content_type) == (200, "application/json")
            assert json.loads(response.body) == {"ready": True, "reasons": []}
            visitor.observer.stage = "stopping"
            response = visitor.ask("/readyz", accept="application/json")
            assert response.status == 503
            assert json.loads(response.body)["reasons"] == [
                {"code": "stopping", "text": "it was told to stop, and settles what it has"}
            ]

    run(test)


def test_the_report_and_the_metrics(tmp_path: Path) -> None:
    async def test() -> None:
        async with visiting(tmp_path) as visitor:
            told = json.loads(visitor.ask("/status").body)
            assert told["rules"]["running"][0]["name"] == "A rule for tests"
            response = visitor.ask("/metrics")
            assert response.content_type.startswith("text/plain; version=0.0.4")
            Scrape(response.body.decode()).assert_sums()

    run(test)


def test_the_page_and_what_it_asks_for(tmp_path: Path) -> None:
    async def test() -> None:
        async with visiting(tmp_path) as visitor:
            response = visitor.ask("/")
            assert (response.status, response.content_type) == (200, "text/html; charset=utf-8")
            assert b"A rule for tests" in response.body
            (policy,) = [value for name, value in response.headers if name == "content-security-policy"]
            assert "style-src 'self'; script-src 'self'" in policy
            for path, kind in (("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/icon.svg", "image/svg")):
                asset = visitor.ask(path)
                assert asset.status == 200
                assert asset.content_type.startswith(kind)

    run(test)


def test_what_was_just_made_is_given_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with visiting(tmp_path) as visitor:
            first = visitor.ask("/status")
            visitor.observer.agency.counts.records_in = 5
            visitor.now_s += 0.9
            assert visitor.ask("/status") == first
            visitor.now_s += 0.2
            assert json.loads(visitor.ask("/status").body)["records"]["received"] == 5

    run(test)


def test_nothing_else_is_there(tmp_path: Path) -> None:
    async def test() -> None:
        async with visiting(tmp_path) as visitor:
            for path in ("/x", "/status/", "/../etc/passwd", "*", "http://localhost/status"):
                response = visitor.ask(path)
                assert response.status == 404
                assert path.encode() not in response.body.split(b"\n")

    run(test)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:24226", "192.0.2.7:80", "[::1]", "[::1]:24226", "[fe80::1]:1"),
        *("localhost", "LocalHost:24226", "localhost.", "agent.example.com", "named.example.com:1", None),
    ],
)
def test_names_that_are_ours(tmp_path: Path, host: str | None) -> None:
    async def test() -> None:
        listen = Endpoint("named.example.com:24226")
        async with visiting(tmp_path, hosts=(HostName("agent.example.com"),), listen=listen) as visitor:
            assert visitor.ask("/status", host).status == 200

    run(test)


@pytest.mark.parametrize(
    "host",
    ["evil.example.com", "evil.example.com:24226", "localhost.evil.example.com", "127.0.0.1.nip.example", "", ":1"],
)
@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/readyz", "/livez"])
def test_names_that_a_page_elsewhere_made_up(tmp_path: Path, host: str, path: str) -> None:
    async def test() -> None:
        async with visiting(tmp_path) as visitor:
            response = visitor.ask(path, host)
            assert response.status == 421
            assert b"http.hosts" in response.body

    run(test)


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


@pytest.mark.parametrize(
    "shown", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(f"anybody:{TOKEN}"), basic(f":{TOKEN}")]
)
def test_who_shows_the_token_may_look(tmp_path: Path, shown: str) -> None:
    async def test() -> None:
        async with visiting(tmp_path, token=Secret(TOKEN)) as visitor:
            assert visitor.ask("/status", authorization=shown).status == 200
            assert b"downstream_unreachable: no server" in visitor.ask("/readyz", authorization=shown).body

    run(test)


@pytest.mark.parametrize(
    "shown",
    [
        *(
            "",
            "Bearer",
            "Bearer ",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Digest {TOKEN}",
            TOKEN,
            "Bearer \xff\xfe",
        ),
        *("Basic", "Basic ???", "Basic \xff", basic(TOKEN), basic(f"{TOKEN}:"), basic("a:b")),
    ],
)
def test_who_does_not_is_asked_for_it(tmp_path: Path, shown: str) -> None:
    async def test() -> None:
        async with visiting(tmp_path, token=Secret(TOKEN)) as visitor:
            given = {"authorization": shown} if shown else {}
            for path in ("/", "/page.css", "/status", "/metrics", "/nowhere"):
                response = visitor.ask(path, **given)
                assert response.status == 401
                assert TOKEN.encode() not in response.body
                schemes = [value.split()[0] for name, value in response.headers if name == "www-authenticate"]
                assert schemes == ["Bearer", "Basic"]
            assert visitor.ask("/livez", **given).status == 200
            assert visitor.ask("/readyz", **given).body == b"not ready\nstarting\ndownstream_unreachable\n"
            told = json.loads(visitor.ask("/readyz", accept="application/json", **given).body)
            assert told["reasons"] == [{"code": "starting"}, {"code": "downstream_unreachable"}]

    run(test)


def test_what_is_no_text_is_told_all_the_same(tmp_path: Path) -> None:
    async def test() -> None:
        async with visiting(tmp_path) as visitor:
            lane = visitor.observer.agency.forwarder._lanes[0]
            lane.trouble = "no \udc80 here"
            told = json.loads(visitor.ask("/status").body)
            assert told["output"]["servers"][0]["trouble"] == "no \udc80 here"

    run(test)
