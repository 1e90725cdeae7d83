"""The state in LMDB: one environment of fixed size, written by one process, readable by others meanwhile.

``terms`` holds what is remembered, per 24-byte key (`firstseen.detect.keys.state_key`), ``rules`` what each history is
called and when it began, ``meta`` the version of all that. Read transactions end before anything else happens: an open
one keeps the pages it sees from being used again, and the file grows. The map is never resized while open: that
corrupts where several processes look on.
"""

from __future__ import annotations

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
from firstseen.store.base import Claim, Entry, History, Memory, RuleState, Stats, Swept
from firstseen.store.codec import pack_history, pack_memory, unpack_memory
from firstseen.store.disk import (
    LOCK,
    explanation,
    history_at,
    is_passing,
    make_folder,
    open_tables,
    read_only,
    settle,
    unreadable,
    writable,
)
from firstseen.store.ledger import Change, Ledger, resolve
from firstseen.store.lock import OwnerLock
from firstseen.store.merge import merged, merged_history
from firstseen.store.sweep import KEYS_AT_ONCE, Sweep
from firstseen.store.writer import CommitError, Writer

if TYPE_CHECKING:
    from lmdb import _Database

_MARK = b"mark/"
"""Before the names of marks in the table ``meta``."""

_META_PAGES = 2
_PAGE_OF_ENTRIES = 1_000


class _Tables:
    """An open environment, and what can be read from it."""

    def __init__(self, path: Path, env: lmdb.Environment) -> None:
        self._path = path
        self._env = env
        try:
            self._meta, self._terms, self._rules = open_tables(path, env)
        except lmdb.Error as error:
            raise StoreError(explanation(path, error)) from error

    def get(self, rule_key: bytes, terms: Sequence[TermValue]) -> Memory | None:
        """See `StateReader.get`."""
        return self._memory(state_key(rule_key, terms))

    def entries(self, rule_key: bytes = b"", after: bytes = b"", holding: bytes = b"") -> Iterator[Entry]:
        """See `StateReader.entries`."""
        for key, raw in self._items(self._terms, max(rule_key, after + b"\0" if after else b"")):
            if not key.startswith(rule_key):
                return
            if holding in raw:
                memory, terms = self._decoded(key, raw)
                yield Entry(key[:RULE_KEY_SIZE], terms, memory)

    def rules(self) -> Iterator[History]:
        """See `StateReader.rules`."""
        for key, raw in self._items(self._rules):
            yield history_at(self._path, key, raw)

    def stats(self) -> Stats:
        """See `StateReader.stats`."""
        try:
            with self._env.begin() as txn:
                tables = [txn.stat(), *map(txn.stat, (self._meta, self._terms, self._rules))]
            info = self._env.info()
        except lmdb.Error as error:
            raise StoreError(explanation(self._path, error)) from error
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
            raise StoreError(explanation(self._path, error)) from error

    def _items(self, table: _Database, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        while page := self._page(table, start):
            yield from page
            start = page[-1][0] + b"\0"

    def _page(self, table: _Database, start: bytes, count: int = _PAGE_OF_ENTRIES) -> list[tuple[bytes, bytes]]:
        try:
            with self._env.begin(table) as txn, txn.cursor() as cursor:
                return list(islice(cursor, count)) if cursor.set_range(start) else []
        except lmdb.Error as error:
            raise StoreError(explanation(self._path, error)) from error

    def _decoded(self, key: bytes, raw: bytes) -> tuple[Memory, tuple[TermValue, ...]]:
        try:
            return unpack_memory(raw)
        except ValueError as error:
            raise unreadable(self._path, key, error) from error


class LmdbReader(_Tables):
    """A state as another process may look at it while its owner writes: see `StateReader`."""

    @classmethod
    def open(cls, path: Path) -> LmdbReader:
        """Look into the state in the folder ``path``. Raises `StoreError` where there is none or it cannot be read."""
        env = read_only(path)
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
        self._sweep = Sweep()
        self._newest_ms: int | None = None
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
                make_folder(path)
                owner = OwnerLock.take(path / LOCK)
                undo.callback(owner.release)
                settle(path)
                env = writable(path, map_size, durable=durable)
                undo.callback(env.close)
                store = cls(path, env, owner, trouble)
                undo.pop_all()
        except lmdb.Error as error:
            raise StoreError(explanation(path, error)) from error
        except OSError as error:
            raise StoreError(f"{path} cannot hold the state: {error.strerror}") from error
        return store

    def register(self, rule: RuleState, now_ms: int) -> int:
        """See `Store.register`."""
        raw = self._raw(rule.key, self._rules)
        known = None if raw is None else history_at(self._path, rule.key, raw)
        history = History(rule, now_ms if known is None else known.since_ms)
        self._sweep.loaded(rule)
        if known != history:  # new, or with another name or reach
            self._change(self._rules, {rule.key: pack_history(history)})
        return history.since_ms

    def prune(self, now_ms: int) -> Future[None]:
        """See `Pruning.prune`, and `Sweep` for what is forgotten when."""
        return self._writer.run(lambda: self._prune(now_ms))

    @property
    def newest_ms(self) -> int | None:
        """See `Pruning.newest_ms`."""
        return self._newest_ms

    @property
    def swept(self) -> Swept:
        """See `Pruning.swept`."""
        return self._sweep.swept

    def absorb(self, histories: Sequence[History], entries: Sequence[Entry]) -> None:
        """Take what another state knows into this one (`firstseen.store.merge`), durably, each list in one transaction.

        For a state in which nothing is claimed. Raises `StoreError`.
        """
        rules: dict[bytes, History] = {}
        for history in histories:
            key = history.rule.key
            raw = self._raw(key, self._rules)
            known = rules.get(key) or (None if raw is None else history_at(self._path, key, raw))
            rules[key] = history if known is None else merged_history(known, history)
        terms: dict[bytes, Entry] = {}
        for entry in entries:
            key = state_key(entry.rule_key, entry.terms)
            memory = terms[key].memory if key in terms else self._memory(key)
            terms[key] = entry if memory is None else entry._replace(memory=self._merged(key, memory, entry.memory))
        self._change(self._rules, {key: pack_history(history) for key, history in rules.items()})
        self._change(self._terms, {key: pack_memory(entry.memory, entry.terms) for key, entry in terms.items()})

    def forget(self, rule_key: bytes, terms: Sequence[Sequence[TermValue]]) -> None:
        """Remember these no longer, durably, in one transaction. For a state in which nothing is claimed."""
        self._change(self._terms, {state_key(rule_key, each): None for each in terms})

    def forget_history(self, rule_key: bytes) -> None:
        """Let a history begin anew when its rule is loaded next. What is remembered under it stays: see `forget`."""
        self._change(self._rules, {rule_key: None})

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
        terms: dict[bytes, bytes] = {}
        for key, entry in found.items():
            known = self._memory(key)
            new += known is None
            memory = entry.memory if known is None else together(known, entry.memory)
            terms[key] = pack_memory(memory, entry.terms)
        kept = {_MARK + name: value for name, value in marks.items()}
        self._writer.run(lambda: self._put((self._terms, terms), (self._meta, kept))).result()
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
        self._put((self._terms, {change.key: pack_memory(change.memory, change.terms) for change in changes}))
        newest = max(change.memory.last_seen for change in changes)
        self._newest_ms = newest if self._newest_ms is None else max(newest, self._newest_ms)

    def _prune(self, now_ms: int) -> None:
        sweep = self._sweep
        if sweep.begins:
            sweep.begin(self._items(self._rules))
        page = self._page(self._terms, sweep.start, KEYS_AT_ONCE)
        expired = sweep.expired(page, now_ms)
        with self._lock:
            # What is on its way is written soon. A claim that comes right now has read what was there, and keeps it.
            gone = [key for key in expired if not self._ledger.holds(key)]
        if gone:
            self._put((self._terms, dict.fromkeys(gone)))
        if sweep.passed(page, gone):
            ended = sweep.ended(now_ms)
            if ended:
                self._put((self._rules, dict.fromkeys(ended)))

    def _change(self, table: _Database, values: Mapping[bytes, bytes | None]) -> None:
        """Write these in the writing thread, and wait until they are durable."""
        if values:
            self._writer.run(lambda: self._put((table, values))).result()

    def _merged(self, key: bytes, one: Memory, other: Memory) -> Memory:
        try:
            return merged(one, other)
        except ValueError as error:
            raise StoreError(f"what is imported does not fit what is remembered under {key.hex()}: {error}") from error

    def _put(self, *changes: tuple[_Database, Mapping[bytes, bytes | None]]) -> None:
        """One transaction: in each table each key with its value, or with None gone."""
        try:
            with self._env.begin(write=True) as txn:
                for table, values in changes:
                    for key in sorted(values):
                        value = values[key]
                        if value is None:
                            txn.delete(key, db=table)
                        else:
                            txn.put(key, value, db=table)
        except lmdb.Error as error:
            kind = CommitError if is_passing(error) else StoreError
            raise kind(explanation(self._path, error, self._env.info()["map_size"])) from error
