"""Both ends of a handshake for tests that know the shared key, or do not."""

from __future__ import annotations

import os
from collections.abc import Callable

from firstseen.forward.handshake import ClientHandshake, ClientKeys, ServerHandshake, ServerKeys

KEY = b"s3cret"


def handshakes() -> Callable[[], ServerHandshake]:
    """What a listener makes the server's end of, one a connection."""
    keys = ServerKeys(KEY, "server.example")
    return lambda: ServerHandshake(keys, os.urandom)


def client_of(key: bytes) -> ClientHandshake:
    """A client that believes this to be the key."""
    return ClientHandshake(ClientKeys(key, "client.example"), os.urandom)
