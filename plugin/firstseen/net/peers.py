"""Who is at the other end of a client's connection."""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from msgspec import Struct

_CREDENTIALS = struct.Struct("3i")
"""What Linux knows of the process at the other end of a unix socket: pid, uid, gid."""


class Peer(Struct, frozen=True):
    """``origin`` is what stays the same when the peer connects again: its host, or the unix socket it came through.

    ``place`` tells this connection from others: a port, or a process. ``secure`` says that it speaks TLS.
    """

    origin: str
    place: str
    secure: bool

    def __str__(self) -> str:
        return self.origin + self.place

    @classmethod
    def unknown(cls) -> Peer:
        """Somebody who is not known yet, or not any more."""
        return cls("?", "", secure=False)

    @classmethod
    def named(cls, accepted: socket.socket) -> Peer:
        """Who is about to speak TLS over this TCP connection; unknown if it is gone already."""
        try:
            host, port, *_ = accepted.getpeername()
        except OSError:
            return cls.unknown()
        return cls(in_brackets(str(host)), f":{port}", secure=True)

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> Peer:
        """Who connected to ``transport``; unknown if it is gone already."""
        secure = transport.get_extra_info("ssl_object") is not None
        name = transport.get_extra_info("peername")
        if isinstance(name, tuple) and len(name) > 1:
            return cls(in_brackets(str(name[0])), f":{name[1]}", secure)
        path = transport.get_extra_info("sockname")
        if not path or isinstance(path, tuple):  # a TCP client that reset its connection has no name any more
            return cls.unknown()
        raw = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        return cls(f"unix:{os.fsdecode(path)}", f" (pid {pid}, uid {uid})", secure)


def in_brackets(host: str) -> str:
    """``host`` as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
