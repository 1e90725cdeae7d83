from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from firstseen.errors import StoreError
from firstseen.store.disk import (
    DATA,
    LOCK_FILE,
    LOCK_SIZE,
    NEW,
    OLD,
    environment,
    explanation,
    is_passing,
    is_there,
    read_only,
    settle,
    writable,
)


def make(path: Path, *names: str) -> None:
    for name in names:
        (path / name).mkdir()
        (path / name / "data.mdb").write_text(name)


def left(path: Path) -> dict[str, str]:
    return {folder.name: (folder / "data.mdb").read_text() for folder in path.iterdir()}


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ((), {}),
        ((DATA,), {DATA: DATA}),
        ((DATA, NEW), {DATA: DATA}),  # it ended while the new one was written
        ((OLD, NEW), {DATA: OLD}),  # between the two renames
        ((OLD,), {DATA: OLD}),
        ((DATA, OLD), {DATA: DATA}),  # while the old one was removed
        ((NEW,), {}),
    ],
)
def test_an_exchange_that_was_interrupted_is_finished_or_taken_back(tmp_path, found, kept):
    make(tmp_path, *found)

    settle(tmp_path)

    assert left(tmp_path) == kept


@pytest.mark.parametrize(
    ("kind", "code", "says", "passing"),
    [
        (lmdb.MapFullError, -30792, "state is full: its map_size of 4096 bytes is used up", True),
        (lmdb.TxnFullError, -30788, "cannot be used: its words", True),
        (lmdb.DiskError, 28, "cannot be used: its words", True),
        (lmdb.Error, 5, "cannot be used: its words", True),
        (lmdb.VersionMismatchError, -30794, r"another version of LMDB \(its words\); .*move .*lmdb away", False),
        (lmdb.CorruptedError, -30796, r"is damaged \(its words\); .*move .*lmdb away", False),
        (lmdb.PanicError, -30795, r"failed while it was written \(its words\): start firstseen anew", False),
        (lmdb.BadTxnError, -30782, "cannot be used: its words", False),
    ],
)
def test_what_lmdb_says_is_explained(kind, code, says, passing):
    error = kind("its words")
    error.code = code  # as the library sets it where it raises
    with pytest.raises(StoreError, match=says):
        raise StoreError(explanation(Path("state"), error, 4096))
    assert is_passing(error) is passing


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        (0, "finds no room: its disk has 0 bytes left .its words.; make room on it"),
        (1 << 20, "cannot be used: its words"),
    ],
)
def test_a_disk_that_took_a_part_only_is_told_from_one_that_fails(tmp_path, monkeypatch, blocks, says):
    """LMDB says of both that there was an error of input or output."""
    asked = os.statvfs(tmp_path)
    monkeypatch.setattr("os.statvfs", lambda _: os.statvfs_result((*asked[:4], blocks, *asked[5:])))
    error = lmdb.Error("its words")
    error.code = errno.EIO
    assert re.search(says, explanation(tmp_path, error))


def test_whether_there_is_a_database(tmp_path: Path) -> None:
    assert not is_there(tmp_path)
    make(tmp_path, DATA)
    assert is_there(tmp_path)


def test_a_folder_that_cannot_be_looked_into(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read: File name too long"):
        is_there(tmp_path / ("x" * 300))


def test_a_folder_in_the_place_of_the_database(tmp_path: Path) -> None:
    (tmp_path / DATA / "data.mdb").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"data\.mdb cannot be read: Is a directory"):
        read_only(tmp_path)


NOBODY = 65_534


def owners(path: Path) -> dict[str, int]:
    return {str(each.relative_to(path)): each.stat().st_uid for each in path.rglob("*")}


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give something away")
@pytest.mark.parametrize(("root", "owner"), [(True, NOBODY), (False, 0)])
def test_what_root_makes_belongs_to_whom_the_folder_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: bool, owner: int
) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    if not root:
        monkeypatch.setattr("os.geteuid", lambda: NOBODY)

    with writable(tmp_path, 1 << 20, durable=False):
        pass

    assert owners(tmp_path) == dict.fromkeys([DATA, f"{DATA}/data.mdb", f"{DATA}/lock.mdb"], owner)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give something away")
def test_root_may_look_at_a_backup_without_keeping_it(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with writable(tmp_path, 1 << 20, durable=False):
        pass
    (tmp_path / DATA / "lock.mdb").unlink()

    with read_only(tmp_path):
        assert owners(tmp_path)[f"{DATA}/lock.mdb"] == NOBODY


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give something away")
def test_what_a_link_leads_to_stays_whose_it_is(tmp_path: Path) -> None:
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    elsewhere.mkdir()
    state.mkdir()
    with writable(elsewhere, 1 << 20, durable=False):
        pass
    (state / DATA).symlink_to(elsewhere / DATA)
    os.chown(state, NOBODY, NOBODY)

    with writable(state, 1 << 20, durable=False):
        pass

    assert set(owners(elsewhere).values()) == {0}


def test_a_database_has_room_on_the_disk_for_all_of_its_table_of_readers(tmp_path: Path) -> None:
    """A part of it that is a hole ends the process that looks at it while the disk is full."""
    with environment(tmp_path / "new", 1 << 20, durable=True) as env:
        assert env.max_readers() == 126
        found = (tmp_path / "new" / LOCK_FILE).stat()
    assert found.st_size == LOCK_SIZE
    assert found.st_blocks * 512 >= LOCK_SIZE


def test_who_only_looks_makes_the_table_of_readers_whole_as_well(tmp_path: Path) -> None:
    with writable(tmp_path, 1 << 20, durable=False):
        pass
    table = tmp_path / DATA / LOCK_FILE
    table.unlink()
    with read_only(tmp_path):
        assert table.stat().st_blocks * 512 >= LOCK_SIZE


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_without_room_for_the_table_of_readers_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    with writable(tmp_path, 1 << 20, durable=False):
        pass
    monkeypatch.setattr("os.posix_fallocate", failing(code))
    with pytest.raises(StoreError, match=rf"{LOCK_FILE} finds no room: {os.strerror(code)}; make room on its disk"):
        read_only(tmp_path)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_where_nothing_can_be_written_lmdb_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """It looks without a table of readers where the file system is for reading only."""
    with writable(tmp_path, 1 << 20, durable=False):
        pass
    monkeypatch.setattr("firstseen.store.disk._have_lock_file", failing(code))
    with read_only(tmp_path) as env:
        assert env.flags()["readonly"]


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail
