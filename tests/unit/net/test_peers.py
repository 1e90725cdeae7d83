import asyncio
import socket
import struct
from pathlib import Path

import pytest

from firstseen.net.peers import Peer, in_brackets

RESET_AT_CLOSE = struct.pack("ii", 1, 0)


def test_a_peer_is_told_by_its_host_and_its_connection() -> None:
    assert str(Peer("192.0.2.7", ":40312", secure=False)) == "192.0.2.7:40312"
    assert str(Peer("unix:/run/s", " (pid 1, uid 0)", secure=False)) == "unix:/run/s (pid 1, uid 0)"
    assert str(Peer.unknown()) == "?"


def test_only_ipv6_needs_brackets() -> None:
    assert in_brackets("2001:db8::1") == "[2001:db8::1]"
    assert in_brackets("192.0.2.7") == "192.0.2.7"


async def peer_of(accepted: socket.socket) -> Peer:
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, accepted)
    try:
        return Peer.of(transport)
    finally:
        transport.abort()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_client_that_reset_its_connection_before_it_was_accepted_is_no_trouble(
    family: socket.AddressFamily, tmp_path: Path
) -> None:
    with socket.socket(family) as listening, socket.socket(family) as client:
        listening.bind(str(tmp_path / "s") if family is socket.AF_UNIX else ("localhost", 0))
        listening.listen()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        client.connect(listening.getsockname())
        client.close()
        accepted, _ = listening.accept()
        accepted.setblocking(False)
        peer = asyncio.run(peer_of(accepted))

    assert str(peer).startswith(f"unix:{tmp_path / 's'} (pid " if family is socket.AF_UNIX else "?")
