"""What its one owner does with a database when something happens to it: see also test_lmdb.py."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path

import lmdb
import pytest

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw
from firstseen.errors import StoreError
from firstseen.store.base import Claim, DamagedError, RuleState
from firstseen.store.lmdb import LmdbStore
from firstseen.store.writer import CommitError

RULE = RuleState(b"8 bytes.", "rule", "Rule")
MAP_SIZE = 1 << 20
LONG = 60


class Bench:
    """A store that waits for the disk and is patient, and what it told of trouble."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[StoreError | None] = []
        self.store = LmdbStore.open(path, MAP_SIZE, trouble=self.told.append)
        self.remember("first").result(LONG)

    def remember(self, term: str):
        return self.store.confirm([self.store.claim(RULE, (term,), Occurrence(100, "e1"), NewTermsLaw(10))])

    def knows(self, term: str) -> bool:
        return self.store.get(RULE.key, (term,)) is not None


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state")
    yield made
    made.store.close()


TAKEN: dict[str, Callable[[Path], object]] = {
    "the folder of the database": lambda path: (path / "lmdb").rename(path / "lmdb.broken"),
    "its file": lambda path: (path / "lmdb" / "data.mdb").unlink(),
    "all of it": lambda path: path.rename(path.with_name("away")),
}


@pytest.mark.parametrize("take", TAKEN.values(), ids=TAKEN)
class TestTakenAway:
    def test_what_nobody_would_find_again_is_not_written(self, bench: Bench, take: Callable[[Path], object]) -> None:
        take(bench.path)

        waiting = bench.remember("ada")

        wait([waiting], 0.3)
        assert not waiting.done()
        assert "was taken away" in str(bench.told[0])
        assert "was taken away" in str(bench.store.problem)

    def test_no_empty_one_takes_its_place(self, bench: Bench, take: Callable[[Path], object]) -> None:
        take(bench.path)

        for asked in (bench.store.resize(MAP_SIZE * 2), bench.store.compact()):
            with pytest.raises(StoreError, match="was taken away"):
                asked.result(LONG)

        assert not (bench.path / "lmdb" / "data.mdb").exists()
        assert bench.knows("first")


def test_another_database_in_its_place_is_not_taken_for_it(bench: Bench) -> None:
    shutil.copytree(bench.path / "lmdb", bench.path / "copy")
    (bench.path / "lmdb").rename(bench.path / "lmdb.broken")
    (bench.path / "copy").rename(bench.path / "lmdb")

    waiting = bench.remember("ada")

    wait([waiting], 0.3)
    assert not waiting.done()
    with pytest.raises(StoreError, match="was taken away"):
        bench.store.resize(MAP_SIZE * 2).result(LONG)


def test_what_is_put_back_is_written_again(bench: Bench) -> None:
    (bench.path / "lmdb").rename(bench.path / "lmdb.broken")
    waiting = bench.remember("ada")
    wait([waiting], 0.3)
    (bench.path / "lmdb.broken").rename(bench.path / "lmdb")

    waiting.result(LONG)

    assert (len(bench.told), bench.told[-1], bench.store.problem) == (2, None, None)
    bench.store.compact().result(LONG)
    bench.store.resize(MAP_SIZE * 2).result(LONG)
    bench.remember("bob").result(LONG)


class Disk:
    """Breaks the file that LMDB writes its meta pages through: the commit fails behind its last data page."""

    def __init__(self, path: Path) -> None:
        file = path / "lmdb" / "data.mdb"
        (self._number,) = (int(each.name) for each in Path("/proc/self/fd").iterdir() if self._is_meta(each, file))
        with file.open("rb") as reading:
            os.dup2(reading.fileno(), self._number)

    @staticmethod
    def _is_meta(opened: Path, file: Path) -> bool:
        try:
            return opened.samefile(file) and bool(fcntl.fcntl(int(opened.name), fcntl.F_GETFL) & os.O_DSYNC)
        except OSError:  # the folder was opened to list it, and is closed again
            return False


class TestFailedHalfWay:
    """LMDB uses an environment no more in which a commit failed at its end; the file is as good as before."""

    def test_it_is_opened_anew_and_written(self, bench: Bench) -> None:
        Disk(bench.path)

        waiting = bench.remember("ada")

        waiting.result(LONG)
        assert ("cannot be used: mdb_txn_commit" in str(bench.told[0]), bench.told[1:]) == (True, [None])
        assert bench.store.problem is None
        bench.store.close()
        bench.store = LmdbStore.open(bench.path, MAP_SIZE)
        assert bench.knows("first")
        assert bench.knows("ada")

    def test_what_is_not_patient_goes_on_with_the_next(self, tmp_path: Path) -> None:
        store = LmdbStore.open(tmp_path, MAP_SIZE)
        Disk(tmp_path)
        with pytest.raises(StoreError, match="cannot be used: mdb_txn_commit"):
            store.register([RULE], 7)
        assert store.register([RULE], 8) in ([7], [8])  # the one that failed may have come to the disk all the same
        store.close()

    def test_who_reads_first_opens_it(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("firstseen.store.writer.FIRST_PAUSE_S", LONG)
        Disk(bench.path)
        waiting = bench.remember("ada")
        wait([waiting], 0.3)

        assert not bench.knows("bob")  # the other is known without a look at the disk

        bench.store.resize(MAP_SIZE * 2).result(LONG)  # what is asked for meanwhile wakes the writer
        waiting.result(LONG)

    def test_what_cannot_be_opened_again_is_told_and_tried_until_it_can(self, bench: Bench) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("firstseen.store.owned.environment", lambda *_, **__: Path("/nowhere").read_bytes())
            Disk(bench.path)
            waiting = bench.remember("ada")
            wait([waiting], 0.5)
            with pytest.raises(CommitError, match=r"cannot be opened again: .*nowhere.*tried again"):
                bench.knows("bob")
            assert not waiting.done()
        waiting.result(LONG)
        assert bench.knows("ada")
        assert (bench.store.problem, bench.told[-1]) == (None, None)

    def test_what_will_never_be_opened_again_ends_it(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> None:
            error = lmdb.InvalidError("it is no database")
            error.code = -30793
            raise error

        monkeypatch.setattr("firstseen.store.owned.environment", broken)
        Disk(bench.path)
        with pytest.raises(StoreError, match=r"cannot be opened again: .*start .* anew"):
            bench.remember("ada").result(LONG)


def test_damage_that_is_found_when_it_is_read_stays_a_problem(tmp_path: Path) -> None:
    """What does not touch it goes on: so nobody would know of it who does not look at what is refused."""
    store = LmdbStore.open(tmp_path, MAP_SIZE, durable=False)
    remember(store, *range(2_000))
    (terms,) = (root for name, root in roots(store) if name == b"terms")
    store.close()
    file = tmp_path / "lmdb" / "data.mdb"
    whole = bytearray(file.read_bytes())
    whole[terms * 4096 + 10 : terms * 4096 + 12] = b"\0\0"  # it is neither branch nor leaf
    file.write_bytes(whole)

    store = LmdbStore.open(tmp_path, MAP_SIZE, durable=False)
    assert store.problem is None
    for _ in range(2):
        with pytest.raises(DamagedError, match=r"is damaged .*move .*lmdb away"):
            claimed(store, 7)
    assert isinstance(store.problem, DamagedError)
    store.register([RULE], 7)  # is written, and the problem stays
    assert "is damaged" in str(store.problem)
    store.close()


class TestDamage:
    """Of the first leaf of the terms, while a store is open."""

    @pytest.fixture
    def told(self) -> list[StoreError | None]:
        return []

    @pytest.fixture
    def store(self, tmp_path: Path, told: list[StoreError | None]) -> Iterator[LmdbStore]:
        made = LmdbStore.open(tmp_path, MAP_SIZE, durable=False, trouble=told.append)
        remember(made, *range(2_000))
        yield made
        made.close()

    def test_forgetting_that_comes_upon_it_keeps_nobody_from_remembering(self, store: LmdbStore) -> None:
        _, whole = damage(store)
        for _ in range(2):
            with pytest.raises(DamagedError, match=r"is damaged .*move .* away"):
                store.prune(100).result(LONG)
        remember(store, whole)
        assert isinstance(store.problem, DamagedError)

    def test_a_write_that_comes_upon_it_is_the_last(self, store: LmdbStore, told: list[StoreError | None]) -> None:
        damaged, whole = damage(store)
        alert = claimed(store, damaged)  # it is known without reading
        says = r"lmdb/data.mdb is damaged \(mdb_put: .*\); stop .*import.*; until then .* refused, .* all others go on"
        with pytest.raises(StoreError, match=says):
            store.confirm([alert]).result(LONG)
        with pytest.raises(StoreError, match=says):
            claimed(store, whole)
        assert [str(each) for each in told] == [str(store.problem)]


def claimed(store: LmdbStore, number: int) -> Claim:
    return store.claim(RULE, (number,), Occurrence(100, "e1"), NewTermsLaw(10))


def remember(store: LmdbStore, *numbers: int) -> None:
    store.confirm([claimed(store, number) for number in numbers]).result(LONG)


def damage(store: LmdbStore) -> tuple[int, int]:
    """Damage the first leaf of the terms; one that lies there, and one that does not."""
    (root,) = (root for name, root in roots(store) if name == b"terms")
    first, *_, last = (int(str(entry.terms[0])) for entry in store.entries())
    with store._place.open("r+b") as file:
        file.seek(root * 4096 + 16)
        node = root * 4096 + int.from_bytes(file.read(2), "little")
        file.seek(node)
        leaf = int.from_bytes(file.read(6), "little")
        file.seek(leaf * 4096 + 10)
        file.write(b"\0\0")  # it is neither branch nor leaf
    return first, last


def roots(store: LmdbStore) -> Iterator[tuple[bytes, int]]:
    """The names of the tables, and the numbers of the pages where they begin."""
    with store._env.begin() as txn:
        for name, tree in txn.cursor():
            yield name, int.from_bytes(tree[-8:], "little")
