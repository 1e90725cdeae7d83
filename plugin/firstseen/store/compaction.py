"""A state's database written anew, without the room that is free in it, and put in the place of the old one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import lmdb

from firstseen.errors import StoreError
from firstseen.store.codec import repacked
from firstseen.store.disk import (
    DATA,
    FILE,
    LOCK,
    META,
    NEW,
    NO_STATE,
    OLD,
    SCHEMA,
    TABLE_NAMES,
    TERMS,
    environment,
    explanation,
    open_tables,
    read_only,
    settle,
    sync_folder,
)
from firstseen.store.lock import OwnerLock
from firstseen.store.writer import CommitError

if TYPE_CHECKING:
    from lmdb import _Database

_AT_ONCE = 10_000
"""Items written in one transaction."""


class Sizes(NamedTuple):
    """Bytes of the database's file, before and after."""

    before: int
    after: int


def compact(path: Path, map_size: int | None = None) -> Sizes:
    """Compact the state in the folder ``path``; a crash at any point leaves the old database or the new one, whole.

    Bounded by ``map_size`` bytes from then on, where that is less than before, or by the size that the file had.
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
            with read_only(path) as old:
                bound = old.info()["map_size"]
                if map_size is not None:
                    bound = max(min(bound, map_size), before)
                copy(old, bound, dict(zip(TABLE_NAMES, open_tables(path, old), strict=True)), path)
            exchange(path)
            shutil.rmtree(path / OLD)
        except lmdb.Error as error:
            raise StoreError(explanation(path, error)) from error
        except OSError as error:
            raise StoreError(f"{path} cannot be compacted: {error.strerror}") from error
        return Sizes(before, (path / DATA / FILE).stat().st_size)


def copy(
    old: lmdb.Environment,
    map_size: int,
    tables: Mapping[bytes, _Database],
    path: Path,
    gives_up: Callable[[], bool] = lambda: False,
) -> None:
    """Write the database anew into the folder ``NEW`` of the state's folder, durably; nobody writes it meanwhile.

    ``map_size`` bounds the new one, in bytes.

    Raises `CommitError` where it ``gives_up`` half way; then nothing of it is left.

    Key by key and not page by page: in the order of their keys, terms fill their pages to the last byte, where those
    that came in the order of time leave a third of each empty. And each in the form in which it is written today.
    """
    with ExitStack() as undo:
        (path / NEW).mkdir(mode=0o700)
        undo.callback(shutil.rmtree, path / NEW)
        with environment(path / NEW, map_size, durable=False) as new:
            for name, table in tables.items():
                target, form = new.open_db(name), repacked if name == TERMS else _as_it_is
                for batch in _batches(old, table, form):
                    if gives_up():
                        raise CommitError(f"the state in {path} is closed, and not compacted")
                    with new.begin(target, write=True) as writing, writing.cursor() as end:
                        end.putmulti(batch, append=True)
            with new.begin(new.open_db(META), write=True) as txn:
                txn.put(b"schema", SCHEMA)
            new.sync(True)
        sync_folder(path / NEW)
        undo.pop_all()


def exchange(path: Path) -> None:
    """Put the database in ``NEW`` in the place of the other, which is ``OLD`` then; neither is open. See `settle`."""
    # The folder, not the file: beside a new file the old one's table of readers would lead others astray.
    (path / DATA).rename(path / OLD)
    (path / NEW).rename(path / DATA)
    sync_folder(path)


def _as_it_is(raw: bytes) -> bytes:
    return raw


def _batches(
    old: lmdb.Environment, source: _Database, form: Callable[[bytes], bytes]
) -> Iterator[list[tuple[bytes, bytes]]]:
    with old.begin(source) as reading, reading.cursor() as cursor:
        items = ((key, form(raw)) for key, raw in cursor)
        while batch := list(islice(items, _AT_ONCE)):
            yield batch
