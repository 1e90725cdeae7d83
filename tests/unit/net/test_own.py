"""What goes wrong here is told of as that, and not taken for the other end's doing."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from firstseen.net.downstream import connect as connect_to
from firstseen.net.own import OwnError, own
from support.deliveries import target
from support.desk import TIMEOUT_S, connect, listening, message, read_to_end
from support.loopback import downstream, lost, parcel, serve

FULL = OSError(errno.ENOSPC, "No space left on device")


def fail(*_: object) -> None:
    raise FULL


def faults_of(test: Callable[[asyncio.Event], Awaitable[None]]) -> list[BaseException]:
    """What the loop's handler is told of, and the test by an event."""
    faults: list[BaseException] = []

    async def watched() -> None:
        told = asyncio.Event()

        def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            faults.append(context["exception"])
            told.set()

        asyncio.get_running_loop().set_exception_handler(handle)
        async with asyncio.timeout(TIMEOUT_S):
            await test(told)

    uvloop.run(watched())
    return faults


@pytest.mark.parametrize("ended", [False, True])
def test_a_client_is_not_hung_up_on_in_silence(monkeypatch: pytest.MonkeyPatch, ended: bool) -> None:
    async def test(told: asyncio.Event) -> None:
        async with listening() as (listener, _, port):
            monkeypatch.setattr(listener, "cut_short" if ended else "took", fail)
            reader, writer = await connect(port, message("one")[: -1 if ended else None])
            if ended:
                writer.write_eof()
            assert await read_to_end(reader) == b""
            await told.wait()
            writer.close()

    (fault,) = faults_of(test)
    assert str(fault) == f"not of the other end: {FULL!r}"
    assert fault.__cause__ is FULL


@pytest.mark.parametrize("require_ack", [True, False])
def test_a_server_is_not_blamed(require_ack: bool) -> None:
    async def test(told: asyncio.Event) -> None:
        async with downstream(serve) as port:
            connection = await connect_to(target(port, require_ack=require_ack), fail)
            sent = parcel("one", 1 << 25)
            connection.send(sent, sent.frame)
            if require_ack:
                assert await lost(connection) == f"not of the other end: {FULL!r}"
            else:
                await told.wait()
            connection.abort()

    fault, *_ = faults_of(test)
    assert fault.__cause__ is FULL


def test_what_goes_well_and_all_other_errors_pass() -> None:
    assert own(lambda a, *, b: a + b)(1, b=2) == 3
    with pytest.raises(ZeroDivisionError):
        own(lambda: 1 / 0)()
    with pytest.raises(OwnError):
        own(fail)()
