"""Where a state is, and how it is opened: a database in a directory, or a server that a fleet shares.

What only a shared state needs is imported when there is one: it takes as long to import as all the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from firstseen.config import Config, State
from firstseen.errors import StoreError
from firstseen.logs import event
from firstseen.model import TermValue
from firstseen.notation import Size
from firstseen.stateurl import StateUrl
from firstseen.store.base import Entry, History, Pruning, SharedStore, StateReader, Store
from firstseen.store.lmdb import LmdbReader, LmdbStore
from firstseen.store.redis.access import Access

if TYPE_CHECKING:
    from firstseen.store.redis.fallback import Fallback
    from firstseen.store.redis.link import Link
    from firstseen.store.redis.merging import Merging
    from firstseen.store.redis.store import RedisStore

log = logging.getLogger(__name__)

DEFAULT_MAP_SIZE = Size("1GiB").bytes
DEFAULT_PREFIX = "firstseen:"
SPARE = 1 << 24
"""Bytes beyond a full map that forgetting may use: what is deleted is rewritten first."""


class OnDisk(NamedTuple):
    """A state in the directory ``path``, of up to ``map_size`` bytes; None where it says so itself, if it is there."""

    path: Path
    map_size: int | None = None

    def __str__(self) -> str:
        return str(self.path)


class Shared(NamedTuple):
    """A state on a server, under ``prefix``."""

    url: StateUrl
    prefix: str = DEFAULT_PREFIX
    access: Access = Access()

    def __str__(self) -> str:
        return f"{self.url} ({self.prefix})"


Place = OnDisk | Shared


class StateEditor(StateReader, Protocol):
    """A state that can be changed by hand; everything raises `StoreError`."""

    def absorb(self, histories: Sequence[History], entries: Sequence[Entry]) -> None:
        """Take what another state knows into this one (`firstseen.store.merge`), durably."""

    def forget(self, rule_key: bytes, terms: Sequence[Sequence[TermValue]]) -> None:
        """Remember these no longer."""

    def forget_history(self, rule_key: bytes) -> None:
        """Let a history begin anew when its rule is loaded next."""


def configured(config: Config) -> Place:
    """The state of the agent that runs by ``config``."""
    state = config.state
    if state.url is None:
        return OnDisk(state.path, state.map_size.bytes)
    tls = state.tls
    sentinel = (state.sentinel.username, state.sentinel.secret)
    access = Access(state.username, state.secret, tls.ca, tls.cert, tls.key, tls.verify, *sentinel)
    return Shared(state.url, state.prefix, access)


def named(text: str) -> Place:
    """What is meant by a directory or an address on a command line. Raises `ValueError` for an address that is none."""
    return Shared(StateUrl(text)) if "://" in text else OnDisk(Path(text))


def read(place: Place) -> StateReader:
    """Look into the state, beside the agents that write it. Raises `StoreError` where there is none."""
    match place:
        case OnDisk(path):
            return LmdbReader.open(path)
        case Shared():
            editor = _editor(place)
            editor.check()
            return editor


def edit(place: Place, *, spare: int = 0) -> StateEditor:
    """Change the state, which is made where there is none. One on disk must not be in use, one that is shared may be.

    ``spare`` is room that one on disk may take beyond its bound. Raises `StoreError`.
    """
    match place:
        case OnDisk(path):
            return LmdbStore.open(path, _map_size(place) + spare)
        case Shared():
            editor = _editor(place)
            editor.begin()
            return editor


class Opened(NamedTuple):
    """An agent's state; the same where it is shared, and where it does not forget by itself; what of it is on disk."""

    store: Store
    shared: SharedStore | None
    pruning: Pruning | None
    on_disk: LmdbStore | None


def open_state(config: Config, trouble: Callable[[StoreError | None], None]) -> Opened:
    """The state of the agent that runs by ``config``. Raises `StoreError`."""
    place, state = configured(config), config.state
    if isinstance(place, OnDisk):
        on_disk = LmdbStore.open(place.path, _map_size(place), trouble=trouble)
        return Opened(on_disk, None, on_disk, on_disk)
    if state.when_away == "local":
        fallback = _with_copy(place, state, trouble)
        return Opened(fallback, fallback, fallback, fallback.copy)
    part = _part(place, state, trouble)
    try:
        part.begin()
        _warn(part)
    except StoreError:
        part.close()
        raise
    return Opened(part, part, None, None)


def _warn(part: RedisStore) -> None:
    for hazard in part.hazards():
        event(log, logging.WARNING, "state_at_risk", reason=hazard)


def _with_copy(place: Shared, state: State, trouble: Callable[[StoreError | None], None]) -> Fallback:
    from firstseen.store.redis.fallback import Fallback

    copy = LmdbStore.open(state.path, state.map_size.bytes, trouble=trouble, alone=True)
    try:
        return Fallback(lambda away: _part(place, state, away), copy, _tell_of_solitude, _warn)
    except BaseException:
        copy.close()
        raise


def _tell_of_solitude(reason: StoreError | None) -> None:
    if reason is None:
        event(log, logging.INFO, "state_shared_again")
    else:
        event(log, logging.ERROR, "state_away", reason=str(reason))


def _part(place: Shared, state: State, trouble: Callable[[StoreError | None], None]) -> RedisStore:
    from firstseen.store.redis.owner import Owner
    from firstseen.store.redis.store import RedisStore

    link = _link(place)
    return RedisStore(link, place.prefix.encode(), Owner.take(state.path), state.lease.ms, trouble)


def _editor(place: Shared) -> Merging:
    from firstseen.store.redis.merging import Merging

    return Merging(_link(place), place.prefix.encode())


def _link(place: Shared) -> Link:
    try:
        from firstseen.store.redis.link import Link
    except ImportError as error:
        raise StoreError(f"a state at {place.url} needs the package redis: pip install 'firstseen[redis]'") from error
    return Link(place.url, place.access)


def _map_size(place: OnDisk) -> int:
    if place.map_size is not None:
        return place.map_size
    if not (place.path / "lmdb").exists():
        return DEFAULT_MAP_SIZE
    reader = LmdbReader.open(place.path)
    try:
        return reader.stats().map_size
    finally:
        reader.close()
