"""TCP sockets to listen on, one for each address of a host; and what the kernel knows of a connection."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import socket
import termios
from array import array

KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""TCP's own probes, in seconds: they end connections whose peer is gone without a word, and no other."""


NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors of an address that a resolver knows and this system has not, as ``::1`` where there is no IPv6."""


def unsent(transport: asyncio.BaseTransport) -> int:
    """Bytes that the kernel holds for the other end, which has no room for them; 0 where it does not tell.

    What a transport is rid of is not with its peer yet, and the kernel takes the next only when a good part is gone.
    """
    connected = transport.get_extra_info("socket")
    if connected is None:  # under TLS, between its end and the call that tells of it
        return 0
    held = array("i", (0,))
    try:
        fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, held)
    except OSError:
        return 0
    return held[0]


async def bind(host: str, port: int) -> list[socket.socket]:
    """Bound sockets, all on one port, also if ``port`` is 0. What they accept has their options.

    Addresses that this system has not are left out where it has another one. Raises `OSError`.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            bound = _bound(family, (address[0], port, *address[2:]))
        except OSError as error:
            if error.errno in NOT_HERE:
                missing = error
                continue
            for before in sockets:
                before.close()
            raise
        sockets.append(bound)
        port = bound.getsockname()[1]
    if missing is not None and not sockets:
        raise missing
    return sockets


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            bound.setsockopt(socket.IPPROTO_TCP, option, value)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
