from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from firstseen import logforward
from firstseen.logforward import MOST_WAITING, LogForward
from firstseen.logs import as_fields, event
from firstseen.notation import Endpoint
from support.peer_frames import Frame
from support.peers import Reply, Sink

TIMEOUT_S = 60.0


def quiet(_: Frame) -> Reply:
    """The client waits for no answer, and takes one for a sign that the connection is over."""
    return Reply()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink(quiet) as made:
        yield made


def log_to(handler: logging.Handler) -> logging.Logger:
    log = logging.Logger("firstseen.test")
    log.addHandler(handler)
    return log


def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_lines_arrive_as_records(sink: Sink) -> None:
    handler = LogForward(Endpoint(sink.address), "agent.log", "info")
    log = log_to(handler)
    event(log, logging.WARNING, "chunk_rejected", peer="192.0.2.7:1", size=7, reason="broken \udcff", tags=["a", "b"])
    event(log, logging.DEBUG, "too_small")
    event(log, logging.INFO, "ready", version=None)
    handler.close()
    sink.wait_for(2)
    first, second = (entry.record for entry in sink.entries)
    assert {frame.tag for frame in sink.frames} == {"agent.log"}
    assert first.items() >= {"level": "warning", "event": "chunk_rejected", "size": 7, "tags": ["a", "b"]}.items()
    assert first["reason"].startswith("broken ")
    assert (second["event"], second["level"], set(second)) == ("ready", "info", {"time", "level", "event"})
    assert handler.lost == 0
    event(log, logging.INFO, "too late")
    handler.close()
    assert handler.lost == 1


def test_a_server_that_comes_later_gets_what_waited(sink: Sink) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    handler = LogForward(Endpoint(f"127.0.0.1:{port}"), "t", "info", pause_s=0.02)
    log = log_to(handler)
    for number in range(20):
        event(log, logging.INFO, f"happening {number}")
    time.sleep(0.05)
    with Sink(quiet, port=port) as late:
        late.wait_for(20)
        assert [entry.record["event"] for entry in late.entries] == [f"happening {number}" for number in range(20)]
        late.drop()
        until(lambda: not late._open)
        event(log, logging.INFO, "after")
        late.wait_for(21)
        until(lambda: not handler._waiting)
    handler.close()
    assert handler.lost == 0


def test_nobody_waits_for_a_server_that_is_away_and_what_is_lost_is_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    handler = LogForward(Endpoint(f"127.0.0.1:{port}"), "t", "info", pause_s=0.01)
    log = log_to(handler)
    for number in range(MOST_WAITING + 50):
        event(log, logging.INFO, f"happening {number}")
    assert handler.lost == 50
    handler.close()
    assert handler.lost == MOST_WAITING + 50
    assert not handler._thread.is_alive()


def test_a_server_that_takes_nothing_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logforward, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(logforward, "CLOSING_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        handler = LogForward(Endpoint(f"127.0.0.1:{listening.getsockname()[1]}"), "t", "info", pause_s=0.01)
        log = log_to(handler)
        begun_s = time.process_time()
        for _ in range(MOST_WAITING * 2):
            event(log, logging.INFO, "much", text=["x" * 900] * 20)
        until(lambda: handler.lost > 0)
        assert time.process_time() - begun_s < TIMEOUT_S
        handler.close()


def test_over_a_unix_socket(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "log"))
        listening.listen()

        def serve() -> None:
            accepted, _ = listening.accept()
            with accepted:
                heard.append(accepted.recv(1 << 16))

        thread = threading.Thread(target=serve)
        thread.start()
        handler = LogForward(Endpoint(f"unix:{tmp_path}/log"), "t", "info")
        event(log_to(handler), logging.INFO, "happened")
        thread.join(TIMEOUT_S)
        handler.close()
    assert b"happened" in heard[0]


def test_a_line_that_made_room_while_it_was_sent_is_not_lost(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logforward, "MOST_WAITING", 1)
    sending, may_send = threading.Event(), threading.Event()
    real = logforward.FluentSender.emit_with_time

    def slowly(self: logforward.FluentSender, *given: object) -> bool:
        sending.set()
        may_send.wait(TIMEOUT_S)
        taken: bool = real(self, *given)
        return taken

    monkeypatch.setattr(logforward.FluentSender, "emit_with_time", slowly)
    handler = LogForward(Endpoint(sink.address), "t", "info")
    log = log_to(handler)
    event(log, logging.INFO, "first")
    sending.wait(TIMEOUT_S)
    event(log, logging.INFO, "second")
    assert handler.lost == 1
    may_send.set()
    sink.wait_for(2)
    handler.close()
    assert handler.lost == 0


@contextmanager
def answering(said: bytes, *, end: bool) -> Iterator[tuple[int, list[bytes]]]:
    """A server that says something to whoever connects, hears what follows soon, and may end the connection itself."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    accepted, _ = listening.accept()
                    with accepted:
                        accepted.sendall(said)
                        heard.append(b"" if end else accepted.recv(1 << 16))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], heard
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(TIMEOUT_S)


@pytest.mark.parametrize(
    ("said", "end", "reason"),
    [
        (b"", True, "ends every connection at once"),
        (b"\x92\xa4HELO\x80", False, "asks for a shared key"),
        (b"220 mail.example.com", False, "speaks first"),
    ],
)
def test_a_server_that_wants_something_else_gets_no_line_and_that_is_said(
    said: bytes, end: bool, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(said, end=end) as (port, heard):
        handler = LogForward(Endpoint(f"127.0.0.1:{port}"), "t", "info", pause_s=0.01)
        log = log_to(handler)
        for number in range(5):
            event(log, logging.INFO, f"happening {number}")
        until(lambda: len(heard) > 2)
        assert handler.lost == 0
        handler.close()
    assert not any(heard)
    assert handler.lost == 5
    told = [as_fields(record) for record in caplog.records]
    assert [line["event"] for line in told] == ["log_not_forwarded", "log_lines_lost"]
    assert all(reason in str(line["reason"]) for line in told)
    assert told[1]["lines"] == 5


def test_what_went_to_a_server_that_asks_late_is_lost_and_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        handler = LogForward(Endpoint(f"127.0.0.1:{port}"), "t", "info", pause_s=0.01)
        log = log_to(handler)
        event(log, logging.INFO, "first")
        accepted, _ = listening.accept()
        with accepted:
            assert b"first" in accepted.recv(1 << 16)
            until(lambda: not handler._waiting)
            accepted.sendall(b"\x92\xa4HELO\x80")
            event(log, logging.INFO, "second")
            until(lambda: handler.lost == 1)
    handler.close()
    assert handler.lost == 2


def test_a_connection_that_the_server_has_ended_is_made_anew_and_nothing_is_said(
    sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    handler = LogForward(Endpoint(sink.address), "t", "info")
    log = log_to(handler)
    for number in range(3):
        event(log, logging.INFO, f"happening {number}")
        sink.wait_for(number + 1)
        until(lambda: not handler._waiting)  # the client looks once more after it has written
        sink.drop()
        until(lambda: not sink._open)
    handler.close()
    assert (handler.lost, caplog.records) == (0, [])


def test_that_it_works_again_is_said_and_what_is_said_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    handler = LogForward(Endpoint(f"127.0.0.1:{port}"), "t", "info", pause_s=0.01)
    logging.getLogger().addHandler(handler)
    try:
        event(logging.getLogger("firstseen.test"), logging.INFO, "happened")
        until(lambda: len(caplog.records) > 1)
        with Sink(quiet, port=port) as late:
            late.wait_for(1)
            until(lambda: len(caplog.records) > 2)
            handler.close()
            assert [entry.record["event"] for entry in late.entries] == ["happened"]
    finally:
        logging.getLogger().removeHandler(handler)
    assert [as_fields(record)["event"] for record in caplog.records] == [
        "happened",
        "log_not_forwarded",
        "log_forwarded_again",
    ]


def test_no_socket_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handler = LogForward(Endpoint(f"unix:{tmp_path}/none"), "t", "info", pause_s=0.01)
    event(log_to(handler), logging.INFO, "happened")
    handler.close()
    assert handler.lost == 1
    assert "No such file" in str(as_fields(caplog.records[0])["reason"])
