"""What a target chooses for an input follows from the input: a crash is then nothing but the bytes that a peer sent."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

from support.wire import pieces


def chooser(data: bytes) -> random.Random:
    """Choices that are always the same for the same input."""
    return random.Random(zlib.crc32(data))


def split(data: bytes, rng: random.Random) -> Sequence[bytes]:
    """``data`` in pieces: a few, or single bytes where there are not too many."""
    if len(data) <= 200 and rng.random() < 0.3:
        return list(pieces(data, range(len(data))))
    return list(pieces(data, [rng.randint(0, len(data)) for _ in range(rng.choice((1, 2, 5)))]))
