"""What rule files say, put away beside the state: the next start reads only those anew that have changed since.

Reading hundreds of rules takes a second, most of a start. What is on the shelf is what this very program read, of files
with the very same bytes; anything else on it counts for nothing.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from firstseen import plainfile, program
from firstseen.logs import event
from firstseen.rules.loader import Known
from firstseen.rules.reading import Reading
from firstseen.store.disk import make_folder
from firstseen.store.lock import belong

NAME: Final = "rules.kept"
"""What it is called in the folder of the state."""

log = logging.getLogger(__name__)

_TYPICAL: Final = 3_000
"""Bytes that a rule takes, mostly."""

_MOST: Final = 64 << 20
"""Bytes of all of them."""

_SHARE: Final = 16
"""How many times as much has to be free on the disk."""

_SIZE: Final = hashlib.sha256().digest_size

_LENGTH: Final = struct.Struct(">I")
"""Before each that is put away."""


class Shelf:
    """The one in ``folder``, which is made where it is missing. One thread at a time.

    Who may write there may change what has been seen, and so what is an alert, as well as what rules say.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME
        self._new = folder / f"{NAME}.new"
        self._content: Sequence[tuple[str, bytes]] = ()
        """The files of which it holds what they say, and their digests."""

    def known(self) -> Known:
        """What is known of rules by what is on it: nothing where it holds nothing that can be used.

        Then all files are read, which says what is wrong if anything is.
        """
        readings: Sequence[Reading] = ()
        try:
            readings = list(self._read())
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError, struct.error) as error:
            event(log, logging.DEBUG, "rules_not_known", file=str(self._file), reason=str(error))
        self._content = _content(readings)
        return Known(readings)

    def keep(self, known: Known) -> None:
        """Put what is known on it, if that is not what it holds; where there is no room, it is as it was, and told of.

        The next start is slower then, and nothing else. The same where the sources have changed since they were loaded:
        what this program says is nothing for the next one.
        """
        held = set(self._content)
        readings = [each for each in known.readings if _name(each) in held or _packed(each) is not None]
        content = _content(readings)
        try:
            self._new.unlink(missing_ok=True)  # of an agent that was killed while it wrote
            if content == self._content:
                return
            if program.loaded() == program.digest():
                self._put(readings)
        except OSError as error:
            event(log, logging.WARNING, "rules_not_kept", reason=str(error))
        else:
            self._content = content

    def _put(self, readings: Sequence[Reading]) -> None:
        """One piece after the other, so that it takes no memory. Raises `OSError`, and leaves nothing behind."""
        make_folder(self._file.parent)
        self._require_room(len(readings) * _TYPICAL)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self._new, flags, 0o600), "wb") as file:
            try:
                belong(file.fileno(), self._file.parent)
                _write(file, readings)
                self._new.replace(self._file)
            except OSError:
                self._new.unlink(missing_ok=True)
                raise

    def _require_room(self, size: int) -> None:
        """The disk is there for the state: what only saves time takes no room that it may need. Raises `OSError`."""
        system = os.statvfs(self._file.parent)
        room = system.f_bavail * system.f_frsize
        if room < _SHARE * size:
            raise OSError(errno.ENOSPC, f"of {room} bytes that are left on its disk it leaves all to the state")

    def _read(self) -> Iterator[Reading]:
        """Raises `OSError`, and `ValueError` and others for what is not as this program put it there."""
        with plainfile.opened(self._file) as file:
            head = file.read(2 * _SIZE)
            if head[:_SIZE] != program.loaded():
                raise ValueError("another version of firstseen put it there")
            if os.fstat(file.fileno()).st_size > _MOST:
                raise ValueError(f"it is larger than {_MOST >> 20} MiB")
            raw = memoryview(file.read())
        if head[_SIZE:] != hashlib.sha256(raw).digest():
            raise ValueError("it is damaged")
        decode = msgspec.msgpack.Decoder(Reading).decode
        at = 0
        while at < len(raw):
            begins = at + _LENGTH.size
            at = begins + _LENGTH.unpack_from(raw, at)[0]
            yield decode(raw[begins:at])


def _write(file: BinaryIO, readings: Sequence[Reading]) -> None:
    """What program wrote it, a digest of all that follows, and the readings, each behind its length."""
    total = hashlib.sha256()
    file.write((program.loaded() or b"") + bytes(_SIZE))
    for piece in filter(None, map(_packed, readings)):
        written = _LENGTH.pack(len(piece)) + piece
        total.update(written)
        file.write(written)
    file.seek(_SIZE)
    file.write(total.digest())
    file.flush()


def _content(readings: Sequence[Reading]) -> Sequence[tuple[str, bytes]]:
    return [_name(each) for each in readings]


def _name(reading: Reading) -> tuple[str, bytes]:
    return reading.file, reading.digest


def _packed(reading: Reading) -> bytes | None:
    """As it is written down; None where that cannot be, and its file has to be read every time.

    That is where half a surrogate is in a query, or a look-back is longer than the world is old.
    """
    try:
        return msgspec.msgpack.encode(reading)
    except (UnicodeEncodeError, OverflowError):
        return None
