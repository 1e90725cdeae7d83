"""Each opening happens in a process of its own: one that looks at what is not there is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from firstseen.store.pages import Missing, missing

PAGE = 4_096
MAP_SIZE = 1 << 22
READ = """
import sys; from pathlib import Path; from firstseen.errors import StoreError
from firstseen.store.lmdb import LmdbReader, LmdbStore
for opened in (lambda: LmdbReader.open(Path(sys.argv[1])), lambda: LmdbStore.open(Path(sys.argv[1]), 1 << 22)):
    try:
        state = opened()
        print(len(list(state.entries())))
        state.close()
    except StoreError as error:
        print(error)
"""


def fill(folder: Path, items: int, size: int = 200) -> Path:
    """Many pages, in two trees; of values of more than half a page each takes pages of its own."""
    with lmdb.open(str(folder), max_dbs=2, map_size=MAP_SIZE) as env:
        for name in (b"one", b"two"):
            table = env.open_db(name)
            with env.begin(table, write=True) as txn:
                for number in range(items):
                    txn.put(f"{number:06}".encode(), b"x" * size)
    return folder / "data.mdb"


@pytest.mark.parametrize(("items", "size"), [(0, 1), (1, 1), (2_000, 200), (50, 10_000)])
def test_a_whole_file_lacks_nothing_and_its_last_page_is_known(tmp_path: Path, items: int, size: int) -> None:
    file = fill(tmp_path, items, size)
    assert missing(file) is None
    os.truncate(file, file.stat().st_size + 10 * PAGE)
    assert missing(file) is None


@pytest.mark.parametrize(("items", "size"), [(2_000, 200), (50, 10_000)])
def test_wherever_a_file_is_cut_it_lacks_something(tmp_path: Path, items: int, size: int) -> None:
    file = fill(tmp_path, items, size)
    whole = file.stat().st_size
    for length in (whole * 3 // 4, whole // 2, 3 * PAGE, 2 * PAGE + 1):
        os.truncate(file, length)
        lacks = missing(file)
        assert lacks is not None
        assert lacks.size == length < lacks.needed <= whole


def test_pages_that_nothing_leads_to_may_lack(tmp_path: Path) -> None:
    """The file says that it is longer than it is, but what is missing is of no use."""
    file = fill(tmp_path, 100)
    raw = bytearray(file.read_bytes())
    whole = len(raw)
    for at in (16 + 120, PAGE + 16 + 120):  # the number of the last page, in either meta page
        last = int.from_bytes(raw[at : at + 8], "little")
        raw[at : at + 8] = (last + 5).to_bytes(8, "little")
    file.write_bytes(raw)
    assert missing(file) is None

    os.truncate(file, whole // 2)
    assert missing(file) == Missing(whole // 2, whole)


@pytest.mark.parametrize("content", [b"", b"no database" * 1_000, b"\0" * PAGE, b"x"])
def test_what_is_no_database_is_for_others_to_tell(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "data.mdb"
    file.write_bytes(content)
    assert missing(file) is None


@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_state_that_is_cut_short_is_refused_and_ends_nobody(tmp_path: Path, part: float) -> None:
    program = """
import sys; from pathlib import Path
from firstseen.detect.new_terms import Sighting; from firstseen.store.base import Entry
from firstseen.store.lmdb import LmdbStore
store = LmdbStore.open(Path(sys.argv[1]), 1 << 22)
for start in range(0, 5_000, 500):
    numbers = range(start, start + 500)
    store.absorb([], [Entry(b"8 bytes.", (number,), Sighting(1, 1, 1, "e", "e")) for number in numbers])
store.close()
"""
    assert run(program, tmp_path).returncode == 0
    file = tmp_path / "lmdb" / "data.mdb"
    os.truncate(file, int(part * file.stat().st_size))

    told = run(READ, tmp_path)

    assert told.returncode == 0, told.stderr
    for line in told.stdout.splitlines():
        assert any(each in line for each in ("is cut short: it has", "is empty; ", "holds no LMDB database"))
        assert "restore a backup with `firstseen state import`" in line
    assert len(told.stdout.splitlines()) == 2


def run(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    return subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
