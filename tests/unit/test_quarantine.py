import errno
import json
import os
import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from firstseen.errors import FirstseenError, QuarantineFullError
from firstseen.quarantine import Note, Quarantine, hindrance

NOTE = Note("192.0.2.7:40312", "a\udcffpp", 1_790_000_000_123, "half an entry")
LIMIT = 1 << 20


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does, done by the system: a larger file cannot be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "some/where"


def test_a_chunk_is_kept_with_what_is_known_of_it(folder: Path) -> None:
    file = Quarantine.open(folder, LIMIT).keep(memoryview(b"\x93odd"), NOTE)
    assert file.read_bytes() == b"\x93odd"
    assert json.loads(file.with_suffix(".json").read_text()) == {
        "peer": "192.0.2.7:40312",
        "tag": "a\udcffpp",
        "time": "2026-09-21T14:13:20.123+00:00",
        "reason": "half an entry",
        "size": 4,
    }
    assert len(names(folder)) == 2


def test_only_its_owner_reads_it(folder: Path) -> None:
    before = os.umask(0)
    try:
        file = Quarantine.open(folder, LIMIT).keep(b"x", NOTE)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, file, file.with_suffix(".json"))]
    assert modes == [0o700, 0o600, 0o600]


def test_a_chunk_that_comes_again_is_kept_once_with_its_first_note(folder: Path) -> None:
    quarantine = Quarantine.open(folder, LIMIT)
    first = quarantine.keep(b"x", NOTE)
    told = first.with_suffix(".json").read_bytes()
    assert quarantine.keep(b"x", Note("192.0.2.8:1", "other", 0, "other")) == first
    assert Quarantine.open(folder, LIMIT).keep(b"x", NOTE) == first
    assert first.with_suffix(".json").read_bytes() == told
    assert quarantine.keep(b"y", NOTE) != first
    assert len(names(folder)) == 4


def test_notes_count_and_the_limit_is_never_passed(folder: Path) -> None:
    quarantine = Quarantine.open(folder, 2000)
    for number in range(3):
        quarantine.keep(b"%0400d" % number, NOTE)
    with pytest.raises(QuarantineFullError, match=r"is full: it holds \d+ of 2000 bytes \(input.quarantine_size\)"):
        quarantine.keep(bytes(400), NOTE)
    assert 1500 <= size_of(folder) <= 2000
    with pytest.raises(QuarantineFullError):
        Quarantine.open(folder, 2000).keep(bytes(400), NOTE)


def test_there_is_room_again_when_somebody_took_something_away(folder: Path) -> None:
    quarantine = Quarantine.open(folder, 1000)
    first = quarantine.keep(bytes(500), NOTE)
    with pytest.raises(QuarantineFullError):
        quarantine.keep(bytes(501), NOTE)
    first.unlink()
    assert quarantine.keep(bytes(400), NOTE).stat().st_size == 400
    assert size_of(folder) <= 1000


def test_a_chunk_larger_than_all_the_room_there_is(folder: Path) -> None:
    with pytest.raises(QuarantineFullError, match="holds 0 of 10 bytes"):
        Quarantine.open(folder, 10).keep(b"x", NOTE)
    assert names(folder) == []


def test_chunks_of_many_threads(folder: Path) -> None:
    quarantine = Quarantine.open(folder, LIMIT)
    chunks = [bytes(str(number % 20), "ascii") * 100 for number in range(100)]
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda chunk: quarantine.keep(chunk, NOTE), chunks))
    assert [file.read_bytes() for file in files] == chunks
    assert len(names(folder)) == 40
    assert quarantine._used == size_of(folder)


def test_what_a_crash_left_half_done_is_removed_and_nothing_else(folder: Path) -> None:
    kept = Quarantine.open(folder, LIMIT).keep(b"x", NOTE)
    name = "0" * 32
    for left in (f"{name}.json", f"{name}.json.half", f"{kept.name}.half", f"{'1' * 32}.msgpack.half"):
        (folder / left).write_bytes(b"left")
    others = ["settings.json", "report.half", f"{name}.txt", f"{name}0.json"]
    for other in others:
        (folder / other).write_bytes(b"not ours")
    quarantine = Quarantine.open(folder, LIMIT)
    assert names(folder) == sorted([*others, kept.name, kept.with_suffix(".json").name])
    assert quarantine._used == size_of(folder)


def test_a_content_whose_note_is_gone_is_kept(folder: Path) -> None:
    kept = Quarantine.open(folder, LIMIT).keep(b"x", NOTE)
    kept.with_suffix(".json").unlink()
    assert Quarantine.open(folder, LIMIT).keep(b"x", NOTE) == kept
    assert kept.read_bytes() == b"x"


@pytest.mark.parametrize("most", [10, 1000], ids=["the note", "the content"])
def test_a_full_disk_leaves_nothing_behind(folder: Path, most: int) -> None:
    quarantine = Quarantine.open(folder, LIMIT)
    with files_of_at_most(most), pytest.raises(FirstseenError, match="cannot be written: File too large"):
        quarantine.keep(bytes(2000), NOTE)
    assert names(folder) == []
    assert quarantine.keep(bytes(2000), NOTE).exists()
    assert quarantine._used == size_of(folder)


def test_a_folder_that_is_gone_or_none_any_more_is_told_of(folder: Path) -> None:
    for limit in (1, LIMIT):
        quarantine = Quarantine.open(folder, limit)
        shutil.rmtree(folder)
        with pytest.raises(FirstseenError, match="cannot be written: No such file"):
            quarantine.keep(b"x", NOTE)
    folder.write_bytes(b"")
    with pytest.raises(FirstseenError, match="cannot be written: Not a directory"):
        quarantine.keep(b"x", NOTE)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(FirstseenError, match="cannot be used: File exists"):
        Quarantine.open(file, LIMIT)


def test_files_may_be_taken_away_while_it_is_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Quarantine.open(folder, LIMIT)
    for raw in (b"\x93odd", b"\x93odd too"):
        before.keep(raw, NOTE)
    kept = Quarantine.open(folder, size_of(folder) + 10)
    scan = os.scandir

    def scanned(path: Path) -> Iterator[os.DirEntry[str]]:
        for entry in list(scan(path)):
            Path(entry).unlink()
            yield entry

    monkeypatch.setattr(os, "scandir", scanned)
    content = kept.keep(b"\x93and more", NOTE)

    assert names(folder) == [f"{content.stem}.json", content.name]


def nobody(work: Callable[[], object]) -> object:
    """What ``work`` comes to for a user who may do nothing that is not allowed to all; as text, where it is raised."""
    if os.getuid() != 0:
        return _attempt(work)
    with ProcessPoolExecutor(1, get_context("fork"), initializer=os.setresuid, initargs=(65_534,) * 3) as pool:
        return pool.submit(_attempt, work).result()


def _attempt(work: Callable[[], object]) -> object:
    try:
        return work()
    except FirstseenError as error:
        return str(error)


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that all can read, and root alone can write."""
    with TemporaryDirectory() as folder:  # what pytest gives is closed to others
        Path(folder).chmod(0o555)
        yield Path(folder)


def test_a_folder_that_cannot_be_written_is_found_before_a_chunk_comes(outside: Path) -> None:
    assert nobody(partial(_opened, outside)) == f"the quarantine {outside} cannot be used: Permission denied"
    assert names(outside) == []


def _opened(folder: Path) -> str:
    Quarantine.open(folder, LIMIT)
    return "opened"


def test_why_it_cannot_be_written_is_said_beforehand_and_nothing_made(outside: Path, tmp_path: Path) -> None:
    told = f"{outside} cannot be written by the user who runs this"
    assert nobody(partial(hindrance, outside)) == told
    assert nobody(partial(hindrance, outside / "some/where")) == told
    (tmp_path / "file").write_bytes(b"")
    assert hindrance(tmp_path / "file") == f"{tmp_path}/file is no directory"
    assert hindrance(tmp_path / "file/below") == f"{tmp_path}/file is no directory"
    assert hindrance(tmp_path) is None
    assert hindrance(tmp_path / "some/where") is None
    assert names(tmp_path) == ["file"]
    assert hindrance(tmp_path / ("x" * 300)) == f"{tmp_path}/{'x' * 300} cannot be reached: File name too long"


@pytest.mark.parametrize("path", ["/proc/quarantine", "/proc/self"])
def test_what_is_no_place_for_files_is_found_at_the_start(path: str) -> None:
    with pytest.raises(FirstseenError, match=f"the quarantine {path} cannot be used: "):
        Quarantine.open(Path(path), LIMIT)


def test_a_full_disk_is_no_reason_not_to_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("firstseen.quarantine.os.open", full)
        quarantine = Quarantine.open(folder, LIMIT)
    assert quarantine.keep(b"x", NOTE).exists()
