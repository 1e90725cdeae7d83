import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from firstseen.net.dialer import dial

TIMEOUT_S = 10


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that answers nothing, as that of a machine that is off: its backlog is full."""
    with socket.socket() as listener, socket.socket() as waiting:
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        waiting.connect(listener.getsockname())
        yield listener.getsockname()


def closed_address() -> tuple[str, int]:
    with socket.create_server(("127.0.0.3", 0)) as gone:
        return gone.getsockname()  # type: ignore[no-any-return]


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", at) for at in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def dialled(within_s: float = TIMEOUT_S) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(TIMEOUT_S):
            with await dial("several.example", 24224, within_s) as connected:
                return connected.getpeername()

    return asyncio.run(main())


def test_the_first_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch, listening: socket.socket) -> None:
    resolve_to(monkeypatch, closed_address(), listening.getsockname(), closed_address())

    assert dialled() == listening.getsockname()


def test_one_that_is_silent_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, silent: tuple[str, int], listening: socket.socket
) -> None:
    resolve_to(monkeypatch, silent, listening.getsockname())

    assert dialled(within_s=0.1) == listening.getsockname()


def test_if_none_answers_each_is_told_of(monkeypatch: pytest.MonkeyPatch, silent: tuple[str, int]) -> None:
    resolve_to(monkeypatch, silent, closed_address())

    with pytest.raises(OSError, match=r"^127\.0\.0\.2: no answer; 127\.0\.0\.3: .*refused"):
        dialled(within_s=0.1)
