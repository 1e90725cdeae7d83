import contextlib
import os
import pty
import signal
import time
from collections.abc import Iterator

import pytest

from firstseen.cli import screen
from firstseen.cli.screen import Screen


class Ends:
    """Standard input and output, which are terminals or not."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_when_there_are_colours(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, variables: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", Ends(terminal))
    assert screen.has_colours() is coloured


@pytest.mark.parametrize(
    ("stdin", "stdout", "term", "drawable"),
    [
        (True, True, "xterm", True),
        (True, True, "dumb", False),
        (False, True, "xterm", False),
        (True, False, "xterm", False),
    ],
)
def test_what_can_be_drawn_on(
    monkeypatch: pytest.MonkeyPatch, stdin: bool, stdout: bool, term: str, drawable: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("sys.stdin", Ends(stdin))
    monkeypatch.setattr("sys.stdout", Ends(stdout))
    assert screen.is_drawable() is drawable


def test_the_size_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "132")
    monkeypatch.setenv("LINES", "43")
    assert screen.size() == (132, 43)


class Lost:
    """While it is cleared away a signal comes, and Python drops what is raised by that."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            signal.raise_signal(self._number)


class Written:
    """Standard output that is the other end of a terminal."""

    encoding = "utf-8"

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard input and output lead to one."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r+b", buffering=0) as end:
        monkeypatch.setattr("sys.stdin", end)
        monkeypatch.setattr("sys.stdout", Written(theirs))
        yield
    os.close(ours)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_it_is_not_lost_with_its_exception(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Screen() as drawn:
        lost = Lost(number)
        del lost
        with pytest.raises((KeyboardInterrupt, SystemExit)) as raised:
            drawn.key(time.monotonic() + 60)
    assert isinstance(raised.value, KeyboardInterrupt) == (number == signal.SIGINT)
    assert getattr(raised.value, "code", 128 + number) == 128 + number
    assert signal.getsignal(number) is before
