"""A folder for chunks that cannot be read: kept there whole, so that they may be acked and are not lost.

Each chunk is a ``.msgpack`` file with the exact bytes of its message, and a ``.json`` file of the same name that says
where they came from and why they are here. The name is a digest of the bytes: a chunk that comes again is kept once.
The note is there before the content is, and whatever a crash leaves half done is removed at the next start. Files of
other names are left alone, and count as what the folder holds.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import threading
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from firstseen.errors import FirstseenError, QuarantineFullError
from firstseen.packing import Buffer

CONTENT, NOTE, HALF = ".msgpack", ".json", ".half"
"""How the names of the files end; a ``.half`` is one that is being written."""

_NAME = re.compile(rf"[0-9a-f]{{32}}({re.escape(CONTENT)}|{re.escape(NOTE)})({re.escape(HALF)})?")
"""The names that are given here."""


class Note(Struct, frozen=True):
    """Who sent the chunk, under which tag, when it came (milliseconds since the epoch), and why it is kept."""

    peer: str
    tag: str
    time_ms: int
    reason: str


def hindrance(path: Path) -> str | None:
    """Why this user most likely cannot keep chunks at ``path``, which need not be there; None if he can."""
    try:
        there = path
        while not there.exists():
            there = there.parent
        if not there.is_dir():
            return f"{there} is no directory"
    except OSError as error:
        return f"{path} cannot be reached: {error.strerror}"
    return None if os.access(there, os.W_OK | os.X_OK) else f"{there} cannot be written by the user who runs this"


class Quarantine:
    """The folder at ``path``, of at most ``limit`` bytes in all. Any thread may call it; `open` makes one."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._lock = threading.Lock()
        self._used = 0

    @classmethod
    def open(cls, path: Path, limit: int) -> Quarantine:
        """Make the folder if it is not there, and clean up. Raises `FirstseenError` where it cannot be used."""
        made = cls(path, limit)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            made._clean_up()
            made._count()
            _try_out(path)
        except OSError as error:
            raise FirstseenError(f"the quarantine {path} cannot be used: {error.strerror or error}") from error
        return made

    def keep(self, raw: Buffer, note: Note) -> Path:
        """Keep the chunk ``raw``; returns its file once that and its note are durable.

        Raises `QuarantineFullError` if it would not fit, `FirstseenError` where it cannot be written.
        """
        name = hashlib.sha256(raw).hexdigest()[:32]
        content = self._path / f"{name}{CONTENT}"
        told = _in_json(note, len(raw))
        with self._lock:
            try:
                if not content.exists():
                    self._make_room(len(raw) + len(told))
                    self._add(content, raw, told)
                    self._used += len(raw) + len(told)
                _sync(self._path)  # also for what is there: a crash may have come before this
            except OSError as error:
                raise FirstseenError(
                    f"the quarantine {self._path} cannot be written: {error.strerror or error}"
                ) from error
        return content

    def _add(self, content: Path, raw: Buffer, told: bytes) -> None:
        note = content.with_suffix(NOTE)
        try:
            _write(note, told)
            _write(content, raw)
        except OSError:
            with contextlib.suppress(OSError):  # then it is removed at the next start
                note.unlink()
            raise

    def _clean_up(self) -> None:
        """Remove what a crash left: files that were being written, and notes without their content."""
        for path in self._path.iterdir():
            found = _NAME.fullmatch(path.name)
            if found and (found[2] or (found[1] == NOTE and not path.with_suffix(CONTENT).exists())):
                path.unlink(missing_ok=True)  # another agent that starts may clean up as well

    def _make_room(self, size: int) -> None:
        if self._used + size > self._limit:
            self._count()  # somebody may have taken files away
        if self._used + size > self._limit:
            raise QuarantineFullError(
                f"the quarantine {self._path} is full: it holds {self._used} of {self._limit} bytes"
                f" (input.quarantine_size), and {size} more came; look into it, and take away what is dealt with"
            )

    def _count(self) -> None:
        used = 0
        for entry in os.scandir(self._path):
            with contextlib.suppress(FileNotFoundError):  # somebody takes it away right now
                used += entry.stat().st_size if entry.is_file() else 0
        self._used = used


def _try_out(folder: Path) -> None:
    """Make a file and remove it, to learn now whether that can be done. That a disk is full passes."""
    path = folder / f"{'0' * 32}{CONTENT}{HALF}"  # removed at the next start as well
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        path.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _in_json(note: Note, size: int) -> bytes:
    time = datetime.fromtimestamp(note.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    told = {"peer": note.peer, "tag": note.tag, "time": time, "reason": note.reason, "size": size}
    return json.dumps(told, indent=2).encode() + b"\n"


def _write(path: Path, data: Buffer) -> None:
    """Write a file as a whole: it is durable and complete when it has its name, but for the folder's own entry."""
    half = path.with_name(path.name + HALF)
    try:
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        half.rename(path)
    except OSError:
        with contextlib.suppress(OSError):  # then it is removed at the next start
            half.unlink()
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
