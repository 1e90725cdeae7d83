"""The name by which an agent takes part in a shared state: its own, and the same when it starts again."""

from __future__ import annotations

import uuid
from pathlib import Path

from firstseen.errors import StoreError
from firstseen.store.disk import make_folder
from firstseen.store.lock import OwnerLock

FILE, LOCK = "agent", "agent.lock"
"""Not the lock of a database, which may lie in the same folder."""


class Owner:
    """Held from `take` to `release`, or to the end of the process: no two have one ``name`` at the same time.

    An agent that is killed leaves leases behind. By its name it knows them as its own when it comes back, and does not
    have to wait until they end.
    """

    def __init__(self, name: bytes, lock: OwnerLock) -> None:
        self.name = name
        self._lock = lock

    @classmethod
    def take(cls, folder: Path) -> Owner:
        """The name that lies in ``folder``, made (mode 0700) where missing. Raises `StoreError`."""
        try:
            make_folder(folder)
            lock = OwnerLock.take(folder / LOCK)
        except OSError as error:
            raise StoreError(
                f"{folder} (state.path) cannot be used: {error.strerror}; an agent keeps its name there, also where "
                "its state is on a server"
            ) from error
        try:
            return cls(_name(folder / FILE), lock)
        except OSError as error:
            lock.release()
            raise StoreError(f"{folder / FILE} cannot be used: {error.strerror}") from error

    def release(self) -> None:
        """Let the next one have the name."""
        self._lock.release()


def _name(file: Path) -> bytes:
    if not file.exists() or not file.read_bytes().strip():
        file.write_text(f"{uuid.uuid4().hex}\n", "ascii")
    return file.read_bytes().strip()
