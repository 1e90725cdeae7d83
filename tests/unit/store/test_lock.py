from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firstseen.errors import StoreError
from firstseen.store.lock import OwnerLock, service_of

OWNER = """
import sys
from pathlib import Path
from firstseen.store.lock import OwnerLock

lock = OwnerLock.take(Path(sys.argv[1]))
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@contextmanager
def other_owner(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it is killed or the block ends."""
    command = [sys.executable, "-c", OWNER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def test_the_file_names_its_owner_and_is_nobody_elses(path: Path) -> None:
    lock = OwnerLock.take(path)

    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    lock.release()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give something away")
@pytest.mark.parametrize(("root", "owner"), [(True, 65_534), (False, 0)])
def test_what_root_makes_belongs_to_whom_the_folder_does(
    path: Path, monkeypatch: pytest.MonkeyPatch, root: bool, owner: int
) -> None:
    os.chown(path.parent, 65_534, 65_534)
    if not root:
        monkeypatch.setattr("os.geteuid", lambda: 65_534)

    OwnerLock.take(path).release()

    assert path.stat().st_uid == owner


def test_a_second_owner_is_refused_and_told_who_is_the_first(path: Path) -> None:
    with other_owner(path) as owner, pytest.raises(StoreError) as refusal:
        OwnerLock.take(path)

    assert str(refusal.value) == (
        f"{path.parent} is in use by process {owner.pid}; one process at a time may write a state: stop that first"
    )


def test_a_second_owner_in_the_same_process_is_refused_too(path: Path) -> None:
    lock = OwnerLock.take(path)

    for _ in range(2):  # the refused one does not take the lock away with it
        with pytest.raises(StoreError, match=f"in use by process {os.getpid()};"):
            OwnerLock.take(path)
    lock.release()


def test_an_owner_that_has_not_written_its_name_yet_is_unknown(path: Path) -> None:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        with pytest.raises(StoreError, match="in use by process unknown;"):
            OwnerLock.take(path)


def test_released_it_can_be_taken_again_and_the_file_stays(path: Path) -> None:
    OwnerLock.take(path).release()

    assert path.exists()
    OwnerLock.take(path).release()


def test_the_end_of_its_process_releases_it(path: Path) -> None:
    with other_owner(path) as owner:
        owner.kill()
        owner.wait()

        OwnerLock.take(path).release()


def test_a_longer_name_from_before_leaves_nothing_behind(path: Path) -> None:
    path.write_text("9" * 30 + "\n")

    lock = OwnerLock.take(path)

    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_missing_folder_is_no_other_owner(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OwnerLock.take(path / "lock")


@pytest.mark.parametrize(
    ("cgroups", "service"),
    [
        ("0::/system.slice/firstseen.service\n", "firstseen.service"),
        ("1:name=systemd:/system.slice/firstseen@east.service/part\n0::/\n", "firstseen@east.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/firstseen.service", "firstseen.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope", None),
        ("0::/user.slice/user-1000.slice/session-3.scope", None),
        ("0::/\n", None),
    ],
)
def test_the_service_of_a_process_is_known_by_its_control_group(cgroups: str, service: str | None) -> None:
    assert service_of(cgroups) == service


def test_a_file_that_was_taken_away_is_gone(path: Path) -> None:
    lock = OwnerLock.take(path)
    assert not lock.is_gone

    path.unlink()

    assert lock.is_gone
    lock.release()


def test_a_file_whose_folder_was_moved_is_gone_until_it_is_back(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "state", tmp_path / "moved"
    folder.mkdir()
    lock = OwnerLock.take(folder / "lock")
    folder.rename(elsewhere)
    assert lock.is_gone
    folder.mkdir()
    (folder / "lock").touch()
    assert lock.is_gone
    (folder / "lock").unlink()
    folder.rmdir()
    elsewhere.rename(folder)
    assert not lock.is_gone
    lock.release()


@pytest.mark.parametrize("fails", ["ftruncate", "pwrite"])
def test_one_that_cannot_be_written_is_not_held(path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, fails, full)
        with pytest.raises(OSError, match="No space left"):
            OwnerLock.take(path)

    OwnerLock.take(path).release()
