"""The folder of a state and the LMDB environment in it: made, opened, checked, and what goes wrong in words."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb

from firstseen.errors import StoreError
from firstseen.store.base import DamagedError, History
from firstseen.store.codec import pack_history, unpack_history
from firstseen.store.pages import missing

if TYPE_CHECKING:
    from lmdb import _Database

SCHEMA = b"3"
"""The version of keys and values. A change of either takes a new one, and a migration.

1: a history had no reach. Its form can still be read.
2: all sightings were plain (`firstseen.store.codec`). Plain ones still are, so they stay until they are written next.
"""
_READABLE = (b"1", b"2", SCHEMA)

DATA, LOCK = "lmdb", "lock"
NEW, OLD = "lmdb.new", "lmdb.old"
"""What is to take the place of ``DATA``, and what had it: see `settle`."""

_NO_ROOM = 1 << 20
"""Bytes left on a disk that is full: some always are, kept back by the file system or not yet given up."""

FILE, LOCK_FILE = "data.mdb", "lock.mdb"
LOCK_SIZE = 8192
"""Bytes of a table of readers, of which LMDB has 126 by default."""

META, TERMS, RULES = TABLE_NAMES = (b"meta", b"terms", b"rules")

NO_STATE = "{} holds no state yet"


def start_anew(path: Path) -> str:
    """What to do where the database in the folder ``path`` is of no use any more."""
    return (
        f"stop firstseen, move {path / DATA} away, and restore a backup with `firstseen state import`, "
        "or fill a new state from past logs with `firstseen backfill`"
    )


def make_folder(path: Path) -> None:
    """Make the folder of a state, for its owner alone, where it is missing."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in it durable: syncing a new file does not cover its entry in the folder."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def hand_over(folder: Path) -> None:
    """Give what root made in the folder of a database to whom the folder of the state belongs.

    Root fills states and looks at them; the agent, which is not root, has to go on with them.
    """
    if os.geteuid() or folder.is_symlink():  # whoever made a link knows whose it is
        return
    owner = folder.parent.stat()
    # Where this root is none that may, of a container for instance, all stays as it is.
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchown(opened, owner.st_uid, owner.st_gid)
            for name in (FILE, LOCK_FILE):
                os.chown(name, owner.st_uid, owner.st_gid, dir_fd=opened, follow_symlinks=False)
        finally:
            os.close(opened)


def settle(path: Path) -> None:
    """Finish, or take back, the exchange of one database for another that a crash interrupted. For the owner only.

    ``DATA`` is renamed to ``OLD``, then ``NEW`` to ``DATA``: whenever there is no ``DATA``, the old one is whole.
    """
    if (path / OLD).exists():
        if (path / DATA).exists():
            shutil.rmtree(path / OLD)
        else:
            (path / OLD).rename(path / DATA)
            sync_folder(path)
    if (path / NEW).exists():
        shutil.rmtree(path / NEW)


def is_there(path: Path) -> bool:
    """Whether there is a database in the folder ``path``. Raises `StoreError` where that cannot be seen."""
    try:
        return (path / DATA / FILE).exists()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


def read_only(path: Path) -> lmdb.Environment:
    """The database in the folder ``path``, beside its owner if it has one. Raises `StoreError` where there is none."""
    if not is_there(path):
        raise StoreError(NO_STATE.format(path))
    try:
        _check(path)
    except OSError as error:
        raise StoreError(f"{path / DATA / FILE} cannot be read: {error.strerror}") from error
    try:
        _have_lock_file(path / DATA)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"{path / DATA / LOCK_FILE} finds no room: {error.strerror}; make room on its disk"
            ) from error
        # Whatever else it is, LMDB says so; and does without on a file system that is for reading only.
    try:
        # A map size of 0 takes over the one that the writer set.
        env = lmdb.open(str(path / DATA), map_size=0, max_dbs=len(TABLE_NAMES), readonly=True, create=False)
    except lmdb.Error as error:
        raise StoreError(explanation(path, error)) from error
    hand_over(path / DATA)
    return env


def writable(path: Path, map_size: int, *, durable: bool) -> lmdb.Environment:
    """The database in the folder ``path``, for its owner, made where it is missing. Raises `lmdb.Error`, `OSError`."""
    if (path / DATA / FILE).exists():
        _check(path)
    else:
        # Made beside its place: a file that is there and empty is then no beginning, but the end of one.
        with environment(path / NEW, map_size, durable=durable) as env:
            open_tables(path, env)
        sync_folder(path / NEW)
        (path / DATA / LOCK_FILE).unlink(missing_ok=True)
        (path / NEW).rename(path / DATA)
        sync_folder(path)
    env = environment(path / DATA, map_size, durable=durable)
    env.reader_check()  # slots of readers that died would keep their pages for ever
    return env


def environment(folder: Path, map_size: int, *, durable: bool) -> lmdb.Environment:
    """The environment in this folder, made where it is missing. Raises `lmdb.Error` or `OSError`."""
    _have_lock_file(folder)
    # One spare transaction: every claim reads in one of its own, and renewing it costs half of making it.
    env = lmdb.open(
        str(folder),
        map_size=map_size,
        mode=0o700,
        max_dbs=len(TABLE_NAMES),
        max_spare_txns=1,
        sync=durable,
        metasync=durable,
    )
    hand_over(folder)
    return env


def _have_lock_file(folder: Path) -> None:
    """Have room on the disk for its table of readers, which LMDB makes a hole and maps: a full disk ends who looks."""
    folder.mkdir(mode=0o700, exist_ok=True)
    file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(file, 0, LOCK_SIZE)
    finally:
        os.close(file)


def _check(path: Path) -> None:
    """Raises `StoreError` where the file lacks something: what is not there and is looked at ends the process."""
    file = path / DATA / FILE
    if not file.stat().st_size:
        raise StoreError(f"{file} is empty; {start_anew(path)}")
    lacks = missing(file)
    if lacks is not None:
        raise StoreError(
            f"{file} is cut short: it has {lacks.size} bytes, and needs {lacks.needed}; {start_anew(path)}"
        )


def open_tables(path: Path, env: lmdb.Environment) -> tuple[_Database, _Database, _Database]:
    """Its tables, ``meta``, ``terms`` and ``rules``, made where there are none. Raises `StoreError` or `lmdb.Error`."""
    with env.begin() as txn, txn.cursor() as cursor:
        names = {name for name, _ in cursor}
    if not names and env.flags()["readonly"]:
        raise StoreError(NO_STATE.format(path))
    if names and b"meta" not in names:
        raise StoreError(f"{path / DATA} holds an LMDB database that is not firstseen's: name another folder")
    if not names:
        # One transaction: a crash leaves either nothing or all of it.
        with env.begin(write=True) as txn:
            for name in TABLE_NAMES:
                env.open_db(name, txn)
            txn.put(b"schema", SCHEMA, db=env.open_db(b"meta", txn))
    # A handle outlives the transaction that made it only if that one is committed, which a reading one is not when it
    # goes back among the spare ones: without a transaction given, the library makes and commits one.
    meta, terms, rules = (env.open_db(name, create=False) for name in TABLE_NAMES)
    with env.begin(meta) as txn:
        schema = txn.get(b"schema")
    if schema not in _READABLE:
        found = "no schema" if schema is None else f"schema {schema.decode('ascii', 'replace')}"
        raise StoreError(
            f"the state in {path} has {found}, this version of firstseen works with schema {SCHEMA.decode()}: "
            "use the version that wrote it, or name another folder and fill it with `firstseen backfill`"
        )
    if schema != SCHEMA and not env.flags()["readonly"]:
        _migrate(path, env, meta, rules)
    return meta, terms, rules


def unreadable(path: Path, key: bytes, error: ValueError) -> DamagedError:
    """What lies under ``key`` cannot be read."""
    return DamagedError(
        f"the state in {path} holds something unreadable under the key {key.hex()}: {error}; {start_anew(path)}"
    )


def history_at(path: Path, key: bytes, raw: bytes) -> History:
    """The history that lies under ``key``. Raises `StoreError`."""
    try:
        return unpack_history(key, raw)
    except ValueError as error:
        raise unreadable(path, key, error) from error


def _migrate(path: Path, env: lmdb.Environment, meta: _Database, rules: _Database) -> None:
    """Bring an earlier version to this one. One transaction: a crash leaves either version, whole.

    Terms are not touched, however many there are: what was written can be read, and what is written from now on an
    earlier version must not see.
    """
    with env.begin(write=True) as txn:
        with txn.cursor(rules) as cursor:
            histories = [history_at(path, key, raw) for key, raw in cursor]
        for history in histories:
            txn.put(history.rule.key, pack_history(history), db=rules)
        txn.put(b"schema", SCHEMA, db=meta)


def is_passing(error: lmdb.Error) -> bool:
    """Whether the next transaction may succeed: there was no room. What LMDB itself finds broken stays broken.

    A positive code is the operating system's (a full disk, a quota). LMDB gives up the transaction, and where that left
    a page in doubt it says so with a `PanicError` from the next one: see `firstseen.store.owned`.
    """
    return error.code > 0 or is_full(error)


def is_full(error: lmdb.Error) -> bool:
    """Whether the transaction was too large, for the map or for LMDB: a smaller one may find room."""
    return isinstance(error, lmdb.MapFullError | lmdb.TxnFullError)


def is_damage(error: lmdb.Error) -> bool:
    """Whether a page is not what it should be."""
    return isinstance(error, lmdb.CorruptedError | lmdb.PageNotFoundError)


def _room(path: Path) -> int | None:
    """Bytes that are left on the file system of the folder ``path``; None where that is not known."""
    try:
        system = os.statvfs(path)
    except OSError:
        return None
    return system.f_bavail * system.f_frsize


def explanation(path: Path, error: lmdb.Error, map_size: int | None = None) -> str:
    """What went wrong, in an operator's words, and what to do about it."""
    match error:
        case lmdb.MapFullError():
            size = "" if map_size is None else f" of {map_size} bytes"
            return (
                f"the state in {path} is full: its map_size{size} is used up; set a larger map_size under [state] "
                "(the agent takes it at SIGHUP), run `firstseen state compact`, or stop it and forget something "
                "(`firstseen state forget`); until then nothing new is remembered, and the senders keep what is not "
                "acknowledged"
            )
        case lmdb.VersionMismatchError():
            return f"the state in {path} was written by another version of LMDB ({error}); {start_anew(path)}"
        case lmdb.InvalidError():
            return f"{path / DATA} holds no LMDB database ({error}); {start_anew(path)}"
        case lmdb.PanicError():  # of this process's environment, and not of the file
            return f"the state in {path} failed while it was written ({error}): start firstseen anew"
        case _ if is_damage(error):
            return f"{path / DATA / FILE} is damaged ({error}); {start_anew(path)}"
        case lmdb.Error(code=errno.EIO) if (room := _room(path)) is not None and room < _NO_ROOM:
            # What LMDB calls a write of which the disk took a part only.
            return (
                f"the state in {path} finds no room: its disk has {room} bytes left ({error}); make room on it; until "
                "then nothing new is remembered, and the senders keep what is not acknowledged"
            )
        case _:
            return f"the state in {path} cannot be used: {error}"
