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
from contextlib import suppress
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
        self._program = _program()
        self._content: Sequence[tuple[str, bytes]] = ()
        """The files of which it holds what they say, and their digests."""

    def known(self) -> Known:
        """What is known of rules by what is on it: nothing where it holds nothing that can be used."""
        readings: Sequence[Reading] = ()
        with suppress(
            OSError, ValueError, struct.error
        ):  # then all is read anew, which says what is wrong if anything is
            readings = list(self._read())
        self._content = _content(readings)
        return Known(readings)

    def keep(self, known: Known) -> None:
        """Put what is known on it, if that is not what it holds; where there is no room, it is as it was, and told of.

        The next start is slower then, and nothing else.
        """
        content = _content(known.readings)
        if content != self._content:
            try:
                self._put(known.readings)
            except OSError as error:
                event(log, logging.WARNING, "rules_not_kept", reason=str(error))
            else:
                self._content = content

    def _put(self, readings: Sequence[Reading]) -> None:
        """One piece after the other, so that it takes no memory. Raises `OSError`."""
        make_folder(self._file.parent)
        new = self._file.with_name(f"{NAME}.new")
        total = hashlib.sha256()
        with new.open("wb") as file:
            file.write(self._program + bytes(_SIZE))
            for piece in _packed(readings):
                total.update(piece)
                file.write(piece)
            file.seek(_SIZE)
            file.write(total.digest())
        new.replace(self._file)

    def _read(self) -> Iterator[Reading]:
        """Raises `OSError`, and `ValueError` for what this program did not put there, or what has changed since."""
        raw = memoryview(plainfile.read(self._file, _MOST))
        at = 2 * _SIZE
        if raw[:_SIZE] != self._program or raw[_SIZE:at] != hashlib.sha256(raw[at:]).digest():
            raise ValueError("this is not what was put there")
        decode = msgspec.msgpack.Decoder(Reading).decode
        while at < len(raw):
            begins = at + _LENGTH.size
            at = begins + _LENGTH.unpack_from(raw, at)[0]
            yield decode(raw[begins:at])


def _content(readings: Sequence[Reading]) -> Sequence[tuple[str, bytes]]:
    return [(each.file, each.digest) for each in readings]


def _packed(readings: Sequence[Reading]) -> Iterator[bytes]:
    for each in readings:
        # Half a surrogate, or a look-back longer than the world is old: such a file is read every time.
        with suppress(UnicodeEncodeError, OverflowError):
            packed = msgspec.msgpack.encode(each)
            yield _LENGTH.pack(len(packed)) + packed


def _program() -> bytes:
    """What tells this program from every other one, be it of the same version: by its sources, in some milliseconds."""
    digest = hashlib.sha256(f"{sys.version} {__version__} {revision()}".encode())
    for folder, folders, names in os.walk(Path(__file__).parent):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            digest.update(Path(folder, name).read_bytes())
    return digest.digest()
