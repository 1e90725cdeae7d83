"""The state in LMDB: one environment of fixed size, written by one process, readable by others meanwhile.

``terms`` holds what is remembered, per 24-byte key (`firstseen.detect.keys.state_key`), ``rules`` what each history is
called and when it began, ``meta`` the version of all that. `LmdbStore.resize` and `LmdbStore.compact` make room while
claims come and go.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from firstseen.detect.keys import state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import Claim, Entry, History, Memory, RuleState, Swept
from firstseen.store.codec import pack_history, pack_memory
from firstseen.store.compaction import Sizes, copy, exchange
from firstseen.store.disk import (
    DATA,
    FILE,
    LOCK,
    META,
    OLD,
    RULES,
    TERMS,
    explanation,
    history_at,
    make_folder,
    read_only,
    settle,
)
from firstseen.store.ledger import Change, Handed, Ledger, resolve
from firstseen.store.lock import OwnerLock
from firstseen.store.merge import merged, merged_history, together
from firstseen.store.owned import OwnedTables
from firstseen.store.sweep import KEYS_AT_ONCE, Sweep
from firstseen.store.tables import REACHED, Tables
from firstseen.store.writer import CommitError, NoRoomError, Writer

_MARK = b"mark/"
"""Before the names of marks in the table ``meta``."""

SPARE = 1 << 24
"""Bytes by which a full map is made larger to forget something in it."""

MOST_RECENT = 8_192
"""Terms beyond which what was written last is not kept in memory, some half a kilobyte each."""

_Found = TypeVar("_Found")


class LmdbReader(Tables):
    """A state as another process may look at it while its owner writes: see `StateReader`."""

    @classmethod
    def open(cls, path: Path) -> LmdbReader:
        """Look into the state in the folder ``path``. Raises `StoreError` where there is none or it cannot be read."""
        return cls(path, lambda: read_only(path))

    def _read(self, table: bytes, find: Callable[[Any], _Found]) -> _Found:
        try:
            return super()._read(table, find)
        except StoreError as error:
            if not isinstance(error.__cause__, lmdb.MapResizedError):
                raise
        # Its owner has given it a larger map meanwhile, and has filled the smaller one.
        with self._reading:
            self._env.close()
            self._use(lambda: read_only(self._path))
        return self._read(table, find)


class LmdbStore(OwnedTables):
    """The state as its one owner has it: see `Store`.

    `claim`, `extend`, `confirm` and `release` are for one thread, `register` and what reads for any. The writer is a
    thread of its own, which ends in `close`.
    """

    def __init__(
        self,
        path: Path,
        map_size: int,
        owner: OwnerLock,
        *,
        durable: bool,
        trouble: Callable[[StoreError | None], None] | None,
        alone: bool = False,
    ) -> None:
        super().__init__(path, map_size, owner, durable=durable)
        self._open = True
        self._lock = threading.Lock()
        self._ledger = Ledger(self._memory, alone=alone)
        self._sweep = Sweep()
        self._forgetting = threading.Lock()  # of histories: none is registered between its end and its going
        self._newest_ms: int | None = None
        self._recent: dict[bytes, Memory] = {}  # what was written last: most of what comes has come before
        self._writer = Writer(self._ledger, self._lock, self._write, "firstseen-state", trouble)

    @classmethod
    def open(
        cls,
        path: Path,
        map_size: int,
        *,
        durable: bool = True,
        trouble: Callable[[StoreError | None], None] | None = None,
        alone: bool = False,
    ) -> LmdbStore:
        """Own the state in the folder ``path``, made (mode 0700) where missing; ``map_size`` bounds it, in bytes.

        Without ``durable`` nothing waits for the disk, for states that are thrown away. With ``trouble`` what finds no
        room waits for some instead of failing: see `Writer`. ``alone`` is for a state beside a shared one, and what its
        claims say. Raises `StoreError`, with what to do about it, where
        another process owns it or it cannot be used.
        """
        try:
            with ExitStack() as undo:
                make_folder(path)
                owner = OwnerLock.take(path / LOCK)
                undo.callback(owner.release)
                settle(path)
                store = cls(path, map_size, owner, durable=durable, trouble=trouble, alone=alone)
                undo.pop_all()
        except lmdb.Error as error:
            raise StoreError(explanation(path, error)) from error
        except OSError as error:
            which = "" if error.filename in (None, path, str(path)) else f"{Path(error.filename).name}: "
            raise StoreError(f"{path} cannot hold the state: {which}{error.strerror}") from error
        return store

    def register(self, rules: Iterable[RuleState], now_ms: int, since_ms: int | None = None) -> Sequence[int]:
        """See `Store.register`; those that are new began at ``since_ms``, where that is known."""
        began_ms = now_ms if since_ms is None else since_ms
        histories: list[History] = []
        changed: dict[bytes, bytes] = {}
        with self._forgetting:
            for rule in rules:
                self._sweep.loaded(rule)  # before it is read: what is found stays
                raw = self._raw(rule.key, RULES)
                known = None if raw is None else history_at(self._path, rule.key, raw)
                history = History(rule, began_ms if known is None else known.since_ms)
                if known != history:  # new, or with another name or reach
                    changed[rule.key] = pack_history(history)
                histories.append(history)
        begun = {REACHED: b"%d" % now_ms} if changed and self.reached_ms is None else {}
        if changed:
            self._writer.run(lambda: self._put((RULES, changed), (META, begun))).result()
        return [history.since_ms for history in histories]

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

        Claims that are on their way are added to it. Raises `StoreError`.
        """
        rules: dict[bytes, History] = {}
        for history in histories:
            key = history.rule.key
            raw = self._raw(key, RULES)
            known = rules.get(key) or (None if raw is None else history_at(self._path, key, raw))
            rules[key] = history if known is None else merged_history(known, history)
        self._change(RULES, {key: pack_history(history) for key, history in rules.items()})
        if entries:
            failed: list[StoreError] = []
            self._writer.run(lambda: self._absorb(entries, failed)).result()
            for error in failed:
                raise error

    def forget(self, rule_key: bytes, terms: Sequence[Sequence[TermValue]]) -> None:
        """Remember these no longer, durably, in one transaction. For a state in which nothing is claimed.

        Where the map is full it is made larger for that: what is deleted is written anew first.
        """
        self._delete(TERMS, [state_key(rule_key, each) for each in terms])

    def forget_history(self, rule_key: bytes) -> None:
        """Let a history begin anew when its rule is loaded next. What is remembered under it stays: see `forget`."""
        self._delete(RULES, [rule_key])

    def claim(self, rule: RuleState, terms: tuple[TermValue, ...], occurrence: Occurrence, law: Law[Any]) -> Claim:
        """See `Store.claim`."""
        with self._lock:
            return self._ledger.claim(rule, terms, occurrence, law)

    def extend(self, claim: Claim, occurrence: Occurrence) -> bool:
        """See `Claims.extend`."""
        with self._lock:
            return self._ledger.extend(claim, occurrence)

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

    def take_over(self, handed: Handed) -> None:
        """What was on its way in another state goes on here, added to what both remember: see `Ledger.take_over`."""
        with self._lock:
            for term in handed.terms:
                term.refresh(self._best(term.key, term.durable))
            self._ledger.take_over(handed)
            self._writer.wake()

    def fold(self, found: Mapping[bytes, Entry], marks: Mapping[bytes, bytes]) -> int:
        """Remember ``found``, by `state_key`, and keep ``marks`` for `mark`, in one transaction; durable on return.

        What is remembered of a term already is put `together` with what was found. For a state in which nothing is
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
        self._writer.run(lambda: self._put((TERMS, terms), (META, kept))).result()
        return new

    def mark(self, name: bytes) -> bytes | None:
        """What `fold` kept under ``name``."""
        return self._raw(_MARK + name, META)

    def resize(self, map_size: int) -> Future[int]:
        """Bound the state by so many bytes from now on, or by what its file takes already where that is more.

        The future ends, with the bytes that bound it then, when that is done, and what found no room is tried again;
        with `StoreError` where it cannot be, and then everything is as it was. Its callbacks run in the writing thread.
        """
        return self._upkeep(lambda: self._anew(map_size, lambda: None))

    def compact(self) -> Future[Sizes]:
        """Write the database anew, without the room that is free in it: see `firstseen.store.compaction`.

        Claims go on meanwhile, and nothing is written: confirmations wait. Ends as `resize` does.
        """
        return self._upkeep(self._compact)

    @property
    def problem(self) -> StoreError | None:
        """See `Store.problem`."""
        return self._writer.problem or self._damage

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

    def _upkeep(self, work: Callable[[], _Found]) -> Future[_Found]:
        """Have the writing thread do it; what goes wrong in it is its own, and no problem of what is remembered."""
        done: Future[_Found] = Future()
        done.set_running_or_notify_cancel()  # it cannot be cancelled any more: see `Confirmation`

        def run() -> None:
            try:
                with self._writing:
                    found = work()
            except CommitError as error:
                done.set_exception(error)
            else:
                done.set_result(found)

        def ended(job: Future[None]) -> None:
            error = job.exception()
            if error is not None and not done.done():
                done.set_exception(error)

        self._writer.run(run).add_done_callback(ended)
        return done

    def _compact(self) -> Sizes:
        self._require_place()
        file = self._path / DATA / FILE
        try:
            before = file.stat().st_size
            copy(self._env, self._env.info()["map_size"], self._tables, self._path, lambda: not self._open)
            self._anew(self._map_size, lambda: exchange(self._path))
            shutil.rmtree(self._path / OLD)
            return Sizes(before, file.stat().st_size)
        except OSError as error:
            raise CommitError(f"{self._path} cannot be compacted: {error.strerror}") from error
        except lmdb.Error as error:
            raise CommitError(explanation(self._path, error, self._map_size)) from error

    def _memory(self, key: bytes) -> Memory | None:
        memory = self._recent.get(key)
        return super()._memory(key) if memory is None else memory

    def _write(self, changes: Sequence[Change]) -> None:
        self._put((TERMS, {change.key: pack_memory(change.memory, change.terms) for change in changes}))
        if len(self._recent) > MOST_RECENT:
            self._recent.clear()
        self._recent.update((change.key, change.memory) for change in changes)
        newest = max(change.memory.last_seen for change in changes)
        self._newest_ms = newest if self._newest_ms is None else max(newest, self._newest_ms)

    def _prune(self, now_ms: int) -> None:
        sweep = self._sweep
        if sweep.begins:
            sweep.begin(self._items(RULES))
        page = self._page(TERMS, sweep.start, KEYS_AT_ONCE)
        expired = sweep.expired(page, now_ms)
        with self._lock:
            # What is on its way is written soon. A claim that comes right now has read what was there, and keeps it.
            gone = [key for key in expired if not self._ledger.holds(key)]
        if gone:
            self._put((TERMS, dict.fromkeys(gone)))
        if sweep.passed(page, gone):
            with self._forgetting:
                reached = b"%d" % max(now_ms, self.reached_ms or now_ms)
                self._put((RULES, dict.fromkeys(sweep.ended(now_ms))), (META, {REACHED: reached}))

    def _change(self, table: bytes, values: Mapping[bytes, bytes | None]) -> None:
        """Write these in the writing thread, and wait until they are durable."""
        if values:
            self._writer.run(lambda: self._put((table, values))).result()

    def _delete(self, table: bytes, keys: Sequence[bytes]) -> None:
        while True:
            try:
                self._change(table, dict.fromkeys(keys))
            except NoRoomError:  # not before: LMDB notes in the file the largest bound that it was ever written with
                self.resize(self._map_size + SPARE).result()
            else:
                return

    def _absorb(self, entries: Sequence[Entry], failed: list[StoreError]) -> None:
        """In the writing thread: nothing is written between reading and writing. It outlives what ``failed``."""
        terms: dict[bytes, Entry] = {}
        try:
            for entry in entries:
                key = state_key(entry.rule_key, entry.terms)
                memory = terms[key].memory if key in terms else self._memory(key)
                terms[key] = entry if memory is None else entry._replace(memory=self._merged(key, memory, entry.memory))
        except StoreError as error:
            failed.append(error)
            return
        self._put((TERMS, {key: pack_memory(entry.memory, entry.terms) for key, entry in terms.items()}))
        with self._lock:
            for key in filter(self._ledger.holds, terms):  # of what was taken over more may be known than is written
                self._ledger.refresh(key, self._best(key, self._ledger.durable(key)))

    def _best(self, key: bytes, there: Memory | None) -> Memory | None:
        """What is remembered under ``key``, here and ``there``; only there where it cannot be told."""
        try:
            here = self._memory(key)
            return here if there is None else there if here is None else self._merged(key, here, there)
        except StoreError:  # a `problem` from now on, or of two laws: the claims go by what is there
            return there

    def _merged(self, key: bytes, one: Memory, other: Memory) -> Memory:
        try:
            return merged(one, other)
        except ValueError as error:
            raise StoreError(f"what is imported does not fit what is remembered under {key.hex()}: {error}") from error

    def _put(self, *changes: tuple[bytes, Mapping[bytes, bytes | None]]) -> None:
        for _, values in changes:
            for key in values:
                self._recent.pop(key, None)
        super()._put(*changes)
