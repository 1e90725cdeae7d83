from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import lmdb
import msgpack
import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.store.base import RuleState
from firstseen.store.codec import pack_memory
from firstseen.store.compaction import compact
from firstseen.store.lmdb import LmdbReader, LmdbStore

RULE = RuleState(b"8 bytes.", "rule", "Rule")
MAP_SIZE = 1 << 24
TERMS = 3_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state in which one term of many is left."""
    store = LmdbStore.open(tmp_path, MAP_SIZE)
    store.register([RULE], 1)
    store.confirm(
        [store.claim(RULE, (number,), Occurrence(7, "e"), NewTermsLaw(10)) for number in range(TERMS)]
    ).result(60)
    store.forget(RULE.key, [(number,) for number in range(1, TERMS)])
    store.close()
    return tmp_path


def check(path: Path) -> None:
    store = LmdbStore.open(path, MAP_SIZE)
    assert [(entry.terms, entry.memory) for entry in store.entries()] == [((0,), Sighting(7, 7, 1, "e", "e"))]
    assert list(store.rules()) == [(RULE, 1)]
    store.confirm([store.claim(RULE, ("later",), Occurrence(7, "e"), NewTermsLaw(10))]).result(60)
    assert store.stats().entries == 2
    store.forget(RULE.key, [("later",)])
    store.close()


def test_the_file_is_smaller_and_holds_the_same(path: Path) -> None:
    sizes = compact(path)

    assert sizes.before > 100_000 > sizes.after == (path / "lmdb" / "data.mdb").stat().st_size
    assert {file.name for file in path.iterdir()} == {"lmdb", "lock"}
    check(path)


def test_how_far_past_logs_were_read_is_kept(path: Path) -> None:
    store = LmdbStore.open(path, MAP_SIZE)
    store.fold({}, {b"file": b"7", b"a file": b"8"})
    store.close()

    compact(path)

    store = LmdbStore.open(path, MAP_SIZE)
    assert [store.mark(name) for name in (b"a file", b"file")] == [b"8", b"7"]
    store.close()


def test_terms_fill_their_pages(tmp_path: Path) -> None:
    """The pages of terms that came in any order hold two thirds of what they could."""
    store = LmdbStore.open(tmp_path, MAP_SIZE)
    for start in range(0, TERMS, 100):
        claims = [
            store.claim(RULE, (f"{number:060}",), Occurrence(7, "e"), NewTermsLaw(10))
            for number in range(start, start + 100)
        ]
        store.confirm(claims).result(60)
    before, entries = store.stats().used_bytes, list(store.entries())
    store.close()

    compact(tmp_path)

    reader = LmdbReader.open(tmp_path)
    assert list(reader.entries()) == entries
    assert reader.stats().used_bytes < 0.8 * before
    reader.close()


def test_what_an_earlier_version_wrote_is_written_in_the_form_of_this_one(path: Path) -> None:
    event = "6f1c6a1e-0d3b-4c55-9c6a-0123456789ab"
    written = msgpack.packb([1_790_000_000_000, 0, 1, bytes.fromhex(event.replace("-", "")), None, "x"])
    with lmdb.open(str(path / "lmdb"), max_dbs=3, map_size=MAP_SIZE) as env, env.begin(write=True) as txn:
        txn.put(state_key(RULE.key, ("x",)), written, db=env.open_db(b"terms", txn))
        txn.put(b"unreadable", b"\xc1", db=env.open_db(b"terms", txn))
        txn.put(b"schema", b"2", db=env.open_db(b"meta", txn))

    compact(path)

    with lmdb.open(str(path / "lmdb"), max_dbs=3, readonly=True) as env:
        terms, meta = (env.open_db(name, create=False) for name in (b"terms", b"meta"))
        with env.begin() as txn:
            short = pack_memory(Sighting(1_790_000_000_000, 1_790_000_000_000, 1, event, event), ("x",))
            assert txn.get(state_key(RULE.key, ("x",)), db=terms) == short
            assert txn.get(b"unreadable", db=terms) == b"\xc1"
            assert txn.get(b"schema", db=meta) == b"3"


def test_something_else_is_left_alone(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "lmdb"), max_dbs=3) as env:
        env.open_db(b"pages")
    with pytest.raises(StoreError, match="not firstseen's"):
        compact(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"lmdb", "lock"}


@pytest.mark.parametrize(
    ("asked", "given"),
    [(None, MAP_SIZE), (2 * MAP_SIZE, MAP_SIZE), (MAP_SIZE // 2, MAP_SIZE // 2), (4_096, None)],
)
def test_the_bound_stays_where_it_is_not_to_be_smaller(path: Path, asked: int | None, given: int | None) -> None:
    """And what fitted before fits."""
    before, _ = compact(path, asked)

    reader = LmdbReader.open(path)
    assert reader.stats().map_size == (given or before)
    reader.close()


READER = """
import sys; from pathlib import Path; from firstseen.store.lmdb import LmdbReader
reader = LmdbReader.open(Path(sys.argv[1]))
print("open", flush=True)
for _ in sys.stdin:
    print([entry.terms for entry in reader.entries()], flush=True)
"""


def test_who_reads_meanwhile_reads_what_was(path: Path) -> None:
    """And the next owner does not take notice: the old database and its readers are no concern of the new one."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-c", READER, str(path)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        compact(path)
        for _ in range(2):
            print(file=reader.stdin)
            assert reader.stdout.readline() == "[(0,)]\n"
            check(path)
        reader.stdin.close()


def test_one_that_is_in_use_is_left_alone(path: Path) -> None:
    store = LmdbStore.open(path, MAP_SIZE)
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()};"):
        compact(path)
    store.close()
    check(path)


def test_where_nothing_is(tmp_path: Path) -> None:
    for folder in (tmp_path / "missing", tmp_path):
        with pytest.raises(StoreError, match="holds no state yet"):
            compact(folder)
    assert not (tmp_path / "missing").exists()


def test_a_disk_without_room_leaves_it_as_it_was(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
        with pytest.raises(StoreError, match="File too large"):
            compact(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {file.name for file in path.iterdir()} == {"lmdb", "lock"}
    check(path)
