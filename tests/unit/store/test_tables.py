"""How a database is read: see also test_lmdb.py, of which all that reads goes through here."""

from __future__ import annotations

import threading
from pathlib import Path

import lmdb
import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.errors import StoreError
from firstseen.store.base import RuleState
from firstseen.store.disk import environment
from firstseen.store.lmdb import LmdbStore
from firstseen.store.tables import Tables

RULE = RuleState(b"8 bytes.", "rule", "Rule")
MAP_SIZE = 1 << 22
TERMS = 2_500


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = LmdbStore.open(tmp_path, MAP_SIZE, durable=False)
    store.register([RULE], 1)
    store.confirm(
        [store.claim(RULE, (number,), Occurrence(7, "e"), NewTermsLaw(10)) for number in range(TERMS)]
    ).result(60)
    store.close()
    return tmp_path


def env_of(path: Path) -> lmdb.Environment:
    return environment(path / "lmdb", MAP_SIZE, durable=False)


def test_what_there_is_is_read(path: Path) -> None:
    tables = Tables(path, lambda: env_of(path))
    assert tables.get(RULE.key, (7,)) is not None
    assert tables.get(RULE.key, (TERMS,)) is None
    assert len(list(tables.entries())) == tables.stats().entries == TERMS
    assert [history.rule for history in tables.rules()] == [RULE]
    tables.close()


def test_what_holds_no_state_is_left_closed(tmp_path: Path) -> None:
    (tmp_path / "lmdb").mkdir()
    with env_of(tmp_path) as env:
        env.open_db(b"pages")
    for _ in range(2):  # open still, it could not be opened again
        with pytest.raises(StoreError, match="not firstseen's"):
            Tables(tmp_path, lambda: env_of(tmp_path))


def test_closed_it_says_so(path: Path) -> None:
    tables = Tables(path, lambda: env_of(path))
    entries = tables.entries()
    next(entries)
    tables.close()
    for read in (lambda: tables.get(RULE.key, (7,)), lambda: list(tables.entries()), tables.stats):
        with pytest.raises(StoreError, match="cannot be used"):
            read()


def test_another_environment_may_take_the_place_while_threads_read(path: Path) -> None:
    tables = Tables(path, lambda: env_of(path))
    ends, found = threading.Event(), set()

    def read() -> None:
        while not ends.is_set():
            found.add((len(list(tables.entries())), tables.stats().entries, tables.get(RULE.key, (7,)) is None))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        with tables._reading:
            tables._env.close()
            tables._use(lambda: env_of(path))
    ends.set()
    for thread in threads:
        thread.join()
    tables.close()
    assert found == {(TERMS, TERMS, False)}
