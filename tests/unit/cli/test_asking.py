from pathlib import Path

import pytest

from firstseen.cli.asking import ask, status
from firstseen.config import Http
from firstseen.config.secret import Secret
from firstseen.config.sections import ServerTls
from firstseen.errors import FirstseenError
from firstseen.net.tls import server_context
from firstseen.notation import Endpoint
from support.answering import Answering, http_answer, reported
from support.authority import Authority, Pem
from support.told import alert
from support.told import status as told

TIMEOUT_S = 60.0
TOKEN = Secret("correct horse battery")


def at(port: int, scheme: str = "", **more: object) -> Http:
    return Http(listen=Endpoint(f"{scheme}127.0.0.1:{port}"), **more)  # type: ignore[arg-type]


def tls(pem: Pem) -> ServerTls:
    return ServerTls(cert=pem.cert, key=pem.key)


def test_a_report() -> None:
    report = told(latest_alerts=[alert()])
    with Answering(reported(report)) as agent:
        assert status(at(agent.port), TIMEOUT_S) == report
    assert agent.requests[0].startswith(b"GET /status HTTP/1.1\r\n")
    assert b"Authorization" not in agent.requests[0]


def test_a_report_with_a_path_that_is_no_text() -> None:
    report = told(rules__problems=["\udcff.toml: cannot be read"])
    with Answering(reported(report)) as agent:
        assert status(at(agent.port), TIMEOUT_S).rules.problems == ("\udcff.toml: cannot be read",)


def test_the_token_is_shown() -> None:
    with Answering(reported(told())) as agent:
        status(at(agent.port, token=TOKEN), TIMEOUT_S)
    assert b"Authorization: Bearer correct horse battery\r\n" in agent.requests[0]


def test_a_token_that_the_agent_does_not_know() -> None:
    with (
        Answering([http_answer(b"", "401 Unauthorized")]) as agent,
        pytest.raises(FirstseenError, match="401: has the"),
    ):
        status(at(agent.port, token=TOKEN), TIMEOUT_S)


def test_what_is_no_report() -> None:
    for body in (b"hello", b"{}", b"[1]"):
        with Answering([http_answer(body)]) as agent, pytest.raises(FirstseenError, match="is no report"):
            status(at(agent.port), TIMEOUT_S)


def test_under_tls_the_token_is_for_who_shows_the_certificate(tmp_path: Path) -> None:
    root = Authority(tmp_path, "root")
    own, other = root.issue("collector.example.com"), root.issue("other.example.com")
    with Answering(reported(told()), server_context(own.cert, own.key)) as agent:
        status(at(agent.port, "tls://", token=TOKEN, tls=tls(own)), TIMEOUT_S)
    assert b"Bearer" in agent.requests[0]
    with (
        Answering(reported(told()), server_context(other.cert, other.key)) as agent,
        pytest.raises(FirstseenError, match="shows another certificate"),
    ):
        status(at(agent.port, "tls://", token=TOKEN, tls=tls(own)), TIMEOUT_S)
    assert agent.requests == []


def test_nobody_there_and_nothing_to_ask() -> None:
    with Answering([]) as agent:
        port = agent.port
    with pytest.raises(FirstseenError, match=r"no answer from 127\.0\.0\.1"):
        ask(at(port), "/livez", TIMEOUT_S)
    with pytest.raises(FirstseenError, match="another one at each start"):
        ask(at(0), "/livez", TIMEOUT_S)
    with pytest.raises(FirstseenError, match=r'http\.listen is ""'):
        ask(Http(listen=None), "/livez", TIMEOUT_S)
