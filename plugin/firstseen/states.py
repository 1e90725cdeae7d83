"""Where a state is, and how it is opened: a database in a directory, or a server that a fleet shares.

What only a shared state needs is imported when there is one: it takes as long to import as all the rest.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from firstseen.config import Config, State
from firstseen.config.state import PREFIX
from firstseen.errors import StoreError
from firstseen.logs import complain, event
from firstseen.model import TermValue
from firstseen.stateurl import StateUrl
from firstseen.store.base import Entry, History, Pruning, RuleState, SharedStore, Solitude, StateReader, Store
from firstseen.store.disk import NO_STATE, is_there
from firstseen.store.lmdb import LmdbReader, LmdbStore
from firstseen.store.redis.access import Access

if TYPE_CHECKING:
    from firstseen.store.redis.fallback import Fallback
    from firstseen.store.redis.link import Link
    from firstseen.store.redis.merging import Merging
    from firstseen.store.redis.store import RedisStore

log = logging.getLogger(__name__)

DEFAULT_MAP_SIZE = State().map_size.bytes
DEFAULT_PREFIX = State().prefix


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

    def register(self, rules: Iterable[RuleState], now_ms: int) -> Sequence[int]:
        """See `firstseen.store.base.Claims.register`."""

    def absorb(self, histories: Sequence[History], entries: Sequence[Entry]) -> None:
        """Take what another state knows into this one (`firstseen.store.merge`), durably."""

    def forget(self, rule_key: bytes, terms: Sequence[Sequence[TermValue]]) -> None:
        """Remember these no longer."""

    def forget_history(self, rule_key: bytes) -> None:
        """Let a history begin anew when its rule is loaded next."""

    def fold(self, found: Mapping[bytes, Entry], marks: Mapping[bytes, bytes]) -> int:
        """See `firstseen.backfill.filling.Fillable`."""

    def mark(self, name: bytes) -> bytes | None:
        """What `fold` kept under ``name``."""


def configured(config: Config) -> Place:
    """The state of the agent that runs by ``config``."""
    state = config.state
    if state.url is None:
        return OnDisk(state.path, state.map_size.bytes)
    tls = state.tls
    sentinel = (state.sentinel.username, state.sentinel.secret)
    access = Access(state.username, state.secret, tls.ca, tls.cert, tls.key, tls.verify, *sentinel)
    return Shared(state.url, state.prefix, access)


def named(text: str, prefix: str | None = None) -> Place:
    """What is meant by a directory or an address on a command line, and by the prefix beside an address.

    Raises `ValueError` for an address or a prefix that is none, and for a prefix beside a directory.
    """
    if "://" not in text:
        if prefix is not None:
            raise ValueError("a prefix is for a state at a URL")
        return OnDisk(Path(text))
    if prefix is not None and re.fullmatch(PREFIX, prefix) is None:
        raise ValueError(f"a prefix is 1 to 64 ASCII characters, got {prefix!r}")
    return Shared(StateUrl(text), DEFAULT_PREFIX if prefix is None else prefix)


def require(place: Place) -> None:
    """Raises `StoreError` where something is not installed that a state there needs."""
    if isinstance(place, Shared):
        _link(place).close()


def read(place: Place) -> StateReader:
    """Look into the state, beside the agents that write it. Raises `StoreError` where there is none."""
    reader = read_if_there(place)
    if reader is None:
        raise StoreError(NO_STATE.format(place))
    return reader


def read_if_there(place: Place) -> StateReader | None:
    """As `read`; None where there is nothing at that place yet."""
    match place:
        case OnDisk(path):
            return LmdbReader.open(path) if is_there(path) else None
        case Shared():
            with ExitStack() as undo:
                editor = _editor(place, undo)
                if not editor.is_there():
                    return None
                undo.pop_all()
            return editor


def edit(place: Place) -> StateEditor:
    """Change the state, which is made where there is none. One on disk must not be in use, one that is shared may be.

    Raises `StoreError`.
    """
    match place:
        case OnDisk(path):
            return LmdbStore.open(path, _map_size(place))
        case Shared():
            with ExitStack() as undo:
                editor = _editor(place, undo)
                editor.begin()
                undo.pop_all()
            return editor


class Opened(NamedTuple):
    """An agent's state; the same where it is shared, and where it does not forget by itself; what of it is on disk.

    ``solitude`` tells how it does where it may go on alone.
    """

    store: Store
    shared: SharedStore | None
    pruning: Pruning | None
    on_disk: LmdbStore | None
    solitude: Callable[[], Solitude] = Solitude


def open_state(config: Config, trouble: Callable[[StoreError | None], None]) -> Opened:
    """The state of the agent that runs by ``config``. Raises `StoreError`."""
    place, state = configured(config), config.state
    if isinstance(place, OnDisk):
        on_disk = LmdbStore.open(place.path, _map_size(place), trouble=trouble)
        return Opened(on_disk, None, on_disk, on_disk)
    if state.when_away == "local":
        fallback = _with_copy(place, state, trouble)
        return Opened(fallback, fallback, fallback, fallback.copy, lambda: fallback.solitude)
    with ExitStack() as undo:
        part = undo.enter_context(closing(_part(place, state, trouble)))
        part.begin()
        _warn(part)
        undo.pop_all()
    return Opened(part, part, None, None)


def _warn(part: RedisStore) -> None:
    for hazard in part.hazards():
        event(log, logging.WARNING, "state_at_risk", reason=hazard)


def _with_copy(place: Shared, state: State, trouble: Callable[[StoreError | None], None]) -> Fallback:
    from firstseen.store.redis.fallback import Fallback

    with ExitStack() as undo:
        copy = undo.enter_context(
            closing(LmdbStore.open(state.path, state.map_size.bytes, trouble=trouble, alone=True))
        )
        fallback = Fallback(
            lambda: undo.enter_context(closing(_part(place, state, lambda _: None))),  # it tells of that by itself
            copy,
            _tell_of_solitude,
            _warn,
            tell_of_copy=_tell_of_copy,
        )
        undo.pop_all()
    return fallback


def _tell_of_solitude(reason: StoreError | None) -> None:
    if reason is None:
        event(log, logging.INFO, "state_shared_again")
    else:
        complain(log, logging.ERROR, "state_away", (str(reason),), reason=str(reason))


def _tell_of_copy(reason: StoreError | None) -> None:
    if reason is None:
        event(log, logging.INFO, "state_copied_again")
    else:
        complain(log, logging.WARNING, "state_not_copied", (str(reason),), reason=str(reason))


def _part(place: Shared, state: State, trouble: Callable[[StoreError | None], None]) -> RedisStore:
    from firstseen.store.redis.owner import Owner
    from firstseen.store.redis.store import RedisStore

    with ExitStack() as undo:
        link = undo.enter_context(closing(_link(place)))
        owner = Owner.take(state.path)
        undo.callback(owner.release)
        part = RedisStore(link, place.prefix.encode(), owner, state.lease.ms, trouble)
        undo.pop_all()
    return part


def _editor(place: Shared, undo: ExitStack) -> Merging:
    link = _link(place)
    undo.callback(link.close)
    from firstseen.store.redis.merging import Merging

    return Merging(link, place.prefix.encode())


def _link(place: Shared) -> Link:
    try:
        from firstseen.store.redis.link import Link
    except ImportError as error:
        raise StoreError(f"a state at {place.url} needs the package redis: pip install 'firstseen[redis]'") from error
    return Link(place.url, place.access)


def _map_size(place: OnDisk) -> int:
    if place.map_size is not None:
        return place.map_size
    if not is_there(place.path):
        return DEFAULT_MAP_SIZE
    reader = LmdbReader.open(place.path)
    try:
        return reader.stats().map_size
    finally:
        reader.close()
