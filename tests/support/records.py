"""A client that sees the records of TLS, each of which is what the other end wrote at a time."""

from __future__ import annotations

import asyncio
import ssl

from support.desk import TIMEOUT_S

APPLICATION_DATA = 23


class TlsRecords:
    """Speaks TLS 1.2, in which records of application data hold nothing else, over a connection that does not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                await self._receive()
            else:
                return self._flush()

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    async def record(self) -> bytes:
        """What the next record of application data holds."""
        while await self._receive() != APPLICATION_DATA:
            pass
        return self._tls.read()

    def close(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write(self._outgoing.read())

    async def _receive(self) -> int:
        """Read one record; its type."""
        async with asyncio.timeout(TIMEOUT_S):
            head = await self._reader.readexactly(5)
            self._incoming.write(head + await self._reader.readexactly(int.from_bytes(head[3:], "big")))
        return head[0]
