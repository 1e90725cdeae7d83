"""A state's database written anew without the room that deleted terms left, and put in the place of the old one."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import lmdb

from firstseen.errors import StoreError
from firstseen.store.disk import DATA, FILE, LOCK, NEW, NO_STATE, OLD, explanation, read_only, settle, sync_folder
from firstseen.store.lock import OwnerLock


class Sizes(NamedTuple):
    """Bytes of the database's file, before and after."""

    before: int
    after: int


def compact(path: Path) -> Sizes:
    """Compact the state in the folder ``path``; a crash at any point leaves the old database or the new one, whole.

    The disk has to have room for both. Who reads the old database meanwhile reads it to its end. Raises `StoreError`
    where there is no state, where another process owns it, or where it cannot be read or written.
    """
    with ExitStack() as stack:
        try:
            if not path.is_dir():
                raise StoreError(NO_STATE.format(path))
            stack.callback(OwnerLock.take(path / LOCK).release)
            settle(path)
            before = (path / DATA / FILE).stat().st_size if (path / DATA / FILE).exists() else 0
            _copy(path)
            # The folder, not the file: beside a new file the old one's table of readers would lead others astray.
            (path / DATA).rename(path / OLD)
            (path / NEW).rename(path / DATA)
            sync_folder(path)
            shutil.rmtree(path / OLD)
        except lmdb.Error as error:
            raise StoreError(explanation(path, error)) from error
        except OSError as error:
            raise StoreError(f"{path} cannot be compacted: {error.strerror}") from error
        return Sizes(before, (path / DATA / FILE).stat().st_size)


def _copy(path: Path) -> None:
    """Write the database anew into the folder ``NEW`` beside it, durably."""
    new = path / NEW
    with ExitStack() as undo:
        env = read_only(path)
        undo.callback(env.close)
        new.mkdir(mode=0o700)
        undo.callback(shutil.rmtree, new)
        env.copy(str(new), compact=True)
        file = os.open(new / FILE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)
        sync_folder(new)
        undo.pop_all()
        env.close()
