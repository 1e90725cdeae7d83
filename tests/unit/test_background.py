from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import pytest

from firstseen import background
from firstseen.background import NEVER, TURN_S, Background


def run(test: Callable[[Background], Awaitable[None]]) -> None:
    async def with_it() -> None:
        aside = Background(asyncio.get_running_loop().call_soon_threadsafe)
        try:
            await test(aside)
        finally:
            aside.close()

    asyncio.run(with_it())


async def done(aside: Background, work: Callable[[], Any]) -> Any:
    ended: asyncio.Future[Future[Any]] = asyncio.get_running_loop().create_future()
    aside.run(work, ended.set_result)
    return (await ended).result()


def test_work_is_done_in_another_thread_and_told_in_the_loop() -> None:
    async def test(aside: Background) -> None:
        told: list[int] = []
        over = asyncio.Event()

        def then(ended: Future[int]) -> None:
            told.extend((ended.result(), threading.get_ident()))
            over.set()

        aside.run(threading.get_ident, then)
        await over.wait()
        assert told[0] != told[1] == threading.get_ident()

    run(test)


def test_what_goes_wrong_is_told_too() -> None:
    async def test(aside: Background) -> None:
        with pytest.raises(ZeroDivisionError):
            await done(aside, lambda: 1 // 0)
        assert await done(aside, lambda: 7) == 7

    run(test)


def test_the_loop_has_short_waits_meanwhile_and_all_is_as_it_was_afterwards() -> None:
    before = (sys.getswitchinterval(), gc.get_threshold())

    async def test(aside: Background) -> None:
        interval, thresholds = await done(aside, lambda: (sys.getswitchinterval(), gc.get_threshold()))
        assert interval == pytest.approx(TURN_S)
        assert thresholds == (*before[1][:2], NEVER)
        with pytest.raises(ZeroDivisionError):
            await done(aside, lambda: 1 // 0)
        assert (sys.getswitchinterval(), gc.get_threshold()) == before

    run(test)


def test_work_stands_still_for_as_long_as_it_took_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    clock = [0.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return clock[0]

        @staticmethod
        def sleep(seconds: float) -> None:
            slept.append(seconds)

    async def test(aside: Background) -> None:
        def work() -> None:
            for now_s in (0.001, 0.003, 0.004):
                clock[0] = now_s
                aside.give_way()

        await done(aside, work)
        assert slept == [pytest.approx(0.003 * background.REST)]

    with monkeypatch.context() as patched:
        patched.setattr(background, "time", Time)
        run(test)


def test_nothing_comes_of_what_is_under_way_at_the_end() -> None:
    async def test() -> None:
        aside = Background(asyncio.get_running_loop().call_soon_threadsafe)
        begun = threading.Event()
        worked: list[str] = []
        told: list[Future[Any]] = []

        def work() -> None:
            begun.set()
            while not aside.closed:
                time.sleep(0.001)
            worked.append("first")
            try:
                aside.give_way()
            except Exception:  # noqa: BLE001  # as one may that goes on without what failed
                worked.append("goes on")
            worked.append("more of it")

        aside.run(work, told.append)
        aside.run(lambda: worked.append("second"), told.append)
        await asyncio.to_thread(begun.wait)
        aside.close()
        aside.run(lambda: worked.append("third"), told.append)
        await asyncio.sleep(0)
        assert (worked, told) == (["first"], [])
        assert "firstseen-background" not in [thread.name for thread in threading.enumerate()]

    asyncio.run(test())


def test_what_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PATIENCE_S", 0.05)
    late: list[Callable[[], None]] = []
    begun, free = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        free.wait(30)

    aside = Background(late.append)
    aside.run(work, lambda _: None)
    begun.wait(30)
    (thread,) = [each for each in threading.enumerate() if each.name == "firstseen-background"]
    aside.close()
    assert thread.is_alive()
    assert thread.daemon, "else the process would wait for it at its end"
    free.set()
    thread.join(30)
    assert not thread.is_alive()
    assert late == [], "the loop may be closed by then"
