from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from firstseen import plainfile


def test_a_file_and_a_link_to_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"what is in it")
    (tmp_path / "link").symlink_to("file")
    assert plainfile.read(tmp_path / "file") == plainfile.read(tmp_path / "link") == b"what is in it"
    plainfile.require(tmp_path / "link")
    with plainfile.opened(tmp_path / "link") as file:
        assert file.read() == b"what is in it"


def test_a_file_that_does_not_know_its_size() -> None:
    status = plainfile.read(Path("/proc/self/status"))
    assert status.startswith(b"Name:")
    assert status.endswith(b"\n")
    with pytest.raises(OSError, match="larger than 0 MiB"):
        plainfile.read(Path("/proc/self/status"), 100)


def test_a_file_that_would_have_to_be_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /proc/kmsg is, which calls itself a plain file."""

    class Waits:
        def __init__(self, file: int, mode: str) -> None:
            self.fileno = lambda: file

        def __enter__(self) -> Waits:
            return self

        def __exit__(self, *_: object) -> None:
            os.close(self.fileno())

        def read(self, size: int) -> None:
            assert size > 0

    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "fdopen", Waits)
    with pytest.raises(OSError, match="no file with a content of its own"):
        plainfile.read(tmp_path / "file")


def test_a_file_may_be_as_large_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert len(plainfile.read(tmp_path / "file", 100)) == 100
    with pytest.raises(OSError, match="larger than 0 MiB: is it the right file"):
        plainfile.read(tmp_path / "file", 99)


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="larger than 16 MiB"):
        plainfile.read(tmp_path / "file")


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (os.mkfifo, "it is a named pipe and no file: put a file in its place, or take it away"),
        (bound_socket, "it is a socket and no file: put a file in its place, or take it away"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device and no file: put a file in its place, or take it"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to("gone"), "No such file or directory"),
    ],
)
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], what: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    make(Path("odd"))
    for look in (plainfile.read, plainfile.require, lambda path: plainfile.opened(path).__enter__()):
        with pytest.raises(OSError, match=what):
            look(Path("odd"))


def test_what_takes_the_place_of_a_file_meanwhile_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "odd")
    monkeypatch.setattr(plainfile, "require", lambda _: None)
    with pytest.raises(OSError, match="it is a named pipe"):
        plainfile.read(tmp_path / "odd")
