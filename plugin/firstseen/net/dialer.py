"""Connecting to a host by name: to whichever of its addresses answers.

The loop's own way tries one address after the other, and has no limit for each: one that is silent, as those of a
machine that is off are, would take all the time there is, every time.
"""

from __future__ import annotations

import asyncio
import os
import socket


async def dial(host: str, port: int, within_s: float) -> socket.socket:
    """A socket connected to the first address of ``host`` that answers. Raises `OSError` if none does.

    Of several addresses each but the last gets its share of ``within_s`` only: one that is silent must not hide the
    others. The caller ends it all in the end.
    """
    loop = asyncio.get_running_loop()
    found = tuple(dict.fromkeys(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    failures = []
    for number, (family, kind, protocol, _, address) in enumerate(found, 1):
        connecting = socket.socket(family, kind, protocol)
        try:
            connecting.setblocking(False)
            async with asyncio.timeout(None if number == len(found) else within_s / (len(found) + 1)):
                await loop.sock_connect(connecting, address)
        except OSError as error:  # which a timeout is, too
            connecting.close()
            failures.append(f"{address[0]}: {os.strerror(error.errno) if error.errno else 'no answer'}")
        except BaseException:
            connecting.close()
            raise
        else:
            return connecting
    raise OSError("; ".join(failures))
