from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import Future
from pathlib import Path

import pytest

from firstseen import config
from firstseen.errors import StoreError
from firstseen.store.compaction import Sizes
from firstseen.upkeep import Upkeep


class Room:
    """A state that does what it is told, or fails with ``error``."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.error: StoreError | None = None

    def resize(self, map_size: int) -> Future[None]:
        self.sizes.append(map_size)
        return self.ended(None)

    def compact(self) -> Future[Sizes]:
        return self.ended(Sizes(8_192, 4_096))

    def ended(self, result: object) -> Future:
        future = Future()
        if self.error is None:
            future.set_result(result)
        else:
            future.set_exception(self.error)
        return future


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "firstseen.toml"
    path.write_text('[state]\nmap_size = "1MiB"\n')
    return path


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def upkeep(file: Path, room: Room) -> Upkeep:
    return Upkeep(config.load(file), room)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def events(told: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in told.records]


def test_another_size_is_taken_once(upkeep, room, file, told):
    upkeep.reload()
    assert room.sizes == []
    file.write_text('[state]\nmap_size = "2MiB"\n')
    upkeep.reload()
    upkeep.reload()
    assert room.sizes == [2 << 20]
    assert events(told) == ["state_resized"]
    file.write_text("")
    upkeep.reload()
    assert room.sizes == [2 << 20, 1 << 30]


def test_a_size_that_cannot_be_taken_is_tried_again(upkeep, room, file, told):
    file.write_text('[state]\nmap_size = "2MiB"\n')
    room.error = StoreError("no room")
    upkeep.reload()
    room.error = None
    upkeep.reload()
    assert room.sizes == [2 << 20, 2 << 20]
    assert events(told) == ["state_not_resized", "state_resized"]


def test_a_configuration_with_a_problem_changes_nothing(upkeep, room, file, told):
    file.write_text('[state]\nmap_size = "2 apples"\npaht = "x"\n')
    upkeep.reload()
    assert room.sizes == []
    assert events(told) == ["reload_problem", "reload_problem"]


def test_compacting_tells_the_sizes(upkeep, told):
    assert json.loads(json.dumps(asyncio.run(upkeep.compact()))) == {"before": 8_192, "after": 4_096}
    assert events(told) == ["state_compacted"]


def test_compacting_that_fails_is_told_of(upkeep, room, told):
    room.error = StoreError("no room for both")
    with pytest.raises(StoreError, match="no room for both"):
        asyncio.run(upkeep.compact())
    assert events(told) == ["state_not_compacted"]
