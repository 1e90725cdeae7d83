"""The state in LMDB: one environment of fixed size, written by one process, readable by others meanwhile.

``terms`` holds what is remembered, per 24-byte key (`firstseen.detect.keys.state_key`), ``rules`` what each history is
called and when it began, ``meta`` the version of all that. Read transactions end before anything else happens: an open
one keeps the pages it sees from being used again, and the file grows. The map is never resized while open: that
corrupts where several processes look on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmdb

from firstseen.detect.keys import RULE_KEY_SIZE, state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import Claim, Entry, Memory, RuleState, Stats
from firstseen.store.codec import pack_memory, pack_rule, unpack_memory, unpack_rule
from firstseen.store.ledger import Change, Ledger, resolve
from firstseen.store.lock import OwnerLock
from firstseen.store.writer import CommitError, Writer

if TYPE_CHECKING:
    from lmdb import _Database

SCHEMA = b"1"
"""The version of keys and values. A change of either takes a new one, and a migration."""

_DATA, _LOCK = "lmdb", "lock"
_TABLE_NAMES = (b"meta", b"terms", b"rules")
_MARK = b"mark/"
"""Before the names of marks in the table ``meta``."""

_META_PAGES = 2
_PAGE_OF_ENTRIES = 1_000

_NO_STATE = "{} holds no state yet"
_START_ANEW = (
    "stop firstseen, move the folder away, and restore a copy of it or fill a new one with `firstseen replay --state`"
)


class _Tables:
    """An open environment, and what can be read from it."""

    def __init__(self, path: Path, env: lmdb.Environment) -> None:
        self._path = path
        self._env = env
        try:
            self._meta, self._terms, self._rules = _open_tables(path, env)
        except lmdb.Error as error:
            raise StoreError(_explanation(path, error)) from error

    def get(self, rule_key: bytes, terms: Sequence[TermValue]) -> Memory | None:
        """See `StateReader.get`."""
        return self._memory(state_key(rule_key, terms))

    def entries(self) -> Iterator[Entry]:
        """See `StateReader.entries`."""
        for key, raw in self._items(self._terms):
            memory, terms = self._decoded(key, raw)
            yield Entry(key[:RULE_KEY_SIZE], terms, memory)

    def rules(self) -> Iterator[tuple[RuleState, int]]:
        """See `StateReader.rules`."""
        for key, raw in self._items(self._rules):
            yield self._rule(key, raw)

    def stats(self) -> Stats:
        """See `StateReader.stats`."""
        try:
            with self._env.begin() as txn:
                tables = [txn.stat(), *map(txn.stat, (self._meta, self._terms, self._rules))]
            info = self._env.info()
        except lmdb.Error as error:
            raise StoreError(_explanation(self._path, error)) from error
        page = tables[0]["psize"]
        used = sum(table["branch_pages"] + table["leaf_pages"] + table["overflow_pages"] for table in tables)
        return Stats(
            entries=tables[2]["entries"],
            used_bytes=(_META_PAGES + used) * page,
            file_bytes=(info["last_pgno"] + 1) * page,
            map_size=info["map_size"],
        )

    def close(self) -> None:
        """See `StateReader.close`."""
        self._env.close()

    def _memory(self, key: bytes) -> Memory | None:
        raw = self._raw(key, self._terms)
        return None if raw is None else self._decoded(key, raw)[0]

    def _raw(self, key: bytes, table: _Database) -> bytes | None:
        try:
            with self._env.begin(table) as txn:
                return txn.get(key)
        except lmdb.Error as error:
            raise StoreError(_explanation(self._path, error)) from error

    def _items(self, table: _Database) -> Iterator[tuple[bytes, bytes]]:
        start = b""
        while page := self._page(table, start):
            yield from page
            start = page[-1][0] + b"\0"

    def _page(self, table: _Database, start: bytes) -> list[tuple[bytes, bytes]]:
        try:
            with self._env.begin(table) as txn, txn.cursor() as cursor:
                return list(islice(cursor, _PAGE_OF_ENTRIES)) if cursor.set_range(start) else []
        except lmdb.Error as error:
            raise StoreError(_explanation(self._path, error)) from error

    def _decoded(self, key: bytes, raw: bytes) -> tuple[Memory, tuple[TermValue, ...]]:
        try:
            return unpack_memory(raw)
        except ValueError as error:
            raise self._unreadable(key, error) from error

    def _rule(self, key: bytes, raw: bytes) -> tuple[RuleState, int]:
        try:
            rule_id, name, created_ms = unpack_rule(raw)
        except ValueError as error:
            raise self._unreadable(key, error) from error
        return RuleState(key, rule_id, name), created_ms

    def _unreadable(self, key: bytes, error: ValueError) -> StoreError:
        return StoreError(
            f"the state in {self._path} holds something unreadable under the key {key.hex()}: {error}; {_START_ANEW}"
        )


class LmdbReader(_Tables):
    """A state as another process may look at it while its owner writes: see `StateReader`."""

    @classmethod
    def open(cls, path: Path) -> LmdbReader:
        """Look into the state in the folder ``path``. Raises `StoreError` where there is none or it cannot be read."""
        if not (path / _DATA / "data.mdb").exists():
            raise StoreError(_NO_STATE.format(path))
        try:
            # A map size of 0 takes over the one that the writer set.
            env = lmdb.open(str(path / _DATA), map_size=0, max_dbs=len(_TABLE_NAMES), readonly=True, create=False)
        except lmdb.Error as error:
            raise StoreError(_explanation(path, error)) from error
        with ExitStack() as undo:
            undo.callback(env.close)
            reader = cls(path, env)
            undo.pop_all()
        return reader


class LmdbStore(_Tables):
    """The state as its one owner has it: see `Store`.

    `claim`, `confirm`, `release` and `register` belong to one thread; the writer is another, and ends in `close`.
    """

    def __init__(
        self,
        path: Path,
        env: lmdb.Environment,
        owner: OwnerLock,
        trouble: Callable[[StoreError | None], None] | None = None,
    ) -> None:
        super().__init__(path, env)
        self._owner = owner
        self._open = True
        self._lock = threading.Lock()
        self._ledger = Ledger(self._memory)
        self._writer = Writer(self._ledger, self._lock, self._write, "firstseen-state", trouble)

    @classmethod
    def open(
        cls,
        path: Path,
        map_size: int,
        *,
        durable: bool = True,
        trouble: Callable[[StoreError | None], None] | None = None,
    ) -> LmdbStore:
        """Own the state in the folder ``path``, made (mode 0700) where missing; ``map_size`` bounds it, in bytes.

        Without ``durable`` nothing waits for the disk, for states that are thrown away. With ``trouble`` what finds no
        room waits for some instead of failing: see `Writer`. Raises `StoreError`, with what to do about it, where
        another process owns it or it cannot be used.
        """
        try:
            with ExitStack() as undo:
                _make_folder(path)
                owner = OwnerLock.take(path / _LOCK)
                undo.callback(owner.release)
                env = _writable(path, map_size, durable=durable)
                undo.callback(env.close)
                store = cls(path, env, owner, trouble)
                undo.pop_all()
        except lmdb.Error as error:
            raise StoreError(_explanation(path, error)) from error
        except OSError as error:
            raise StoreError(f"{path} cannot hold the state: {error.strerror}") from error
        return store

    def register(self, rule: RuleState, now_ms: int) -> int:
        """See `Store.register`."""
        raw = self._raw(rule.key, self._rules)
        known, created_ms = (None, now_ms) if raw is None else self._rule(rule.key, raw)
        if known != rule:  # new, or renamed
            value = pack_rule(rule.rule_id, rule.name, created_ms)
            self._writer.run(lambda: self._put(self._rules, [(rule.key, value)])).result()
        return created_ms

    def claim(self, rule: RuleState, terms: tuple[TermValue, ...], occurrence: Occurrence, law: Law[Any]) -> Claim:
        """See `Store.claim`."""
        with self._lock:
            return self._ledger.claim(rule, terms, occurrence, law)

    def confirm(self, claims: Sequence[Claim]) -> Future[None]:
        """See `Store.confirm`."""
        with self._lock:
            future = self._ledger.confirm(claims)
            self._writer.wake()
        return future

    def release(self, claims: Sequence[Claim]) -> None:
        """See `Store.release`."""
        with self._lock:
            outcomes = self._ledger.release(claims)
        resolve(outcomes)

    def fold(
        self, found: Mapping[bytes, Entry], marks: Mapping[bytes, bytes], together: Callable[[Any, Any], Memory]
    ) -> int:
        """Remember ``found``, by `state_key`, and keep ``marks`` for `mark`, in one transaction; durable on return.

        What is remembered of a term already is put ``together`` with what was found. For a state in which nothing is
        claimed. Returns how many of the terms are new; raises `StoreError`, and then nothing of it is written.
        """
        new = 0
        values = [(self._meta, _MARK + name, value) for name, value in marks.items()]
        for key, (_, terms, memory) in sorted(found.items()):
            known = self._memory(key)
            new += known is None
            values.append((self._terms, key, pack_memory(memory if known is None else together(known, memory), terms)))
        self._writer.run(lambda: self._put_all(values)).result()
        return new

    def mark(self, name: bytes) -> bytes | None:
        """What `fold` kept under ``name``."""
        return self._raw(_MARK + name, self._meta)

    @property
    def problem(self) -> StoreError | None:
        """See `Store.problem`."""
        return self._writer.problem

    def close(self) -> None:
        """See `Store.close`; closing twice is closing once."""
        if not self._open:
            return
        self._open = False
        self._writer.close()
        with self._lock:
            outcomes = self._ledger.abandon(StoreError(f"the state in {self._path} is closed"))
        resolve(outcomes)
        super().close()
        self._owner.release()

    def _write(self, changes: Sequence[Change]) -> None:
        packed = sorted((change.key, pack_memory(change.memory, change.terms)) for change in changes)
        self._put(self._terms, packed)

    def _put(self, table: _Database, items: Sequence[tuple[bytes, bytes]]) -> None:
        self._put_all([(table, key, value) for key, value in items])

    def _put_all(self, items: Sequence[tuple[_Database, bytes, bytes]]) -> None:
        try:
            with self._env.begin(write=True) as txn:
                for table, key, value in items:
                    txn.put(key, value, db=table)
        except lmdb.Error as error:
            kind = CommitError if _is_passing(error) else StoreError
            raise kind(_explanation(self._path, error, self._env.info()["map_size"])) from error


def _make_folder(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True)
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Make the names in it durable: syncing a new file does not cover its entry in the folder."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _writable(path: Path, map_size: int, *, durable: bool) -> lmdb.Environment:
    # One spare transaction: every claim reads in one of its own, and renewing it costs half of making it.
    env = lmdb.open(
        str(path / _DATA),
        map_size=map_size,
        mode=0o700,
        max_dbs=len(_TABLE_NAMES),
        max_spare_txns=1,
        sync=durable,
        metasync=durable,
    )
    env.reader_check()  # slots of readers that died would keep their pages for ever
    _sync_folder(path / _DATA)
    _sync_folder(path)
    return env


def _open_tables(path: Path, env: lmdb.Environment) -> tuple[_Database, _Database, _Database]:
    with env.begin() as txn, txn.cursor() as cursor:
        names = {name for name, _ in cursor}
    if not names and env.flags()["readonly"]:
        raise StoreError(_NO_STATE.format(path))
    if names and b"meta" not in names:
        raise StoreError(f"{path / _DATA} holds an LMDB database that is not firstseen's: name another folder")
    if not names:
        # One transaction: a crash leaves either nothing or all of it.
        with env.begin(write=True) as txn:
            for name in _TABLE_NAMES:
                env.open_db(name, txn)
            txn.put(b"schema", SCHEMA, db=env.open_db(b"meta", txn))
    # A handle outlives the transaction that made it only if that one is committed, which a reading one is not when it
    # goes back among the spare ones: without a transaction given, the library makes and commits one.
    meta, terms, rules = (env.open_db(name, create=False) for name in _TABLE_NAMES)
    with env.begin(meta) as txn:
        schema = txn.get(b"schema")
    if schema != SCHEMA:
        found = "no schema" if schema is None else f"schema {schema.decode('ascii', 'replace')}"
        raise StoreError(
            f"the state in {path} has {found}, this version of firstseen works with schema {SCHEMA.decode()}: "
            "use the version that wrote it, or name another folder and fill it with `firstseen replay --state`"
        )
    return meta, terms, rules


def _is_passing(error: lmdb.Error) -> bool:
    """Whether the next transaction may succeed: there was no room. What LMDB itself finds broken stays broken.

    A positive code is the operating system's (a full disk, a quota). LMDB gives up the transaction, and where that left
    a page in doubt it says so with a `PanicError` from the next one.
    """
    return error.code > 0 or isinstance(error, lmdb.MapFullError | lmdb.TxnFullError)


def _explanation(path: Path, error: lmdb.Error, map_size: int | None = None) -> str:
    """What went wrong, in an operator's words, and what to do about it."""
    match error:
        case lmdb.MapFullError():
            size = "" if map_size is None else f" of {map_size} bytes"
            return (
                f"the state in {path} is full: its map_size{size} is used up; set a larger map_size under [state] and "
                "restart; until then nothing new is remembered, and the senders keep what is not acknowledged"
            )
        case lmdb.VersionMismatchError():
            return f"the state in {path} was written by another version of LMDB ({error}); {_START_ANEW}"
        case lmdb.InvalidError():
            return f"{path / _DATA} holds no LMDB database ({error}); {_START_ANEW}"
        case lmdb.CorruptedError() | lmdb.PageNotFoundError() | lmdb.PanicError():
            return f"the state in {path} is damaged ({error}); {_START_ANEW}"
        case _:
            return f"the state in {path} cannot be used: {error}"
