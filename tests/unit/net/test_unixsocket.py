import socket
import stat
from pathlib import Path

import pytest

from firstseen.net import unixsocket


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_the_mode_is_there_from_the_first_moment(tmp_path: Path, mode: int) -> None:
    with unixsocket.bind(tmp_path / "s", mode):
        found = (tmp_path / "s").stat().st_mode
    assert (stat.S_ISSOCK(found), found & 0o777) == (True, mode)


def test_a_socket_that_was_left_behind_gives_way(tmp_path: Path) -> None:
    unixsocket.bind(tmp_path / "s", 0o600).close()
    unixsocket.bind(tmp_path / "s", 0o600).close()


def test_a_socket_that_somebody_listens_on_does_not(tmp_path: Path) -> None:
    with unixsocket.bind(tmp_path / "s", 0o600) as listening:
        listening.listen(0)
        for _ in range(3):  # also when he has more to accept than he can
            with pytest.raises(OSError, match="another process listens"):
                unixsocket.bind(tmp_path / "s", 0o600)


def test_a_file_does_not(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(OSError, match="no socket"):
        unixsocket.bind(tmp_path / "s", 0o600)
    assert (tmp_path / "s").read_text() == "precious"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unixsocket.bind(tmp_path / "none" / "s", 0o600)


def test_sockets_are_stream_sockets(tmp_path: Path) -> None:
    with unixsocket.bind(tmp_path / "s", 0o600) as bound:
        assert bound.type == socket.SOCK_STREAM
