from __future__ import annotations

import asyncio
import json
import logging

import pytest

from firstseen.errors import StoreError
from firstseen.notation import Size
from firstseen.upkeep import Upkeep
from support.keeping import Room
from support.logged import events as fields


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def upkeep(room: Room) -> Upkeep:
    return Upkeep(Size("1MiB"), room)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def events(told: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in told.records]


def resized(upkeep: Upkeep, size: str) -> str | None:
    """What was wrong, if anything."""

    async def ask() -> str | None:
        done = asyncio.get_running_loop().create_future()
        upkeep.resize(Size(size), done.set_result)
        return await done

    return asyncio.run(ask())


def test_another_size_is_taken_once(upkeep, room, told):
    assert resized(upkeep, "1MiB") is None
    assert room.sizes == []
    assert resized(upkeep, "2MiB") is None
    assert resized(upkeep, "2MiB") is None
    assert room.sizes == [2 << 20]
    assert events(told) == ["state_resized"]


@pytest.mark.parametrize(("size", "limit"), [("2MiB", 3 << 20), ("4MiB", 4 << 20)])
def test_what_bounds_it_then_is_told(upkeep, room, told, size, limit):
    room.file_size = 3 << 20
    assert resized(upkeep, size) is None
    assert [(each["map_size"], each["limit"]) for each in fields(told)] == [(size, limit)]


def test_a_size_that_cannot_be_taken_is_tried_again(upkeep, room, told):
    room.error = StoreError("no room")
    assert resized(upkeep, "2MiB") == "no room"
    assert events(told) == []
    room.error = None
    assert resized(upkeep, "2MiB") is None
    assert room.sizes == [2 << 20, 2 << 20]
    assert events(told) == ["state_resized"]


def test_a_mistake_is_nothing_that_an_operator_is_told_of(upkeep, room):
    room.error = RuntimeError("a mistake")

    async def ask() -> object:
        loop = asyncio.get_running_loop()
        came = loop.create_future()
        loop.set_exception_handler(lambda _, context: came.set_result(context["exception"]))
        upkeep.resize(Size("2MiB"), came.set_result)
        return await came

    assert asyncio.run(ask()) is room.error


def test_compacting_tells_the_sizes(upkeep, told):
    assert json.loads(json.dumps(asyncio.run(upkeep.compact()))) == {"before": 8_192, "after": 4_096}
    assert events(told) == ["state_compacted"]


def test_compacting_that_fails_is_told_of(upkeep, room, told):
    room.error = StoreError("no room for both")
    with pytest.raises(StoreError, match="no room for both"):
        asyncio.run(upkeep.compact())
    assert events(told) == ["state_not_compacted"]
