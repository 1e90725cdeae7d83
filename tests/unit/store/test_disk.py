from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

from firstseen.errors import StoreError
from firstseen.store.disk import DATA, NEW, OLD, explanation, is_passing, is_there, settle


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
        (lmdb.VersionMismatchError, -30794, r"another version of LMDB \(its words\); .*move the folder away", False),
        (lmdb.CorruptedError, -30796, r"is damaged \(its words\); .*move the folder away", False),
        (lmdb.PanicError, -30795, r"is damaged \(its words\); .*move the folder away", False),
        (lmdb.BadTxnError, -30782, "cannot be used: its words", False),
    ],
)
def test_what_lmdb_says_is_explained(kind, code, says, passing):
    error = kind("its words")
    error.code = code  # as the library sets it where it raises
    with pytest.raises(StoreError, match=says):
        raise StoreError(explanation(Path("state"), error, 4096))
    assert is_passing(error) is passing


def test_whether_there_is_a_database(tmp_path: Path) -> None:
    assert not is_there(tmp_path)
    make(tmp_path, DATA)
    assert is_there(tmp_path)


def test_a_folder_that_cannot_be_looked_into(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read: File name too long"):
        is_there(tmp_path / ("x" * 300))
