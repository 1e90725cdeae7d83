"""The handshake of both ends in its plainest form, written without the agent's own, over streams."""

from __future__ import annotations

import hashlib
from asyncio import StreamReader, StreamWriter
from typing import Any

import msgpack

from support.peer_frames import pack


async def read_object(reader: StreamReader) -> Any:
    """One msgpack object, byte by byte so that nothing behind it is taken; raises `EOFError` where none comes."""
    data = b""
    while True:
        byte = await reader.read(1)
        if not byte:
            raise EOFError("the peer closed in the handshake")
        data += byte
        try:
            return msgpack.unpackb(data, raw=True)
        except (msgpack.OutOfData, ValueError):
            continue


def digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


async def greet_server(reader: StreamReader, writer: StreamWriter, key: bytes, name: bytes) -> None:
    """A client's end."""
    _, options = await read_object(reader)
    salt = b"0123456789abcdef"
    writer.write(pack(["PING", name.decode(), salt.decode(), digest(salt, name, options[b"nonce"], key), "", ""]))
    await writer.drain()
    pong = await read_object(reader)
    assert pong[1] is True, pong
    assert pong[4].decode() == digest(salt, pong[3], options[b"nonce"], key), pong


async def greet_client(reader: StreamReader, writer: StreamWriter, key: bytes, name: bytes) -> None:
    """A server's end; lets everybody in who knows the key."""
    nonce = b"fedcba9876543210"
    writer.write(pack(["HELO", {"nonce": nonce, "auth": b"", "keepalive": True}]))
    await writer.drain()
    ping = await read_object(reader)
    assert ping[3].decode() == digest(ping[2], ping[1], nonce, key), ping
    writer.write(pack(["PONG", True, "", name.decode(), digest(ping[2], name, nonce, key)]))
    await writer.drain()
