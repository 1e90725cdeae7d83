import asyncio
import socket
import struct

import uvloop

from firstseen.net.peers import Peer, in_brackets


def test_a_peer_is_told_by_its_host_and_its_connection():
    assert str(Peer("192.0.2.7", ":40312", secure=False)) == "192.0.2.7:40312"
    assert str(Peer("unix:/run/s", " (pid 1, uid 0)", secure=False)) == "unix:/run/s (pid 1, uid 0)"
    assert str(Peer.unknown()) == "?"


def test_only_ipv6_needs_brackets():
    assert in_brackets("2001:db8::1") == "[2001:db8::1]"
    assert in_brackets("192.0.2.7") == "192.0.2.7"


def test_a_client_that_is_gone_before_it_was_accepted_is_unknown():
    found: list[Peer] = []

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            found.append(Peer.of(transport))
            accepted.set()

    accepted = asyncio.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: accepted.set())
        server = await loop.create_server(Accepted, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing is a reset
        await accepted.wait()
        server.close()

    uvloop.run(main())

    assert found == [Peer.unknown()]
