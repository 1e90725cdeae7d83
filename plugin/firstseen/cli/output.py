"""Standard output that cannot be written to its end, as on a disk that is full."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from firstseen.errors import FirstseenError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OutputError(FirstseenError):
    """What was printed did not find room where standard output goes to."""


@contextmanager
def written() -> Iterator[None]:
    """What is printed in here is written at the end; raises `OutputError` where there is no room for it.

    Who has stopped reading, as `head` does, has what it wanted: the process ends without a word, with exit code 1.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # it is where it was closed
                sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in (*_FULL, errno.EPIPE):
            raise
        _let_go()
        if error.errno == errno.EPIPE:
            sys.exit(1)
        raise OutputError(f"the output cannot be written: {error.strerror}") from error


def _let_go() -> None:
    """What could not be written stays in its buffer, and the interpreter would try once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
