"""Makes room in the state while the agent runs: a map of another size at SIGHUP, a compaction when it is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol

from firstseen.errors import StoreError
from firstseen.logs import event
from firstseen.notation import Size
from firstseen.store.compaction import Sizes

log = logging.getLogger(__name__)


class Room(Protocol):
    """What is asked of a state here: see `firstseen.store.lmdb.LmdbStore`."""

    def resize(self, map_size: int) -> Future[int]:
        """Bound it by so many bytes from now on, or by more where it takes more; the bytes that bound it then."""

    def compact(self) -> Future[Sizes]:
        """Write it anew, without the room that is free in it."""


class Upkeep:
    """Called in the event loop. The state was opened with the bound ``size``."""

    def __init__(self, size: Size, room: Room) -> None:
        self._room = room
        self._size = size

    def resize(self, size: Size, then: Callable[[str | None], None]) -> None:
        """Bound the state by ``size``; ``then`` is called in the loop, with what was wrong if it could not be."""
        if size == self._size:
            then(None)
            return
        loop = asyncio.get_running_loop()
        self._room.resize(size.bytes).add_done_callback(
            lambda resized: loop.call_soon_threadsafe(self._resized, size, then, resized)
        )

    def _resized(self, size: Size, then: Callable[[str | None], None], resized: Future[int]) -> None:
        error = resized.exception()
        if error is not None and not isinstance(error, StoreError | OSError):
            raise error
        if error is not None:
            then(str(error))
            return
        # A file does not become smaller by that: what it takes already stays its bound.
        event(log, logging.INFO, "state_resized", map_size=str(size), before=str(self._size), limit=resized.result())
        self._size = size
        then(None)

    async def compact(self) -> Mapping[str, int]:
        """Compact it; the bytes of its file before and after. Raises `StoreError`."""
        try:
            sizes = await asyncio.wrap_future(self._room.compact())
        except StoreError as error:
            event(log, logging.ERROR, "state_not_compacted", reason=str(error))
            raise
        event(log, logging.INFO, "state_compacted", before=sizes.before, after=sizes.after)
        return sizes._asdict()
