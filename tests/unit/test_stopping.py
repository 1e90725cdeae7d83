from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from firstseen.stopping import STOPS, Signals, Stopped
from support.signals import heard_as_before


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with heard_as_before():
        yield


def listening() -> Signals:
    signals = Signals()
    signals.hear()
    signals.at_once()
    return signals


@pytest.mark.parametrize("number", STOPS)
def test_it_ends_where_it_is_told_to(number: signal.Signals) -> None:
    signals = listening()
    signals.halt()
    with pytest.raises(Stopped):
        os.kill(os.getpid(), number)


def test_a_second_one_is_no_news() -> None:
    signals = listening()
    with pytest.raises(Stopped):
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped):
        signals.halt()


@pytest.mark.parametrize("number", STOPS)
def test_what_must_not_be_broken_off_in_the_middle_comes_to_its_end_first(number: signal.Signals) -> None:
    signals = Signals()
    signals.hear()
    os.kill(os.getpid(), number)
    with pytest.raises(Stopped):
        signals.at_once()


@pytest.mark.parametrize("number", STOPS)
def test_later_it_ends_at_the_next_halt(number: signal.Signals) -> None:
    signals = listening()
    signals.only_at_halts()
    os.kill(os.getpid(), number)
    with pytest.raises(Stopped):
        signals.halt()


def test_what_was_passed_over_by_code_that_may_not_fail_ends_it_before_anything_is_opened() -> None:
    signals = listening()
    with pytest.raises(Stopped):
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped):
        signals.only_at_halts()


def test_a_fault_that_somebody_handles_is_not_it() -> None:
    assert not issubclass(Stopped, Exception)


def test_a_reload_is_passed_over() -> None:
    signals = listening()
    os.kill(os.getpid(), signal.SIGHUP)
    signals.halt()


@pytest.mark.parametrize("stops", [False, True])
def test_nothing_is_loaded_anew_by_who_stops(stops: bool) -> None:
    assert heard_by_the_loop(signal.SIGHUP, stops=stops) == (stops, [] if stops else ["reload"])


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize("stops", [False, True])
def test_the_first_one_to_stop_drains_and_a_second_one_no_longer_waits_for_that(
    number: signal.Signals, stops: bool
) -> None:
    assert heard_by_the_loop(number, stops=stops) == (True, ["hurry"] if stops else [])


def heard_by_the_loop(number: signal.Signals, *, stops: bool) -> tuple[bool, list[str]]:
    """Whether an agent, which ``stops`` already, stops after that signal, and what else it does."""
    came: list[str] = []

    async def test() -> bool:
        stopping = asyncio.Event()
        if stops:
            stopping.set()
        Signals().hand_over(stopping, (lambda: came.append("hurry"),), lambda: came.append("reload"))
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.05)
        return stopping.is_set()

    return asyncio.run(test()), came


def test_one_that_came_before_the_loop_took_over_is_not_forgotten() -> None:
    signals = listening()
    signals.only_at_halts()
    os.kill(os.getpid(), signal.SIGTERM)

    async def test() -> bool:
        stopping = asyncio.Event()
        signals.hand_over(stopping, (), lambda: None)
        return stopping.is_set()

    assert asyncio.run(test())


@pytest.mark.parametrize("in_a_loop", [False, True])
def test_at_the_end_nothing_is_heard_any_more(in_a_loop: bool) -> None:
    signals = listening()
    signals.only_at_halts()
    stopping = asyncio.Event()

    async def end() -> None:
        signals.hand_over(stopping, (), lambda: None)
        signals.end()

    if in_a_loop:
        asyncio.run(end())
    else:
        signals.end()
    for number in (*STOPS, signal.SIGHUP):
        os.kill(os.getpid(), number)
    signals.halt()
    assert not stopping.is_set()
