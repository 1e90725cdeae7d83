"""Nobody is let in, and no server is believed, without the shared key, whatever comes in whatever pieces.

Each input is fed to both ends: a server gives a greeting or waits, a client writes, waits or raises ProtocolError. What
they say does not depend on the splitting and is short enough for peers that read it with one read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from firstseen.errors import ProtocolError
from firstseen.forward.handshake import ClientHandshake, ClientKeys, Greeting, ServerHandshake, ServerKeys
from fuzz.reading import object_at
from fuzz.splitting import chooser, split
from support import oddpack
from support.oddpack import Text

ALLOWED = (ProtocolError,)

KEY, PASSWORD = b"a shared key", b"a password"
USERS = {"ada": PASSWORD}
NONCE = bytes(16)
SALT = NONCE.hex().encode()

LONGEST_REPLY, LONGEST_PING = 500, 1022
"""Bytes that a default Fluent Bit reads of a HELO or PONG, and of a PING."""


def test_one_input(data: bytes) -> None:
    rng = chooser(data)
    for users in ({}, USERS):
        _check_server(data, split(data, rng), users)
    _check_client(data, split(data, rng))


def _check_server(data: bytes, parts: Iterable[bytes], users: dict[str, bytes]) -> None:
    greeting = serve([data], users)
    assert serve(parts, users) == greeting
    if greeting is None:
        return
    assert len(greeting.reply) <= LONGEST_REPLY
    reply, _ = oddpack.read(greeting.reply)
    assert reply[0] == Text(b"PONG")
    assert reply[1] is (greeting.refusal is None)
    if greeting.refusal is None:
        _, hostname, salt, proof, name, password = map(raw, oddpack.read(data)[0])
        assert proof == digest(salt, hostname, NONCE, KEY)
        if users:
            assert (name, password) == (b"ada", digest(NONCE, name, PASSWORD))


def serve(parts: Iterable[bytes], users: dict[str, bytes]) -> Greeting | None:
    server = ServerHandshake(ServerKeys(KEY, "firstseen.example", users), bytes)
    assert len(server.helo) <= LONGEST_REPLY
    for part in parts:
        greeting = server.feed(part)
        if greeting is not None:
            return greeting
    return None


def _check_client(data: bytes, parts: list[bytes]) -> None:
    # A server that sends on before it is asked is refused, and so its HELO comes alone here.
    helo = behind_first(data)
    written, client, fault = ask([data[:helo], data[helo:]])
    again, split_client, split_fault = ask([*split(data[:helo], chooser(data)), *split(data[helo:], chooser(data))])
    assert (written, fault, client.done) == (again, split_fault, split_client.done)
    assert len(written) <= LONGEST_PING
    ask(parts)
    if client.done:
        pong, _ = oddpack.read(data, helo)
        greeting, _ = oddpack.read(data)
        nonces = [raw(value) for key, value in greeting[1].pairs if raw(key) == b"nonce"]
        assert raw(pong[0]) == b"PONG"
        assert pong[1] is True
        assert raw(pong[4]) == digest(SALT, raw(pong[3]), nonces[-1], KEY)


def ask(parts: Iterable[bytes]) -> tuple[bytes, ClientHandshake, str | None]:
    """What the client wrote, itself, and why it gave up."""
    client = ClientHandshake(ClientKeys(KEY, "client.example", "ada", PASSWORD), bytes)
    written = b""
    try:
        for part in parts:
            if client.done:
                break
            written += client.feed(part)
    except ALLOWED as error:
        return written, client, str(error)
    return written, client, None


def behind_first(data: bytes) -> int:
    """The offset behind the first object; all of it where there is none."""
    found = object_at(data)
    return found[1] if found else len(data)


def raw(value: object) -> bytes:
    return value.data if isinstance(value, Text) else value if isinstance(value, bytes) else b""


def digest(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).hexdigest().encode()
