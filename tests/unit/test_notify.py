import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firstseen.notify import MOST_WAITING, RETRY_S, Notifier
from support.logged import events


class Timers:
    """A loop's timers, of which the test says when they are due."""

    def __init__(self) -> None:
        self.set: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> "Timer":
        entry = (seconds, call)
        self.set.append(entry)
        return Timer(lambda: self.set.remove(entry))

    def due(self) -> None:
        """Let all that is set happen once."""
        due, self.set[:] = self.set[:], []
        for _, call in due:
            call()


class Timer:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


class Manager:
    """The manager's end: what it was told, as assignments."""

    def __init__(self, address: str | bytes) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def told(self) -> list[dict[str, str]]:
        messages = []
        while True:
            try:
                message = self._socket.recv(4096).decode()
            except BlockingIOError:
                return messages
            messages.append(dict(line.split("=", 1) for line in message.split("\n")))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(place: str) -> Iterator[Manager]:
    made = Manager(place)
    yield made
    made.close()


@pytest.fixture
def told(place: str, manager: Manager, timers: Timers) -> Iterator[Notifier]:
    made = Notifier(place, 10.0, timers.call_later)
    yield made
    made.close()


def test_a_life(told: Notifier, manager: Manager, timers: Timers) -> None:
    told.ready("14 rules run")
    assert manager.told() == [{"READY": "1", "STATUS": "14 rules run"}, {"WATCHDOG": "1"}]
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    told.reloading()
    told.ready("15 rules run")
    reloading, ready = manager.told()
    assert reloading["RELOADING"] == "1"
    assert before_us <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    assert ready == {"READY": "1", "STATUS": "15 rules run"}
    told.stopping("settles what it has", 32.5)
    assert manager.told() == [
        {"STOPPING": "1", "STATUS": "settles what it has", "EXTEND_TIMEOUT_USEC": "32500000"},
    ]


def test_who_stops_is_not_ready_any_more(told: Notifier, manager: Manager) -> None:
    """A reload that was under way ends meanwhile, or another one is asked for."""
    told.stopping("settles what it has", 30)
    told.reloading()
    told.ready("14 rules run")

    assert [next(iter(each)) for each in manager.told()] == ["STOPPING"]


def test_a_name_that_is_no_text_is_spelled_out(told: Notifier, manager: Manager) -> None:
    told.ready("something old is kept: \udcff.toml:1: no rule")
    assert manager.told()[0]["STATUS"] == r"something old is kept: \udcff.toml:1: no rule"


def test_the_watchdog_is_fed_twice_in_its_time_until_the_end(told: Notifier, manager: Manager, timers: Timers) -> None:
    assert timers.set == []
    told.ready("")
    told.ready("again")
    manager.told()
    for _ in range(3):
        assert [seconds for seconds, _ in timers.set] == [5.0]
        timers.due()
        assert manager.told() == [{"WATCHDOG": "1"}]
    told.stopping("", 1.0)
    timers.due()
    assert manager.told()[-1] == {"WATCHDOG": "1"}
    told.close()
    assert timers.set == []


def test_no_watchdog_is_fed_where_nobody_asks_for_it(place: str, manager: Manager, timers: Timers) -> None:
    notifier = Notifier(place, None, timers.call_later)
    notifier.ready("")
    assert manager.told() == [{"READY": "1", "STATUS": ""}]
    assert timers.set == []
    notifier.close()


def test_abstract_sockets(timers: Timers) -> None:
    name = f"firstseen-test-{secrets.token_hex(8)}"
    manager = Manager(f"\0{name}")
    notifier = Notifier(f"@{name}", None, timers.call_later)
    notifier.ready("here")
    assert manager.told() == [{"READY": "1", "STATUS": "here"}]
    notifier.close()
    manager.close()


def test_without_a_manager_nothing_is_sent(timers: Timers) -> None:
    notifier = Notifier(None, 10.0, timers.call_later)
    notifier.ready("")
    notifier.reloading()
    notifier.stopping("", 1.0)
    notifier.close()
    assert timers.set == []


def test_a_status_stays_one_line(told: Notifier, manager: Manager) -> None:
    told.ready("the rules are kept:\nREADY=0\n  why")
    assert manager.told()[0] == {"READY": "1", "STATUS": "the rules are kept: READY=0 why"}


def test_what_a_busy_manager_does_not_take_comes_later_in_order_and_once(
    told: Notifier, manager: Manager, timers: Timers
) -> None:
    told.ready("first")
    sent = 2
    while [seconds for seconds, _ in timers.set] == [5.0]:
        told.ready(f"{sent}")
        sent += 1
        assert sent < 10_000
    told.reloading()
    timers.due()  # the manager still sleeps; the watchdog's meal need not wait in line a second time
    assert sorted(seconds for seconds, _ in timers.set) == [RETRY_S, 5.0]
    seen = []
    while RETRY_S in [seconds for seconds, _ in timers.set]:
        seen += manager.told()
        timers.due()
    seen += manager.told()
    states = [message for message in seen if "WATCHDOG" not in message]
    assert [message.get("STATUS") for message in states] == ["first", *map(str, range(2, sent)), None]
    assert "RELOADING" in states[-1]


def test_a_manager_that_is_gone_is_told_of_once(
    place: str, timers: Timers, caplog: pytest.LogCaptureFixture, manager: Manager
) -> None:
    notifier = Notifier(place, 10.0, timers.call_later)
    manager.close()
    notifier.ready("")
    notifier.reloading()
    notifier.ready("")
    (happening,) = events(caplog)
    assert (happening["event"], happening["reason"]) == ("service_manager_not_told", "Connection refused")
    assert timers.set == []


def test_a_manager_that_takes_nothing_any_more_costs_no_memory(
    told: Notifier, timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(MOST_WAITING * 100):
        told.reloading()
    (happening,) = events(caplog)
    assert happening["event"] == "service_manager_not_told"
    assert timers.set == []


@pytest.mark.parametrize(
    ("environment", "fed"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_environment_says_whether_there_is_a_watchdog(
    place: str, manager: Manager, timers: Timers, environment: dict[str, str], fed: float | None
) -> None:
    notifier = Notifier.of({"NOTIFY_SOCKET": place, **environment}, os.getpid(), timers.call_later)
    notifier.ready("")
    assert manager.told()[0]["READY"] == "1"
    assert [seconds for seconds, _ in timers.set] == ([] if fed is None else [fed])
    notifier.close()


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_no_manager_in_the_environment(environment: dict[str, str], timers: Timers) -> None:
    Notifier.of({**environment, "WATCHDOG_USEC": "3000000"}, 1, timers.call_later).ready("")
    assert timers.set == []


def test_a_socket_of_another_kind_is_told_of(timers: Timers, caplog: pytest.LogCaptureFixture) -> None:
    Notifier.of({"NOTIFY_SOCKET": "vsock:2:1234"}, 1, timers.call_later).ready("")
    assert events(caplog) == [{"event": "notify_socket_unknown", "level": "warning", "address": "vsock:2:1234"}]
