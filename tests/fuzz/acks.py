"""Whatever a server answers, in whatever pieces: the ids of the acks that it begins with come out, or ProtocolError.

The ids are those that another reader of msgpack finds there, and they do not depend on the splitting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from firstseen.errors import ProtocolError
from firstseen.forward.client import AckReader
from fuzz.reading import object_at
from fuzz.splitting import chooser, split
from support import oddpack
from support.oddpack import Pairs, Text

ALLOWED = (ProtocolError,)


def test_one_input(data: bytes) -> None:
    whole, fault = read([data])
    assert read(split(data, chooser(data))) == (whole, fault)
    at = 0
    for chunk_id in whole:
        reply, at = oddpack.read(data, at)
        assert isinstance(reply, Pairs)
        assert chunk_id == ack_of(reply)
    assert at == len(data) or fault is not None or object_at(data, at) is None


def read(parts: Iterable[bytes]) -> tuple[list[str], str | None]:
    """The ids, and what is wrong behind them."""
    reader = AckReader()
    ids: list[str] = []
    try:
        for part in parts:
            ids.extend(reader.feed(part))
    except ALLOWED as error:
        return ids, str(error)
    return ids, None


def ack_of(reply: Pairs) -> str | None:
    """The last value under a str ``ack``, as text."""
    found: Any = None
    for key, value in reply.pairs:
        if key == Text(b"ack"):
            found = value
    raw = found.data if isinstance(found, Text) else found
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else None
