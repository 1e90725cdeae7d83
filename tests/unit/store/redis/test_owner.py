from __future__ import annotations

from pathlib import Path

import pytest

from firstseen.errors import StoreError
from firstseen.store.redis.owner import FILE, Owner


def test_a_name_stays_with_its_folder(tmp_path: Path) -> None:
    first = Owner.take(tmp_path / "a")
    name = first.name
    first.release()
    again, other = Owner.take(tmp_path / "a"), Owner.take(tmp_path / "b")
    assert again.name == name == (tmp_path / "a" / FILE).read_bytes().strip()
    assert other.name != name
    assert len(name) == 32
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    again.release()
    other.release()


def test_two_do_not_have_one_name_at_a_time(tmp_path: Path) -> None:
    owner = Owner.take(tmp_path)
    with pytest.raises(StoreError):
        Owner.take(tmp_path)
    owner.release()
    Owner.take(tmp_path).release()


def test_an_empty_file_is_no_name(tmp_path: Path) -> None:
    """A power loss can leave one behind."""
    (tmp_path / FILE).write_bytes(b"\n")
    owner = Owner.take(tmp_path)
    assert len(owner.name) == 32
    owner.release()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file \(state.path\) cannot be used: .*an agent keeps its name there"):
        Owner.take(tmp_path / "file")


def test_a_name_that_cannot_be_written_leaves_the_folder_to_others(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StoreError, match="agent cannot be used: Is a directory"):
        Owner.take(tmp_path)
    (tmp_path / FILE).rmdir()
    Owner.take(tmp_path).release()
