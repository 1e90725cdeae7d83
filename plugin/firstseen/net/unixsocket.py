"""A unix socket to listen on: with its mode from the first moment, and in place of one that nobody listens on."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path


def bind(path: Path, mode: int) -> socket.socket:
    """A socket bound to ``path`` with these permissions; the caller listens on it, and unlinks the path in the end.

    Raises `OSError`: where something lies there that is no socket, or a socket that somebody listens on.
    """
    _make_way(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o777 & ~mode)
        try:
            bound.bind(str(path))
        finally:
            os.umask(before)
        path.chmod(mode)  # an inherited access list may have said otherwise
    except OSError:
        bound.close()
        raise
    return bound


def _make_way(path: Path) -> None:
    """Remove a socket that was left behind, as a kill leaves one."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "there is a file that is no socket; remove it, or choose another path", str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # somebody listens, and has more to accept than he can
    raise OSError(errno.EADDRINUSE, "another process listens on this socket", str(path))
