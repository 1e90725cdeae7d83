"""The database of a state as its one owner has it: written, opened anew under way, and left alone where it is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import lmdb

from firstseen.errors import StoreError
from firstseen.store.disk import DATA, FILE, environment, explanation, is_full, is_passing, is_there, settle, writable
from firstseen.store.lock import OwnerLock
from firstseen.store.tables import Tables
from firstseen.store.writer import CommitError, NoRoomError

_GONE = (
    "the state in {} was taken away: put it back, or start the agent anew, which takes what is there then or begins a "
    "new one; until then nothing new is remembered, and the senders keep what is not acknowledged"
)


class OwnedTables(Tables):
    """The database in the folder ``path``, made where it is missing, of up to ``map_size`` bytes; ``owner`` is held.

    Without ``durable`` nothing waits for the disk. Only one thread writes. Raises what `writable` does, and
    `StoreError` where it holds no state.
    """

    def __init__(self, path: Path, map_size: int, owner: OwnerLock, *, durable: bool) -> None:
        self._map_size = map_size
        self._durable = durable
        self._owner = owner
        super().__init__(path, lambda: writable(path, map_size, durable=durable))

    def _use(self, open_env: Callable[[], lmdb.Environment]) -> None:
        super()._use(open_env)
        self._file = (self._path / DATA / FILE).stat()

    def _require_place(self) -> None:
        """Raises `CommitError` where what is written now, nobody would find after a restart."""
        try:
            is_here = os.path.samestat(self._file, (self._path / DATA / FILE).stat())
        except OSError:
            is_here = False
        if not is_here or self._owner.is_gone:
            raise CommitError(_GONE.format(self._path))

    def _put(self, *changes: tuple[bytes, Mapping[bytes, bytes | None]]) -> None:
        """One transaction: in each table each key with its value, or with None gone. Raises `StoreError`."""
        self._require_place()
        try:
            with self._env.begin(write=True) as txn:
                for table, values in changes:
                    for key in sorted(values):
                        value = values[key]
                        if value is None:
                            txn.delete(key, db=self._tables[table])
                        else:
                            txn.put(key, value, db=self._tables[table])
        except lmdb.Error as error:
            kind = NoRoomError if is_full(error) else CommitError if is_passing(error) else StoreError
            raise kind(explanation(self._path, error, self._map_size)) from error

    def _anew(self, map_size: int, change: Callable[[], None]) -> None:
        """Close the database, ``change`` its files, and open it again; nobody reads or writes meanwhile.

        Raises `CommitError` where it is as it was before.
        """
        self._require_place()
        with self._reading:
            self._env.close()
            try:
                change()
                self._use(lambda: self._again(map_size))
            except (OSError, StoreError, lmdb.Error) as error:
                settle(self._path)
                self._use(lambda: self._again(self._map_size))
                raise CommitError(f"the state in {self._path} stays as it was: {error}") from error
            self._map_size = map_size

    def _again(self, map_size: int) -> lmdb.Environment:
        if not is_there(self._path):  # LMDB would begin an empty one
            raise StoreError(_GONE.format(self._path))
        return environment(self._path / DATA, map_size, durable=self._durable)
