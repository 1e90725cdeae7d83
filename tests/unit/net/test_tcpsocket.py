import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from firstseen.net.tcpsocket import KEEPALIVE, bind

Found = list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]]

V4, V6 = ("127.0.0.1", 0), ("::1", 0, 0, 0)
NOT_HERE = ("192.0.2.1", 0)


def bound(host: str, port: int = 0) -> list[socket.socket]:
    return asyncio.run(bind(host, port))


def found(*addresses: tuple[Any, ...]) -> Callable[..., Found]:
    """A resolver that finds these, as it is set up where nobody can tell beforehand."""
    kinds = {2: socket.AF_INET, 4: socket.AF_INET6}
    return lambda *_, **__: [(kinds[len(at)], socket.SOCK_STREAM, 6, "", at) for at in addresses]


def test_what_is_accepted_has_the_options() -> None:
    with ExitStack() as stack:
        (listening,) = (stack.enter_context(each) for each in bound("127.0.0.1"))
        listening.listen()
        listening.setblocking(True)
        client = stack.enter_context(socket.create_connection(listening.getsockname()))
        accepted = stack.enter_context(listening.accept()[0])
        assert accepted.getpeername() == client.getsockname()
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert [accepted.getsockopt(socket.IPPROTO_TCP, option) for option, _ in KEEPALIVE] == [60, 15, 4]


def test_a_port_can_be_bound_again_at_once() -> None:
    with ExitStack() as stack:
        (listening,) = (stack.enter_context(each) for each in bound("127.0.0.1"))
        listening.listen()
        listening.setblocking(True)
        port = listening.getsockname()[1]
        client = stack.enter_context(socket.create_connection(listening.getsockname()))
        listening.accept()[0].close()
        listening.close()
        assert client.recv(1) == b""
        (again,) = (stack.enter_context(each) for each in bound("127.0.0.1", port))
        assert again.getsockname()[1] == port


def test_every_address_of_a_host_has_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", found(V4, V6, V4))
    with ExitStack() as stack:
        both = [stack.enter_context(each) for each in bound("both.example")]
        assert [each.family for each in both] == [socket.AF_INET, socket.AF_INET6]
        first, second = (each.getsockname()[1] for each in both)
        assert first == second != 0


def test_all_of_both_families_do_not_get_into_each_others_way() -> None:
    with ExitStack() as stack:
        (six,) = (stack.enter_context(each) for each in bound("::"))
        (four,) = (stack.enter_context(each) for each in bound("0.0.0.0", six.getsockname()[1]))
        assert four.getsockname()[1] == six.getsockname()[1]


def test_an_address_that_is_not_here_is_left_out_where_another_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", found(NOT_HERE, V4))
    with ExitStack() as stack:
        (only,) = (stack.enter_context(each) for each in bound("both.example"))
        assert only.getsockname()[0] == "127.0.0.1"


def test_an_address_that_is_not_here() -> None:
    with pytest.raises(OSError, match="Cannot assign"):
        bound("192.0.2.1")


def taken_on_one_address_only() -> socket.socket:
    """Of ::1, a port that 127.0.0.1 has free: there ends of old connections may have it."""
    while True:
        taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
        with socket.socket() as other:
            try:
                other.bind(("127.0.0.1", taken.getsockname()[1]))
            except OSError:
                taken.close()
            else:
                return taken


def test_a_port_that_is_taken_closes_what_was_bound_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with taken_on_one_address_only() as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(socket, "getaddrinfo", found(V4, V6))
        with pytest.raises(OSError, match="in use"):
            bound("both.example", port)
        monkeypatch.undo()
        with socket.socket() as again:
            again.bind(("127.0.0.1", port))


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(OSError, match=r".+"):
        bound("nobody.invalid")
