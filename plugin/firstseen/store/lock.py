"""The file that keeps a second process from writing the same state."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

from firstseen.errors import StoreError

_SERVICE = re.compile(r"/([^/]+\.service)(?:/|$)", re.MULTILINE)


class OwnerLock:
    """Held from `take` to `release`, or to the end of the process, whatever ends it. The file names the owner."""

    def __init__(self, file: int, path: Path) -> None:
        self._file = file
        self._path = path

    @classmethod
    def take(cls, path: Path) -> OwnerLock:
        """Lock ``path``, creating it if need be.

        Raises `StoreError` where another process holds it, `OSError` where it cannot be opened or written.
        """
        # The file stays when the lock goes: unlinking it would let two processes lock two files of one name.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(file, path)
        except BaseException:
            os.close(file)  # and with it the lock goes
            raise
        return cls(file, path)

    @property
    def is_gone(self) -> bool:
        """Whether the file was taken away or moved, and with it most likely the folder that it stands for."""
        try:
            return not os.path.samestat(os.fstat(self._file), self._path.stat())
        except OSError:
            return True

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._file)


def service_of(cgroups: str) -> str | None:
    """The systemd service that a process belongs to, from its ``/proc/PID/cgroup``; None if it is none's."""
    services = _SERVICE.findall(cgroups)
    # Those of a user's session lie within the service of the session itself.
    return services[-1] if services and not services[-1].startswith("user@") else None


def belong(file: int, folder: Path) -> None:
    """Give the open ``file``, which lies in ``folder``, to the owner of that, where root has made it.

    What root does with a state is not to keep its owner from it. Where this root may not, all stays as it is.
    """
    if not os.geteuid():
        found = folder.stat()
        with contextlib.suppress(OSError):
            os.fchown(file, found.st_uid, found.st_gid)


def _lock(file: int, path: Path) -> None:
    belong(file, path.parent)
    try:
        # flock, not lockf: it also keeps out a second store in this process, and closing another handle keeps it.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise StoreError(
            f"{path.parent} is in use by process {owner}; one process at a time may write a state: "
            f"stop that first{_how(owner)}"
        ) from None
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode("ascii"), 0)


def _how(owner: str) -> str:
    try:
        service = service_of(Path("/proc", owner, "cgroup").read_text())
    except OSError:  # it has ended meanwhile, or is none of ours
        return ""
    return "" if service is None else f" (systemctl stop {service})"
