"""The database of a state as its one owner has it: written, opened anew under way, and left alone where it is gone."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.steps import nothing
from firstseen.store.base import DamagedError, Memory
from firstseen.store.disk import (
    DATA,
    FILE,
    environment,
    explanation,
    is_damage,
    is_full,
    is_passing,
    is_there,
    settle,
    writable,
)
from firstseen.store.lock import OwnerLock
from firstseen.store.tables import Tables
from firstseen.store.writer import CommitError, NoRoomError

_GONE = (
    "the state in {} was taken away: put it back, or start the agent anew, which takes what is there then or begins a "
    "new one; until then nothing new is remembered, and the senders keep what is not acknowledged"
)

_Found = TypeVar("_Found")


class OwnedTables(Tables):
    """The database in the folder ``path``, made where it is missing, of up to ``map_size`` bytes; ``owner`` is held.

    Without ``durable`` nothing waits for the disk. Only one thread writes. Raises what `writable` does, and
    `StoreError` where it holds no state.
    """

    def __init__(self, path: Path, map_size: int, owner: OwnerLock, *, durable: bool) -> None:
        self._map_size = map_size
        self._durable = durable
        self._owner = owner
        self._damage: DamagedError | None = None  # the first that was found
        self._writing = threading.Lock()  # of who writes, or opens anew
        self._is_shut = False  # it was closed to be opened anew, and that failed
        super().__init__(path, lambda: writable(path, map_size, durable=durable))

    def _use(self, open_env: Callable[[], lmdb.Environment]) -> None:
        super()._use(open_env)
        self._place = self._path / DATA / FILE
        self._file = self._place.stat()

    def _require_place(self) -> None:
        """Raises `CommitError` where what is written now, nobody would find after a restart."""
        try:
            is_here = os.path.samestat(self._file, self._place.stat())
        except OSError:
            is_here = False
        if not is_here or self._owner.is_gone:
            raise CommitError(_GONE.format(self._path))

    def _read(self, table: bytes, find: Callable[[Any], _Found]) -> _Found:
        env = self._env
        try:
            return super()._read(table, find)
        except DamagedError as error:
            self._damage = self._damage or error
            raise
        except StoreError as error:
            is_as_it_was = self._env is env and not self._is_shut
            if is_as_it_was and not isinstance(error.__cause__, lmdb.PanicError):
                raise
        with self._writing:
            if self._env is env:  # else the writer was faster
                self._recover()
        return super()._read(table, find)

    def _decoded(self, key: bytes, raw: bytes) -> tuple[Memory, tuple[TermValue, ...]]:
        try:
            return super()._decoded(key, raw)
        except DamagedError as error:
            self._damage = self._damage or error
            raise

    def _put(self, *changes: tuple[bytes, Mapping[bytes, bytes | None]]) -> None:
        """One transaction: in each table each key with its value, or with None gone. Raises `StoreError`."""
        with self._writing:
            self._require_place()
            if self._is_shut:
                self._recover()
            try:
                try:
                    self._write_all(changes)
                except lmdb.PanicError:
                    self._recover()
                    self._write_all(changes)
            except lmdb.Error as error:
                what = explanation(self._path, error, self._map_size)
                if is_damage(error):
                    damage = DamagedError(what)
                    self._damage = self._damage or damage
                    raise damage from error
                kind = NoRoomError if is_full(error) else CommitError if is_passing(error) else StoreError
                raise kind(what) from error

    def _write_all(self, changes: Iterable[tuple[bytes, Mapping[bytes, bytes | None]]]) -> None:
        with self._env.begin(write=True) as txn:
            for table, values in changes:
                for key in sorted(values):
                    value = values[key]
                    if value is None:
                        txn.delete(key, db=self._tables[table])
                    else:
                        txn.put(key, value, db=self._tables[table])

    def _recover(self) -> None:
        """Open it again after a commit of which LMDB does not know what the disk has: the caller is ``_writing``.

        LMDB uses the environment no more, not even to read. The file holds the last transaction or the one before, and
        what was not acknowledged is written once more. Raises as `_anew` does.
        """
        self._anew(self._map_size, nothing)

    def _anew(self, map_size: int, change: Callable[[], None]) -> int:
        """Close the database, ``change`` its files, and open it again; nobody reads or writes meanwhile.

        Returns the bytes that bound it then: ``map_size``, or more where its file takes more.

        Raises `CommitError` where it is as it was before, or where the disk does not let it be opened now: then that is
        tried again by who reads or writes next. Raises `StoreError` where it never will be.
        """
        self._require_place()
        with self._reading:
            self._env.close()
            self._is_shut = True
            try:
                change()
                self._again(map_size)
            except (OSError, StoreError, lmdb.Error) as error:
                self._back()
                raise CommitError(f"the state in {self._path} stays as it was: {error}") from error
            self._map_size = map_size
            bound: int = self._env.info()["map_size"]
        return bound

    def _back(self) -> None:
        try:
            settle(self._path)
            self._again(self._map_size)
        except (OSError, StoreError, lmdb.Error) as error:
            cause = error.__cause__ if isinstance(error, StoreError) else error
            what = f"the state in {self._path} cannot be opened again: {error}"
            if isinstance(cause, lmdb.Error) and not is_passing(cause):
                raise StoreError(f"{what}; start the agent anew") from error
            raise CommitError(f"{what}; it is tried again until it can") from error

    def _again(self, map_size: int) -> None:
        if not is_there(self._path):  # LMDB would begin an empty one
            raise StoreError(_GONE.format(self._path))
        self._use(lambda: environment(self._path / DATA, map_size, durable=self._durable))
        self._is_shut = False
