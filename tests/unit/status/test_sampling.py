import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from firstseen.errors import StoreError
from firstseen.status import sampling as module
from firstseen.status.sampling import Sampling
from firstseen.store.base import Stats
from support.desk import TIMEOUT_S

STATS = Stats(entries=1, used_bytes=2, file_bytes=3, map_size=4)


def run(test: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(test())


class Disk:
    """A store whose size is known when the test says so."""

    def __init__(self, *, slow: bool = False) -> None:
        self.error: Exception | None = None
        self.looks = 0
        self.go = threading.Event()
        if not slow:
            self.go.set()

    def stats(self) -> Stats:
        self.looks += 1
        assert self.go.wait(TIMEOUT_S)
        if self.error is not None:
            raise self.error
        return STATS


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not true():  # noqa: ASYNC110  # another thread has to do something
            await asyncio.sleep(0.001)


def test_looks_at_once_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_S", 0.005)
    disk, notes = Disk(), []

    async def test() -> None:
        sampling = Sampling(disk, lambda: 1_000, lambda: notes.append(1))
        assert sampling.latest is None
        sampling.start()
        await until(lambda: sampling.latest is not None and disk.looks >= 3)
        assert sampling.latest == (STATS, 1_000)
        assert len(notes) >= 3
        await sampling.stop()
        looks = disk.looks
        await asyncio.sleep(0.02)
        assert disk.looks == looks

    run(test)


def test_one_look_at_a_time_and_stopping_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_S", 0.001)
    disk = Disk(slow=True)

    async def test() -> None:
        sampling = Sampling(disk, lambda: 0, lambda: None)
        sampling.start()
        await until(lambda: disk.looks == 1)
        await asyncio.sleep(0.02)
        assert disk.looks == 1
        stopping = asyncio.create_task(sampling.stop())
        await asyncio.sleep(0.01)
        assert not stopping.done()
        disk.go.set()
        await stopping

    run(test)


def test_a_state_that_cannot_be_read_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SAMPLE_S", 0.001)
    disk = Disk()
    disk.error = StoreError("gone")

    async def test() -> None:
        sampling = Sampling(disk, lambda: 0, lambda: None)
        sampling.start()
        await until(lambda: disk.looks >= 3)
        assert sampling.latest is None
        disk.error = None
        await until(lambda: sampling.latest is not None)
        await sampling.stop()

    with caplog.at_level(logging.WARNING):
        run(test)
    assert [record.getMessage() for record in caplog.records] == ["state_not_measured"]


def test_a_mistake_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    disk.error = KeyError("ours")
    faults: list[object] = []

    async def test() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
        sampling = Sampling(disk, lambda: 0, lambda: None)
        sampling.start()
        await until(lambda: bool(faults))
        await sampling.stop()

    run(test)
    assert faults == [disk.error]


def test_nothing_to_stop() -> None:
    async def test() -> None:
        await Sampling(Disk(), lambda: 0, lambda: None).stop()

    run(test)
