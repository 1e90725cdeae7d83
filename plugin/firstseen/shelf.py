"""What rule files say, put away beside the state: the next start reads only those anew that have changed since.

Reading hundreds of rules takes a second, most of a start. What is on the shelf is what this very program read, of files
with the very same bytes; anything else on it counts for nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from firstseen import __version__, plainfile
from firstseen.logs import event
from firstseen.revision import revision
from firstseen.rules.loader import Known
from firstseen.rules.reading import Reading
from firstseen.store.disk import make_folder

NAME: Final = "rules.kept"
"""What it is called in the folder of the state."""

log = logging.getLogger(__name__)

_MOST: Final = 256 << 20
"""Bytes; what a rule says takes three thousand."""

_SIZE: Final = hashlib.sha256().digest_size

_LENGTH: Final = struct.Struct(">I")
"""Before each that is put away."""


class Shelf:
    """The one in ``folder``, which is made where it is missing. One thread at a time.

    Who may write there may change what has been seen, and so what is an alert, as well as what rules say.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME
        self._program: bytes | None = None
        self._content: Sequence[tuple[str, bytes]] = ()
        """The files of which it holds what they say, and their digests."""

    def known(self) -> Known:
        """What is known of rules by what is on it: nothing where it holds nothing that can be used.

        Then all files are read, which says what is wrong if anything is.
        """
        readings: Sequence[Reading] = ()
        try:
            self._program = _program()
            readings = list(self._read(self._program))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, struct.error) as error:
            event(log, logging.DEBUG, "rules_not_known", file=str(self._file), reason=str(error))
        self._content = _content(readings)
        return Known(readings)

    def keep(self, known: Known) -> None:
        """Put what is known on it, if that is not what it holds; where there is no room, it is as it was, and told of.

        The next start is slower then, and nothing else.
        """
        readings = [each for each in known.readings if self._holds(each) or _packed(each) is not None]
        content = _content(readings)
        if content == self._content or self._program is None:
            return
        try:
            self._put(self._program, readings)
        except OSError as error:
            event(log, logging.WARNING, "rules_not_kept", reason=str(error))
        else:
            self._content = content

    def _holds(self, reading: Reading) -> bool:
        return (reading.file, reading.digest) in self._content

    def _put(self, program: bytes, readings: Sequence[Reading]) -> None:
        """One piece after the other, so that it takes no memory. Raises `OSError`, and leaves nothing behind."""
        make_folder(self._file.parent)
        new = self._file.with_name(f"{NAME}.new")
        total = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            try:
                file.write(program + bytes(_SIZE))
                for piece in filter(None, map(_packed, readings)):
                    written = _LENGTH.pack(len(piece)) + piece
                    total.update(written)
                    file.write(written)
                file.seek(_SIZE)
                file.write(total.digest())
                file.flush()
                new.replace(self._file)
            except OSError:
                new.unlink(missing_ok=True)
                raise

    def _read(self, program: bytes) -> Iterator[Reading]:
        """Raises `OSError`, and `ValueError` or `struct.error` for what is not as this program put it there."""
        raw = memoryview(plainfile.read(self._file, _MOST))
        at = 2 * _SIZE
        if raw[:_SIZE] != program:
            raise ValueError("another version of firstseen put it there")
        if raw[_SIZE:at] != hashlib.sha256(raw[at:]).digest():
            raise ValueError("it is damaged")
        decode = msgspec.msgpack.Decoder(Reading).decode
        while at < len(raw):
            begins = at + _LENGTH.size
            at = begins + _LENGTH.unpack_from(raw, at)[0]
            yield decode(raw[begins:at])


def _content(readings: Sequence[Reading]) -> Sequence[tuple[str, bytes]]:
    return [(each.file, each.digest) for each in readings]


def _packed(reading: Reading) -> bytes | None:
    """As it is written down; None where that cannot be, and its file has to be read every time.

    That is where half a surrogate is in a query, or a look-back is longer than the world is old.
    """
    try:
        return msgspec.msgpack.encode(reading)
    except (UnicodeEncodeError, OverflowError):
        return None


def _program() -> bytes:
    """What tells this program from every other one, be it of the same version: by its sources, in some milliseconds.

    Raises `OSError` where they cannot be read.
    """
    digest = hashlib.sha256(f"{sys.version} {__version__} {revision()}".encode())
    for folder, folders, names in os.walk(Path(__file__).parent):
        folders[:] = sorted(folders)
        for name in sorted(names):
            if name.endswith((".py", ".txt")) and not name.startswith("."):
                digest.update(Path(folder, name).read_bytes())
    return digest.digest()
