"""An open database of a state: what can be read from it, and how it is opened anew while somebody reads.

Every read transaction ends before anything else happens: an open one keeps the pages it sees from being used again, and
the file grows. None is open when the environment is closed and another one opened in its place, which is how a map gets
another size, and a file that was written anew takes the place of the old one. (LMDB can resize a map under way as well.
What it asks for, that no transaction is open, is the same; what may go wrong is more.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from firstseen.detect.keys import RULE_KEY_SIZE, state_key
from firstseen.errors import StoreError
from firstseen.model import TermValue
from firstseen.store.base import DamagedError, Entry, History, Memory, Stats
from firstseen.store.codec import unpack_memory
from firstseen.store.disk import (
    META,
    RULES,
    TABLE_NAMES,
    TERMS,
    explanation,
    history_at,
    is_damage,
    open_tables,
    unreadable,
)

REACHED = b"reached"
"""In the table ``meta``: see `Tables.reached_ms`, in decimal."""

_META_PAGES = 2
_PAGE_OF_ENTRIES = 1_000

_Found = TypeVar("_Found")


class Tables:
    """The environment that ``open_env`` gives, and what can be read from it, by any thread.

    Raises what ``open_env`` does, and `StoreError` where it holds no state.
    """

    def __init__(self, path: Path, open_env: Callable[[], lmdb.Environment]) -> None:
        self._path = path
        self._reading = threading.Lock()
        self._use(open_env)

    def get(self, rule_key: bytes, terms: Sequence[TermValue]) -> Memory | None:
        """See `StateReader.get`."""
        return self._memory(state_key(rule_key, terms))

    def entries(self, rule_key: bytes = b"", after: bytes = b"", holding: bytes = b"") -> Iterator[Entry]:
        """See `StateReader.entries`."""
        for key, raw in self._items(TERMS, max(rule_key, after + b"\0" if after else b"")):
            if not key.startswith(rule_key):
                return
            if holding in raw:
                memory, terms = self._decoded(key, raw)
                yield Entry(key[:RULE_KEY_SIZE], terms, memory)

    @property
    def reached_ms(self) -> int | None:
        """See `firstseen.store.base.Pruning.reached_ms`."""
        raw = self._raw(REACHED, META)
        try:
            return None if raw is None else int(raw)
        except ValueError as error:
            raise unreadable(self._path, REACHED, error) from error

    def rules(self) -> Iterator[History]:
        """See `StateReader.rules`."""
        for key, raw in self._items(RULES):
            yield history_at(self._path, key, raw)

    def history(self, rule_key: bytes) -> History | None:
        """What is known of this rule; no other that is damaged matters."""
        raw = self._raw(rule_key, RULES)
        return None if raw is None else history_at(self._path, rule_key, raw)

    def stats(self) -> Stats:
        """See `StateReader.stats`."""

        def sizes(txn: Any) -> Stats:
            names, tables = self._env.stat(), {name: txn.stat(table) for name, table in self._tables.items()}
            page, info = names["psize"], self._env.info()
            used = sum(
                each["branch_pages"] + each["leaf_pages"] + each["overflow_pages"] for each in (names, *tables.values())
            )
            return Stats(
                entries=tables[TERMS]["entries"],
                used_bytes=(_META_PAGES + used) * page,
                file_bytes=(info["last_pgno"] + 1) * page,
                map_size=info["map_size"],
            )

        return self._read(TERMS, sizes)

    def close(self) -> None:
        """See `StateReader.close`."""
        with self._reading:
            self._env.close()

    def _use(self, open_env: Callable[[], lmdb.Environment]) -> None:
        """Read from this environment from now on. The one before is closed, and nobody reads."""
        env = open_env()
        try:
            self._tables = dict(zip(TABLE_NAMES, open_tables(self._path, env), strict=True))
        except lmdb.Error as error:
            env.close()
            raise StoreError(explanation(self._path, error)) from error
        except BaseException:
            env.close()
            raise
        self._env = env

    def _read(self, table: bytes, find: Callable[[Any], _Found]) -> _Found:
        """What ``find`` finds in a transaction on this table."""
        try:
            with self._reading, self._env.begin(self._tables[table]) as txn:
                return find(txn)
        except lmdb.Error as error:
            kind = DamagedError if is_damage(error) else StoreError
            raise kind(explanation(self._path, error)) from error

    def _memory(self, key: bytes) -> Memory | None:
        raw = self._raw(key, TERMS)
        return None if raw is None else self._decoded(key, raw)[0]

    def _raw(self, key: bytes, table: bytes) -> bytes | None:
        found: bytes | None = self._read(table, lambda txn: txn.get(key))
        return found

    def _items(self, table: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        while page := self._page(table, start):
            yield from page
            start = page[-1][0] + b"\0"

    def _page(self, table: bytes, start: bytes, count: int = _PAGE_OF_ENTRIES) -> list[tuple[bytes, bytes]]:
        def page(txn: Any) -> list[tuple[bytes, bytes]]:
            with txn.cursor() as cursor:
                return list(islice(cursor, count)) if cursor.set_range(start) else []

        return self._read(table, page)

    def _decoded(self, key: bytes, raw: bytes) -> tuple[Memory, tuple[TermValue, ...]]:
        try:
            return unpack_memory(raw)
        except ValueError as error:
            raise unreadable(self._path, key, error) from error
