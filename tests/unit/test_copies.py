from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pytest

from firstseen import copies as module
from firstseen.copies import Copies, CopyError


def written(path: Path, content: bytes, age_s: float = 3_600.0) -> Path:
    path.write_bytes(content)
    moment = time.time() - age_s
    os.utime(path, (moment, moment))
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was written was written a while ago: when a file's inode was changed cannot be set."""
    now_ns = time.time_ns
    monkeypatch.setattr(module.time, "time_ns", lambda: now_ns() + 10 * module.SETTLED_NS)


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[Copies]:
    with closing(Copies(tmp_path / "new" / "state")) as made:
        yield made


def test_what_is_written_over_is_still_as_it_was_in_its_copy(tmp_path: Path, copies: Copies) -> None:
    original = written(tmp_path / "a", b"as it was")
    copy = copies.of(original)
    original.write_bytes(b"")
    assert copy.read_bytes() == b"as it was"
    assert copies.of(original).read_bytes() == b""


def test_it_has_no_name_and_a_folder_for_its_owner_alone(tmp_path: Path, copies: Copies) -> None:
    copy = copies.of(written(tmp_path / "a", b"x" * 3_000_000))
    assert list((tmp_path / "new/state").iterdir()) == []
    assert (tmp_path / "new/state").stat().st_mode & 0o777 == 0o700
    assert copy.readlink().is_relative_to(tmp_path / "new/state")
    assert copy.stat().st_size == 3_000_000


def test_what_is_as_it_was_is_not_copied_again(tmp_path: Path, copies: Copies, later: None) -> None:
    original = written(tmp_path / "a", b"as it was")
    first = copies.of(original).stat().st_ino
    assert copies.of(original).stat().st_ino == first
    written(original, b"otherwise", age_s=7_200.0)
    assert copies.of(original).read_bytes() == b"otherwise"
    written(tmp_path / "b", b"replaced!").replace(original)
    assert copies.of(original).read_bytes() == b"replaced!"


def test_what_was_written_just_now_may_be_written_again_at_the_same_time(tmp_path: Path, copies: Copies) -> None:
    original = tmp_path / "a"
    original.write_bytes(b"one")
    moment = original.stat().st_mtime_ns
    assert copies.of(original).read_bytes() == b"one"
    original.write_bytes(b"two")
    os.utime(original, ns=(moment, moment))
    assert copies.of(original).read_bytes() == b"two"


def test_what_is_of_no_use_any_more_is_let_go_of(tmp_path: Path, copies: Copies, later: None) -> None:
    one, two = written(tmp_path / "one", b"1"), written(tmp_path / "two", b"2")
    gone, kept = copies.of(one), copies.of(two)
    copies.keep_only([two])
    assert not gone.exists()
    assert kept.read_bytes() == b"2"


def test_what_cannot_be_read_is_the_fault_of_the_file(tmp_path: Path, copies: Copies) -> None:
    with pytest.raises(FileNotFoundError):
        copies.of(tmp_path / "gone")
    with pytest.raises(IsADirectoryError):
        copies.of(tmp_path)


def test_what_is_written_meanwhile_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = written(tmp_path / "a", b"half")
    copy = shutil.copyfileobj

    def copied(source: IO[Any], target: IO[Any], piece: int) -> None:
        copy(source, target, piece)
        with original.open("ab") as more:
            more.write(b" and the rest")

    monkeypatch.setattr(module.shutil, "copyfileobj", copied)
    with pytest.raises(OSError, match="it is being written just now: load it again when it is whole"):
        Copies(tmp_path).of(original)


def test_no_room_is_told_with_the_place_that_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = written(tmp_path / "a", b"x")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    with pytest.raises(
        CopyError, match=f"^{original} cannot be copied to {tmp_path}/new/state: No space left on device$"
    ) as raised:
        Copies(tmp_path / "new/state").of(original)
    assert raised.value.is_full


def test_a_place_that_takes_no_files_is_not_said_to_be_full(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no directory")
    with pytest.raises(CopyError, match=f"cannot be copied to {tmp_path}/state: ") as raised:
        Copies(tmp_path / "state").of(written(tmp_path / "a", b"x"))
    assert not raised.value.is_full
