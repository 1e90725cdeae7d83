"""Makes room in the state while the agent runs: a map of another size at SIGHUP, a compaction when it is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Protocol

from firstseen import config
from firstseen.config import Config
from firstseen.errors import ConfigError, StoreError
from firstseen.logs import event
from firstseen.notation import Size
from firstseen.store.compaction import Sizes

log = logging.getLogger(__name__)


class Room(Protocol):
    """What is asked of a state here: see `firstseen.store.lmdb.LmdbStore`."""

    def resize(self, map_size: int) -> Future[None]:
        """Bound it by so many bytes from now on."""

    def compact(self) -> Future[Sizes]:
        """Write it anew, without the room that is free in it."""


class Upkeep:
    """Called in the event loop. ``configured`` is the configuration that the state was opened with."""

    def __init__(self, configured: Config, room: Room) -> None:
        self._path = configured.path
        self._room = room
        self._size = configured.state.map_size

    def reload(self) -> None:
        """Take ``state.map_size`` from the configuration as it is now; the log says what came of it."""
        try:
            size = config.load(self._path).state.map_size
        except ConfigError as error:
            for problem in error.problems:
                event(log, logging.ERROR, "reload_problem", problem=str(problem))
            return
        if size != self._size:
            self._room.resize(size.bytes).add_done_callback(lambda resized: self._resized(size, resized))

    def _resized(self, size: Size, resized: Future[None]) -> None:
        error = resized.exception()
        if error is not None:
            event(log, logging.ERROR, "state_not_resized", map_size=str(size), reason=str(error))
            return
        event(log, logging.INFO, "state_resized", map_size=str(size), before=str(self._size))
        self._size = size

    async def compact(self) -> Mapping[str, int]:
        """Compact it; the bytes of its file before and after. Raises `StoreError`."""
        try:
            sizes = await asyncio.wrap_future(self._room.compact())
        except StoreError as error:
            event(log, logging.ERROR, "state_not_compacted", reason=str(error))
            raise
        event(log, logging.INFO, "state_compacted", before=sizes.before, after=sizes.after)
        return sizes._asdict()
