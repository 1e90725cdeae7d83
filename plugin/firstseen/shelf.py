"""What rule files say, put away beside the state: the next start reads only those anew that have changed since.

Reading hundreds of rules takes a second, most of a start. What is on the shelf is what this very program read, of files
with the very same bytes; anything else on it counts for nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
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
        with suppress(OSError, ValueError):  # then all is read anew, which says what is wrong if anything is
            readings = self._read()
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
        """Raises `OSError`."""
        written = msgspec.msgpack.encode(list(_packed(readings)))
        make_folder(self._file.parent)
        new = self._file.with_name(f"{NAME}.new")
        new.write_bytes(b"".join((self._program, hashlib.sha256(written).digest(), written)))
        new.replace(self._file)

    def _read(self) -> Sequence[Reading]:
        """Raises `OSError`, and `ValueError` for what this program did not put there, or what has changed since."""
        raw = memoryview(plainfile.read(self._file, _MOST))
        program, found, written = raw[:_SIZE], raw[_SIZE : 2 * _SIZE], raw[2 * _SIZE :]
        if program != self._program or found != hashlib.sha256(written).digest():
            raise ValueError("this is not what was put there")
        return msgspec.msgpack.decode(written, type=list[Reading])


def _content(readings: Sequence[Reading]) -> Sequence[tuple[str, bytes]]:
    return [(each.file, each.digest) for each in readings]


def _packed(readings: Sequence[Reading]) -> Iterator[msgspec.Raw]:
    for each in readings:
        with suppress(UnicodeEncodeError):  # half a surrogate, which only JSON and escapes can spell: read every time
            yield msgspec.Raw(msgspec.msgpack.encode(each))


def _program() -> bytes:
    """What tells this program from every other one, be it of the same version: by its sources, in some milliseconds."""
    digest = hashlib.sha256(f"{sys.version} {__version__} {revision()}".encode())
    for folder, folders, names in os.walk(Path(__file__).parent):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            digest.update(Path(folder, name).read_bytes())
    return digest.digest()
