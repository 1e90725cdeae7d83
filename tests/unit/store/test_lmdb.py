from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from concurrent.futures import wait
from pathlib import Path

import lmdb
import msgpack
import pytest

from firstseen.detect.keys import state_key
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import SuppressionLaw, Window
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import Claim, Entry, History, RuleState
from firstseen.store.ledger import Ledger
from firstseen.store.lmdb import LmdbReader, LmdbStore
from firstseen.store.sweep import Sweep

RULE = RuleState(b"8 bytes.", "rule", "Rule")
OTHER = RuleState(b"8 others", "other", "Other")
PASSING = RuleState(b"passing.", "passing", "Passing", 10)
MAP_SIZE = 1 << 20
LONG = 60


@pytest.fixture
def store(tmp_path):
    opened = LmdbStore.open(tmp_path / "state", MAP_SIZE, durable=False)
    yield opened
    opened.close()


def claim(store: LmdbStore, term: str | int, event: str = "e1", time: int = 100) -> Claim:
    return store.claim(RULE, (term,), Occurrence(time, event), NewTermsLaw(10))


def remember(store: LmdbStore, *terms: str | int) -> None:
    store.confirm([claim(store, term) for term in terms]).result(LONG)


def raw(path: Path, table: bytes) -> dict[bytes, bytes]:
    """What lies in a table of the state in the folder ``path``."""
    with lmdb.open(str(path / "lmdb"), max_dbs=3, readonly=True) as env:
        database = env.open_db(table, create=False)
        with env.begin(database) as txn:
            return dict(txn.cursor())


def tamper(path: Path, table: bytes, key: bytes, value: bytes | None) -> None:
    with lmdb.open(str(path / "lmdb"), max_dbs=3, map_size=MAP_SIZE) as env:
        database = env.open_db(table)
        with env.begin(database, write=True) as txn:
            if value is None:
                txn.delete(key)
            else:
                txn.put(key, value)


def python(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONG, check=False)


class TestOpening:
    def test_the_folder_is_made_for_its_owner_alone(self, tmp_path):
        path = tmp_path / "deep" / "state"
        LmdbStore.open(path, MAP_SIZE).close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        files = [file for file in path.rglob("*") if file.is_file()]
        assert {file.name for file in files} == {"data.mdb", "lock.mdb", "lock"}
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)

    def test_a_folder_that_is_there_is_used(self, tmp_path):
        LmdbStore.open(tmp_path, MAP_SIZE).close()
        LmdbStore.open(tmp_path, MAP_SIZE).close()
        assert raw(tmp_path, b"meta") == {b"schema": b"3"}

    def test_the_map_is_not_laid_out(self, tmp_path):
        store = LmdbStore.open(tmp_path, 1 << 30)
        assert store.stats().map_size == 1 << 30
        assert (tmp_path / "lmdb" / "data.mdb").stat().st_size < 1 << 20
        store.close()

    @pytest.mark.parametrize("durable", [True, False])
    def test_a_state_that_is_kept_waits_for_the_disk(self, tmp_path, durable):
        store = LmdbStore.open(tmp_path, MAP_SIZE, durable=durable)
        flags = store._env.flags()
        assert (flags["sync"], flags["metasync"], flags["writemap"]) == (durable, durable, False)
        store.close()

    def test_one_process_owns_it(self, store, tmp_path):
        with pytest.raises(StoreError, match=f"state is in use by process {os.getpid()}; one process at a time"):
            LmdbStore.open(tmp_path / "state", MAP_SIZE)
        program = """
import sys; from pathlib import Path; from firstseen.store.lmdb import LmdbStore
LmdbStore.open(Path(sys.argv[1]), 1 << 20)
"""
        other = python(program, tmp_path / "state")
        assert other.returncode == 1
        assert f"StoreError: {tmp_path / 'state'} is in use by process {os.getpid()};" in other.stderr

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "state").write_text("")
        with pytest.raises(StoreError, match="state cannot hold the state: File exists"):
            LmdbStore.open(tmp_path / "state", MAP_SIZE)

    def test_a_map_too_small_for_anything(self, tmp_path):
        with pytest.raises(StoreError, match="is full"):
            LmdbStore.open(tmp_path, 4096)
        LmdbStore.open(tmp_path, MAP_SIZE).close()

    def test_something_else_of_lmdb(self, tmp_path):
        with lmdb.open(str(tmp_path / "lmdb"), max_dbs=3) as env:
            env.open_db(b"pages")
        with pytest.raises(StoreError, match="not firstseen's: name another folder"):
            LmdbStore.open(tmp_path, MAP_SIZE)

    def test_something_else_altogether(self, tmp_path):
        (tmp_path / "lmdb").mkdir()
        (tmp_path / "lmdb" / "data.mdb").write_bytes(b"no database" * 1_000)
        with pytest.raises(StoreError, match=r"no LMDB database .*; stop firstseen, move .*lmdb away"):
            LmdbStore.open(tmp_path, MAP_SIZE)
        with pytest.raises(StoreError, match="no LMDB database"):
            LmdbReader.open(tmp_path)

    @pytest.mark.parametrize(("schema", "says"), [(b"4", "schema 4"), (b"\xff", "schema \ufffd"), (None, "no schema")])
    def test_another_schema(self, tmp_path, schema, says):
        LmdbStore.open(tmp_path, MAP_SIZE).close()
        tamper(tmp_path, b"meta", b"schema", schema)
        for _ in range(2):  # a refusal leaves nothing open
            with pytest.raises(StoreError, match=f"has {says}, .* works with schema 3: use the version that wrote it"):
                LmdbStore.open(tmp_path, MAP_SIZE)
            with pytest.raises(StoreError, match=f"has {says}"):
                LmdbReader.open(tmp_path)


class TestMigration:
    @pytest.fixture
    def path(self, tmp_path):
        """A state as the first version wrote it."""
        store = LmdbStore.open(tmp_path, MAP_SIZE)
        remember(store, "x")
        store.close()
        for key, name in ((RULE.key, "Rule"), (OTHER.key, "Other")):
            value = msgpack.packb({"id": name.lower(), "name": name, "created_ms": 7})
            tamper(tmp_path, b"rules", key, value)
        tamper(tmp_path, b"meta", b"schema", b"1")
        return tmp_path

    def test_the_first_version_becomes_this_one(self, path):
        store = LmdbStore.open(path, MAP_SIZE)
        assert list(store.rules()) == [History(RULE, 7), History(OTHER, 7)]
        assert claim(store, "x", "e2").verdict is Verdict.KNOWN
        assert store.register([RuleState(RULE.key, "rule", "Rule", 10)], 99) == [7]
        store.close()
        assert raw(path, b"meta") == {b"schema": b"3", b"reached": b"99"}
        assert msgpack.unpackb(raw(path, b"rules")[RULE.key])["reach_ms"] == 10

    def test_what_the_second_version_remembered_is_remembered(self, path):
        event, seen = "6f1c6a1e-0d3b-4c55-9c6a-0123456789ab", 1_790_000_000_000
        key = state_key(RULE.key, ("x",))
        written = msgpack.packb([seen, 0, 1, bytes.fromhex(event.replace("-", "")), None, "x"])
        tamper(path, b"terms", key, written)
        tamper(path, b"meta", b"schema", b"2")

        store = LmdbStore.open(path, MAP_SIZE)
        assert store.get(RULE.key, ("x",)) == Sighting(seen, seen, 1, event, event)
        store.close()
        assert raw(path, b"meta") == {b"schema": b"3"}
        assert raw(path, b"terms")[key] == written
        store = LmdbStore.open(path, MAP_SIZE)
        store.confirm([claim(store, "x", event.replace("6", "7"), seen + 1)]).result(LONG)
        store.close()
        assert raw(path, b"terms")[key][:1] == b"\3"
        store = LmdbStore.open(path, MAP_SIZE)
        assert store.get(RULE.key, ("x",)) == Sighting(seen, seen + 1, 2, event, event.replace("6", "7"))
        store.close()

    def test_it_is_read_as_it_is(self, path):
        reader = LmdbReader.open(path)
        assert list(reader.rules()) == [History(RULE, 7), History(OTHER, 7)]
        reader.close()
        assert raw(path, b"meta") == {b"schema": b"1"}

    def test_it_is_done_as_a_whole_or_not_at_all(self, path):
        """The second history cannot be read: the first one is left in its old form, with the old version."""
        before = raw(path, b"rules")[RULE.key]
        tamper(path, b"rules", OTHER.key, b"\x80")
        with pytest.raises(StoreError, match=f"unreadable under the key {OTHER.key.hex()}: it is no rule"):
            LmdbStore.open(path, MAP_SIZE)
        assert raw(path, b"meta") == {b"schema": b"1"}
        assert raw(path, b"rules")[RULE.key] == before


class TestKeeping:
    def test_it_is_there_after_reopening(self, store, tmp_path):
        remember(store, "x")
        store.close()
        again = LmdbStore.open(tmp_path / "state", MAP_SIZE)
        assert again.get(RULE.key, ("x",)) == Sighting(100, 100, 1, "e1", "e1")
        assert again.get(RULE.key, ("y",)) is None
        assert claim(again, "x", "e2").verdict is Verdict.KNOWN
        again.close()

    def test_the_key_is_rule_and_terms(self, store, tmp_path):
        remember(store, "x")
        store.close()
        assert list(raw(tmp_path / "state", b"terms")) == [state_key(RULE.key, ("x",))]

    def test_entries_are_listed_page_by_page(self, store):
        remember(store, *range(2_500))
        other = RuleState(b"8 others", "other", "Other")
        store.confirm([store.claim(other, ("x", True), Occurrence(7, "e"), NewTermsLaw(10))]).result(LONG)
        entries = list(store.entries())
        assert len(entries) == 2_501
        assert {entry.terms for entry in entries} == {("x", True), *((number,) for number in range(2_500))}
        assert entries[0].rule_key == RULE.key
        assert entries[-1] == Entry(other.key, ("x", True), Sighting(7, 7, 1, "e", "e"))

    def test_entries_may_change_while_they_are_listed(self, store):
        remember(store, *range(1_500))
        entries = store.entries()
        next(entries)
        remember(store, *range(1_500, 3_000))
        assert len(list(entries)) >= 1_499

    def test_an_empty_state_lists_nothing(self, store):
        assert list(store.entries()) == []
        assert list(store.rules()) == []

    def test_stats(self, store):
        empty = store.stats()
        remember(store, *range(2_000))
        full = store.stats()
        assert (empty.entries, full.entries, full.map_size) == (0, 2_000, MAP_SIZE)
        assert empty.used_bytes < full.used_bytes <= full.file_bytes <= full.map_size

    def test_a_future_runs_to_its_end(self, store):
        assert not store.confirm([claim(store, "x")]).cancel()

    def test_releasing_forgets(self, store):
        store.release([claim(store, "x")])
        assert claim(store, "x", "e2").verdict is Verdict.NEW

    def test_a_claim_is_settled_once(self, store):
        one = claim(store, "x")
        store.release([one])
        with pytest.raises(ValueError, match="once"):
            store.confirm([one])

    def test_no_claims_take_no_transaction(self, store):
        before = store._env.info()["last_txnid"]
        assert store.confirm([]).done()
        store.close()
        assert before == 1


class TestRules:
    def test_a_history_begins_once(self, store, tmp_path):
        assert store.register([RULE], 1_000) == [1_000]
        assert store.register([RULE], 2_000) == [1_000]
        store.close()
        again = LmdbStore.open(tmp_path / "state", MAP_SIZE)
        assert again.register([RULE], 3_000) == [1_000]
        assert list(again.rules()) == [(RULE, 1_000)]
        again.close()

    def test_a_rule_may_be_renamed(self, store):
        store.register([RULE], 1_000)
        renamed = RuleState(RULE.key, "rule", "Another name")
        assert store.register([renamed], 2_000) == [1_000]
        assert list(store.rules()) == [(renamed, 1_000)]

    def test_a_changed_rule_begins_another_history(self, store):
        store.register([RULE], 1_000)
        assert store.register([RuleState(b"8 others", "rule", "Rule")], 2_000) == [2_000]
        assert len(list(store.rules())) == 2

    def test_many_begin_in_one_transaction(self, store):
        others = [RuleState(b"rule %03d" % number, f"r-{number}", "Rule") for number in range(300)]
        store.register([RULE], 1_000)
        before = store._env.info()["last_txnid"]
        assert store.register([others[0], RULE, *others[1:]], 2_000) == [2_000, 1_000, *[2_000] * 299]
        assert store.register(others, 3_000) == [2_000] * 300
        assert store._env.info()["last_txnid"] == before + 1
        assert len(list(store.rules())) == 301

    @pytest.fixture
    def over(self, store, tmp_path):
        """A state that was opened anew, with a history in it that is over, as no rule has it."""
        store.register([PASSING], 1_000)
        store.close()
        again = LmdbStore.open(tmp_path / "state", MAP_SIZE, durable=False)
        yield again
        again.close()

    def test_a_history_that_was_found_stays_while_others_are_forgotten(self, over, monkeypatch):
        find, forgetting = over._raw, []

        def found(key: bytes, table: bytes) -> bytes | None:
            value = find(key, table)
            forgetting.append(over.prune(1 << 60))
            wait(forgetting, 0.2)  # it may have to wait itself
            return value

        monkeypatch.setattr(over, "_raw", found)
        assert over.register([PASSING], 2_000) == [1_000]
        forgetting[0].result(LONG)
        assert list(over.rules()) == [(PASSING, 1_000)]

    def test_a_history_that_is_being_forgotten_begins_anew(self, over, monkeypatch):
        end, begun = Sweep.ended, []
        thread = threading.Thread(target=lambda: begun.extend(over.register([PASSING], 2_000)))

        def ended(sweep: Sweep, now_ms: int) -> list[bytes]:
            keys = end(sweep, now_ms)
            thread.start()
            thread.join(0.2)  # it may have to wait
            return keys

        monkeypatch.setattr(Sweep, "ended", ended)
        over.prune(1 << 60).result(LONG)
        thread.join(LONG)
        assert (begun, list(over.rules())) == ([2_000], [(PASSING, 2_000)])


class TestReading:
    def test_another_process_reads_while_the_owner_writes(self, store, tmp_path):
        store.register([RULE], 1_000)
        remember(store, "x")
        program = """
import sys; from pathlib import Path; from firstseen.store.lmdb import LmdbReader
reader = LmdbReader.open(Path(sys.argv[1]))
print(reader.get(b"8 bytes.", ("x",)), len(list(reader.entries())), *reader.rules(), reader.stats().map_size)
reader.close()
"""
        other = python(program, tmp_path / "state")
        assert other.stdout == f"{store.get(RULE.key, ('x',))} 1 {History(RULE, 1_000)} {MAP_SIZE}\n", other.stderr

    def test_where_nothing_is(self, tmp_path):
        with pytest.raises(StoreError, match="holds no state yet"):
            LmdbReader.open(tmp_path / "missing")
        assert not (tmp_path / "missing").exists()

    def test_where_nothing_is_yet(self, tmp_path):
        lmdb.open(str(tmp_path / "lmdb")).close()
        with pytest.raises(StoreError, match="holds no state yet"):
            LmdbReader.open(tmp_path)

    def test_a_value_that_cannot_be_read_is_named(self, store, tmp_path):
        store.register([RULE], 1_000)
        remember(store, "x")
        store.close()
        path, key = tmp_path / "state", state_key(RULE.key, ("x",))
        tamper(path, b"terms", key, b"\xc1")
        tamper(path, b"rules", RULE.key, b"\x80")
        store = LmdbStore.open(path, MAP_SIZE)
        for reading in (lambda: claim(store, "x"), lambda: store.get(RULE.key, ("x",)), lambda: list(store.entries())):
            with pytest.raises(
                StoreError, match=f"unreadable under the key {key.hex()}: it is no msgpack.*move .*lmdb away"
            ):
                reading()
        for reading in (lambda: list(store.rules()), lambda: store.register([RULE], 2_000)):
            with pytest.raises(StoreError, match=f"unreadable under the key {RULE.key.hex()}: it is no rule"):
                reading()
        remember(store, "y")
        store.close()


class TestNoRoom:
    def test_a_full_map_fails_the_commit_and_nothing_else(self, tmp_path):
        store = LmdbStore.open(tmp_path, 1 << 17, durable=False)
        remember(store, "x")
        late = claim(store, "w" * 100)
        with pytest.raises(
            StoreError, match=f"{tmp_path} is full: its map_size of 131072 bytes.*set a larger map_size"
        ):
            remember(store, "x", *(f"{number:01000}" for number in range(200)))
        assert store.problem is not None
        assert store.stats().entries == 1
        assert store.get(RULE.key, ("x",)) == Sighting(100, 100, 1, "e1", "e1")
        assert claim(store, f"{7:01000}").verdict is Verdict.NEW
        assert store.confirm([late]).result(LONG) is None
        assert store.problem is None
        store.close()

    def test_a_larger_map_goes_on_where_the_full_one_stopped(self, tmp_path):
        store = LmdbStore.open(tmp_path, 1 << 17, durable=False)
        for number in range(200):
            future = store.confirm([claim(store, f"{number:01000}")])
            if future.exception(LONG) is not None:
                break
        assert "is full" in str(future.exception())
        with pytest.raises(StoreError, match="is full"):
            store.register([RuleState(b"8 others", "other", "O" * 20_000)], 0)
        store.close()
        store = LmdbStore.open(tmp_path, MAP_SIZE, durable=False)
        assert store.stats().entries == number
        remember(store, f"{number:01000}")
        store.close()

    def test_forgetting_makes_room_without_a_restart(self, tmp_path):
        """The writer keeps trying, once told of; what is over is pruned meanwhile, and then what waits is written."""
        told: list[StoreError | None] = []
        store = LmdbStore.open(tmp_path, 1 << 18, durable=False, trouble=told.append)
        store.register([RuleState(RULE.key, "rule", "Rule", 10)], 0)
        number, waiting = 0, store.confirm([claim(store, "first")])
        while not told:
            number += 1
            waiting = store.confirm([claim(store, f"{number:0400}")])
            wait([waiting], 0.01)
        assert "is full" in str(told[0])
        assert not waiting.done()
        assert "is full" in str(store.problem)
        while store.swept.pruned < number // 2:
            store.prune(1 << 60).exception(LONG)
        waiting.result(LONG)
        assert (len(told), told[-1], store.problem) == (2, None, None)
        assert store.get(RULE.key, (f"{number:0400}",)) is not None
        store.close()

    @pytest.mark.parametrize("at_once", [50, 1_000, 5_000])
    def test_a_full_map_is_shown_as_full(self, tmp_path, at_once):
        """Whatever is written at once, nearly all of the map can be used; what is shown of it is what is not free."""
        told: list[StoreError | None] = []
        store = LmdbStore.open(tmp_path, 1 << 21, durable=False, trouble=told.append)
        number = 0
        while not told:
            number += at_once
            terms = (f"arn:aws:iam::111122223333:user/{each}" for each in range(number - at_once, number))
            wait([store.confirm([claim(store, term) for term in terms])], 0.2)
        assert "is full" in str(told[0])
        sizes = store.stats()
        assert sizes.used_bytes > 0.9 * sizes.map_size
        store.close()

    def test_a_full_disk_fails_the_commit_and_nothing_else(self, store):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
            with pytest.raises(StoreError, match="cannot be used: mdb_txn_commit"):
                remember(store, *(f"{number:01000}" for number in range(200)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert store.problem is not None
        remember(store, *(f"{number:01000}" for number in range(200)))
        assert (store.problem, store.stats().entries) == (None, 200)


def test_what_nobody_would_find_again_is_not_written(tmp_path) -> None:
    """The folder of the state was taken away: the file is written to no purpose, and that is no memory."""
    told: list[StoreError | None] = []
    store = LmdbStore.open(tmp_path / "state", 1 << 20, durable=False, trouble=told.append)
    shutil.rmtree(tmp_path / "state")

    waiting = store.confirm([claim(store, "ada")])

    wait([waiting], 0.2)
    assert not waiting.done()
    assert "was taken away" in str(told[0])
    store.close()


class TestRoom:
    """Room is made while the agent runs: claims come and go, others read, and what waited is written."""

    @pytest.fixture
    def told(self):
        return []

    @pytest.fixture
    def full(self, tmp_path, told):
        """A state that is full: its last confirmation waits."""
        store = LmdbStore.open(tmp_path, 1 << 18, durable=False, trouble=told.append)
        store.register([RULE], 1_000)
        store.number = 0
        while not told:
            store.number += 1
            # Some in their order and some not, as things come: so that their pages are not full.
            name = f"{store.number * 7_919 % 10_007:0100}"
            store.waiting = store.confirm([claim(store, name)])
            wait([store.waiting], 0.01)
        assert "is full" in str(store.problem)
        yield store
        store.close()

    def test_a_larger_map(self, full, told):
        pending = claim(full, "pending")

        assert full.resize(MAP_SIZE).result(LONG) == MAP_SIZE

        full.waiting.result(LONG)
        assert (len(told), told[-1], full.problem) == (2, None, None)
        assert full.stats().map_size == MAP_SIZE
        assert full.stats().entries == full.number
        full.confirm([pending]).result(LONG)
        remember(full, *range(3_000))

    def test_a_smaller_map_is_as_large_as_what_is_in_it(self, store):
        remember(store, *range(2_000))
        used = store.stats().file_bytes

        bound = store.resize(4_096).result(LONG)

        assert used <= store.stats().map_size == bound < 2 * used
        assert store.stats().entries == 2_000
        store.resize(MAP_SIZE).result(LONG)
        remember(store, "x")

    def test_a_map_that_cannot_be(self, store):
        remember(store, "x")
        with pytest.raises(StoreError, match=r"stays as it was: .*Cannot allocate memory"):
            store.resize(1 << 60).result(LONG)
        assert store.problem is None
        assert store.stats().map_size == MAP_SIZE
        remember(store, "y")
        assert store.stats().entries == 2

    def test_compacting(self, full, told, tmp_path):
        """What is in order in it takes less, so that it is no longer full."""
        pending, known = claim(full, "pending"), list(full.entries())

        before, after = full.compact().result(LONG)

        assert 0.9 * before > after
        assert {file.name for file in tmp_path.iterdir()} == {"lmdb", "lock"}
        full.waiting.result(LONG)
        assert (len(told), told[-1], full.problem) == (2, None, None)
        assert full.stats().map_size == 1 << 18
        assert {entry.terms for entry in known} < {entry.terms for entry in full.entries()}
        full.confirm([pending]).result(LONG)
        assert full.get(RULE.key, ("pending",)) is not None
        full.close()
        again = LmdbStore.open(tmp_path, MAP_SIZE)
        assert again.stats().entries == full.number + 1
        again.close()

    def test_compacting_waits_for_the_disk_where_everything_does(self, tmp_path):
        store = LmdbStore.open(tmp_path, MAP_SIZE)
        store.compact().result(LONG)
        assert store._env.flags()["sync"]
        store.close()

    def test_a_disk_without_room_for_both(self, full, told, tmp_path):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
            with pytest.raises(StoreError, match="File too large"):
                full.compact().result(LONG)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert {file.name for file in tmp_path.iterdir()} == {"lmdb", "lock"}
        assert len(told) == 1
        full.resize(MAP_SIZE).result(LONG)
        full.waiting.result(LONG)

    @pytest.mark.parametrize("missing", ["lmdb", "lmdb.new"])
    def test_an_exchange_that_fails_is_taken_back(self, store, tmp_path, monkeypatch, missing):
        """Of the two renames the first fails, or the second."""
        remember(store, "x")
        rename = Path.rename

        def fail(path, target):
            if path.name == missing:
                raise OSError(28, "No space left on device")
            return rename(path, target)

        monkeypatch.setattr("firstseen.store.compaction.Path.rename", fail)
        with pytest.raises(StoreError, match="No space left on device"):
            store.compact().result(LONG)
        monkeypatch.undo()
        assert store.problem is None
        assert {file.name for file in (tmp_path / "state").iterdir()} == {"lmdb", "lock"}
        remember(store, "y")
        assert store.stats().entries == 2

    def test_where_nothing_can_be_opened_nothing_is_acknowledged(self, store, monkeypatch):
        monkeypatch.setattr("firstseen.store.owned.environment", lambda *_, **__: Path("/nowhere").read_bytes())
        for doing in (lambda: store.resize(MAP_SIZE * 2).result(LONG), lambda: claim(store, "x"), store.stats):
            with pytest.raises(StoreError, match="cannot be opened again"):
                doing()
        monkeypatch.undo()
        remember(store, "x")
        assert store.stats().map_size == MAP_SIZE
        assert store.problem is None

    def test_where_nothing_can_be_opened_any_more_all_is_refused(self, store, monkeypatch):
        def broken(*_, **__):
            error = lmdb.InvalidError("it is no database")
            error.code = -30793
            raise error

        monkeypatch.setattr("firstseen.store.owned.environment", broken)
        for doing in (
            lambda: store.resize(MAP_SIZE * 2).result(LONG),
            lambda: claim(store, "x"),
            lambda: store.resize(MAP_SIZE).result(LONG),
            store.stats,
        ):
            with pytest.raises(StoreError):
                doing()
        assert "cannot be opened again" in str(store.problem)

    def test_closing_does_not_wait_for_a_compaction(self, tmp_path, monkeypatch):
        """Half of it is thrown away, and what was confirmed meanwhile is written."""
        store = LmdbStore.open(tmp_path, MAP_SIZE, durable=False)
        remember(store, *range(1_000))
        monkeypatch.setattr("firstseen.store.compaction._AT_ONCE", 10)
        under_way, closed = threading.Event(), threading.Event()
        form = "firstseen.store.compaction.repacked"

        def slow(raw):
            under_way.set()
            assert closed.wait(LONG)
            return raw

        monkeypatch.setattr(form, slow)
        compacted = store.compact()
        assert under_way.wait(LONG)
        confirmed = store.confirm([claim(store, "x")])
        closing = threading.Thread(target=store.close)
        closing.start()
        while store._open:
            closing.join(0.001)
        closed.set()
        closing.join()
        with pytest.raises(StoreError, match="is closed, and not compacted"):
            compacted.result(LONG)
        confirmed.result(0)
        assert {file.name for file in tmp_path.iterdir()} == {"lmdb", "lock"}
        assert len(raw(tmp_path, b"terms")) == 1_001

    def test_a_closed_state_is_left_alone(self, store):
        store.close()
        for future in (store.resize(MAP_SIZE), store.compact()):
            with pytest.raises(StoreError, match="is closed"):
                future.result(LONG)

    def test_who_reads_meanwhile_reads_on(self, store, tmp_path):
        """One that began when the map was small, and one in the middle of its pages when the file was exchanged."""
        remember(store, *range(1_500))
        program = """
import sys; from pathlib import Path; from firstseen.store.lmdb import LmdbReader
reader = LmdbReader.open(Path(sys.argv[1]))
entries = reader.entries()
print(next(entries) is not None, flush=True)
for line in sys.stdin:
    print(len(list(entries)), reader.stats().entries, reader.get(b"8 bytes.", (1,)) is not None, flush=True)
    entries = reader.entries()
"""
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        command = [sys.executable, "-c", program, str(tmp_path / "state")]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None

            def ask() -> list[str]:
                print(file=reader.stdin)
                return reader.stdout.readline().split()

            assert reader.stdout.readline() == "True\n"
            store.resize(1 << 24).result(LONG)
            assert ask() == ["1499", "1500", "True"]
            remember(store, *range(1_500, 30_000))
            assert store.stats().file_bytes > MAP_SIZE
            assert ask() == ["30000", "30000", "True"]
            store.compact().result(LONG)
            remember(store, "x")
            assert ask() == ["30000", "30000", "True"]  # as it was
            reader.stdin.close()
        assert store.stats().entries == 30_001


class TestClosing:
    def test_closing_twice_is_closing_once(self, store):
        store.close()
        store.close()

    def test_after_that_nothing_goes(self, store):
        pending, released = claim(store, "x"), claim(store, "y")
        waiting = store.confirm([claim(store, "x", "e2")])
        store.close()
        for future in (waiting, store.confirm([pending])):
            with pytest.raises(StoreError, match="is closed"):
                future.result(LONG)
        store.release([released])
        doings = (
            lambda: claim(store, "x"),
            lambda: store.get(RULE.key, ("x",)),
            lambda: list(store.entries()),
            lambda: store.register([RULE], 0),
            store.stats,
        )
        for doing in doings:
            with pytest.raises(StoreError):
                doing()

    def test_what_was_confirmed_is_written(self, store, tmp_path):
        futures = [store.confirm([claim(store, number)]) for number in range(100)]
        store.close()
        assert all(future.result(0) is None for future in futures)
        assert len(raw(tmp_path / "state", b"terms")) == 100

    def test_the_writer_ends(self, store):
        writing: list[threading.Thread] = []
        store.confirm([claim(store, "x")]).add_done_callback(lambda _: writing.append(threading.current_thread()))
        store.close()
        assert [(thread.name, thread.is_alive()) for thread in writing] == [("firstseen-state", False)]


class TestUpkeep:
    def test_absorbing_merges(self, store, tmp_path):
        store.register([RULE], 1_000)
        remember(store, "x")  # first and last seen at 100
        store.absorb(
            [History(RuleState(RULE.key, "rule", "A name"), 500), History(OTHER, 9)],
            [
                Entry(RULE.key, ("x",), Sighting(50, 90, 7, "e0", "e2")),
                Entry(RULE.key, ("y",), Sighting(1, 2, 3, "e", "f")),
                Entry(RULE.key, ("y",), Sighting(1, 5, 2, "g", "h")),
            ],
        )
        assert store.get(RULE.key, ("x",)) == Sighting(50, 100, 7, "e1", "e1")
        assert store.get(RULE.key, ("y",)) == Sighting(1, 5, 3, "g", "h")
        assert list(store.rules()) == [(RULE, 500), (OTHER, 9)]
        store.close()
        assert len(raw(tmp_path / "state", b"terms")) == 2

    def test_claims_on_their_way_are_added_to_what_is_absorbed(self, store):
        one = claim(store, "x", "e1", 105)
        store.absorb([], [Entry(RULE.key, ("x",), Sighting(50, 100, 7, "e0", "e0"))])
        assert claim(store, "x", "e2", 106).before == Sighting(50, 105, 8, "e1", "e1")
        store.confirm([one]).result(LONG)
        assert store.get(RULE.key, ("x",)) == Sighting(50, 105, 8, "e1", "e1")

    def test_what_is_on_its_way_elsewhere_goes_on_here(self, store, tmp_path):
        remember(store, "x", "y")
        there = {
            state_key(RULE.key, ("x",)): Sighting(50, 99, 7, "e0", "e0"),
            state_key(RULE.key, ("y",)): Window(1, 2, "e", 0),
        }
        elsewhere = Ledger(there.get)
        law = NewTermsLaw(10)
        known = elsewhere.claim(RULE, ("x",), Occurrence(105, "e2"), law)
        other = elsewhere.claim(RULE, ("y",), Occurrence(105, "e3"), SuppressionLaw(10))
        new = elsewhere.claim(RULE, ("z",), Occurrence(105, "e4"), law)
        confirmed = elsewhere.confirm([known, other])
        store.take_over(elsewhere.hand_over())
        confirmed.result(LONG)
        store.confirm([new]).result(LONG)
        assert store.get(RULE.key, ("x",)) == Sighting(50, 105, 8, "e1", "e2")
        assert isinstance(store.get(RULE.key, ("y",)), Window), "it goes by the law by which it was claimed"
        assert store.get(RULE.key, ("z",)) == Sighting(105, 105, 1, "e4", "e4")

    def test_what_is_absorbed_takes_nothing_from_what_was_taken_over(self, store):
        law = NewTermsLaw(10)
        elsewhere = Ledger({state_key(RULE.key, ("x",)): Sighting(100, 100, 3, "e1", "e1")}.get)
        pending = elsewhere.claim(RULE, ("x",), Occurrence(50, "e2"), law)
        store.take_over(elsewhere.hand_over())
        store.absorb([], [Entry(RULE.key, ("x",), Sighting(80, 80, 1, "e0", "e0"))])
        assert claim(store, "x", "e3", 105).verdict is Verdict.KNOWN
        store.confirm([pending]).result(LONG)
        assert store.get(RULE.key, ("x",)) == Sighting(50, 100, 4, "e1", "e1")

    def test_what_does_not_fit_is_not_absorbed(self, store):
        remember(store, "x")
        with pytest.raises(StoreError, match=r"does not fit .*: one rule's memories are of two laws"):
            store.absorb([], [Entry(RULE.key, ("x",), Window(1, 2, "e", 0))])
        assert store.get(RULE.key, ("x",)) == Sighting(100, 100, 1, "e1", "e1")

    def test_forgetting(self, store):
        store.register([RULE], 1_000)
        remember(store, "x", "y")
        store.forget(RULE.key, [("x",), ("never seen",)])
        assert [entry.terms for entry in store.entries()] == [("y",)]
        assert claim(store, "x", "e2").verdict is Verdict.NEW
        store.forget_history(RULE.key)
        assert list(store.rules()) == []

    def test_entries_of_one_rule_behind_a_key_that_hold_something(self, store):
        remember(store, *range(5), "a:b")
        store.confirm([store.claim(OTHER, ("a:b",), Occurrence(7, "e"), NewTermsLaw(10))]).result(LONG)
        everything = list(store.entries())
        keys = [state_key(entry.rule_key, entry.terms) for entry in everything]
        assert keys == sorted(keys)
        assert list(store.entries(RULE.key)) == everything[:6]
        assert list(store.entries(OTHER.key)) == everything[6:]
        assert list(store.entries(b"", keys[2])) == everything[3:]
        assert list(store.entries(RULE.key, keys[5])) == []
        assert [entry.rule_key for entry in store.entries(holding=b"a:b")] == [RULE.key, OTHER.key]


class TestFold:
    """What was found elsewhere, put together with what is remembered."""

    @staticmethod
    def found(*terms: str, time: int = 100) -> dict[bytes, Entry]:
        sighting = Sighting(time, time, 1, "e", "e")
        return {state_key(RULE.key, (term,)): Entry(RULE.key, (term,), sighting) for term in terms}

    def test_it_is_remembered_with_its_marks(self, tmp_path, store):
        assert store.fold(self.found("x", "y"), {b"file": b"1"}) == 2
        assert store.fold(self.found("y", "z", time=200), {b"file": b"2"}) == 1

        assert store.get(RULE.key, ("y",)) == Sighting(100, 200, 2, "e", "e")
        assert claim(store, "z", time=201).verdict is Verdict.KNOWN
        assert (store.mark(b"file"), store.mark(b"other")) == (b"2", None)
        store.close()
        with_it = LmdbStore.open(tmp_path / "state", MAP_SIZE)
        assert (with_it.get(RULE.key, ("x",)), with_it.mark(b"file")) == (Sighting(100, 100, 1, "e", "e"), b"2")
        with_it.close()

    def test_what_finds_no_room_is_not_written_in_part(self, store):
        with pytest.raises(StoreError, match="is full"):
            store.fold(self.found(*(f"{number:05}{'x' * 90}" for number in range(9_000))), {b"file": b"1"})

        assert (store.stats().entries, store.mark(b"file")) == (0, None)
        assert store.fold(self.found("x"), {b"file": b"1"}) == 1


def test_a_later_event_becomes_part_of_a_claim(store):
    remember(store, "x")
    known = claim(store, "x", "e2", 101)

    assert store.extend(known, Occurrence(102, "e3"))
    store.confirm([known]).result(LONG)
    memory = store.get(RULE.key, ("x",))
    assert (memory.last_seen, memory.count, memory.last_event) == (102, 3, "e3")


def test_what_was_written_last_is_what_the_disk_says(store, monkeypatch):
    monkeypatch.setattr("firstseen.store.lmdb.MOST_RECENT", 2)
    for round_number in range(3):
        for term in ("a", "b", "c", "d"):
            store.confirm([claim(store, term, f"e{round_number}", 100 + round_number)]).result(LONG)
            assert store.get(RULE.key, (term,)).count == round_number + 1

    store.forget(RULE.key, [("d",)])
    assert store.get(RULE.key, ("d",)) is None
    assert claim(store, "d", "e9", 103).verdict is Verdict.NEW
